"""What the hub counts and measures of itself, in Prometheus' words.

Owns the names. No task, agent or token ids as labels: their number has no bound. Never decides anything by
a metric. Each hub has its own registry, so that two hubs in one process do not add up.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hub.core.task import FINAL

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

SHORT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""For commits and dispatches: one fsync is 1 to 10 ms."""

LONG_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""For whole tasks: from an echo to a day."""


class Metrics:
    def __init__(self, version: str = "") -> None:
        r = self.registry = CollectorRegistry()
        self.agents_connected = Gauge("hub_agents_connected", "Agents with a live link.", registry=r)
        self.sockets = Gauge("hub_sockets", "Open TCP connections.", registry=r)
        self.tasks = Counter("hub_tasks", "Tasks that ended.", ["outcome"], registry=r)
        self.outcomes = {state: self.tasks.labels(state.value) for state in FINAL}
        self.task_seconds = Histogram(
            "hub_task_seconds", "From push to end.", buckets=LONG_SECONDS, registry=r
        )
        self.dispatch_seconds = Histogram(
            "hub_dispatch_seconds", "From push to a committed assign.", buckets=SHORT_SECONDS, registry=r
        )
        self.commit_seconds = Histogram(
            "hub_commit_seconds", "One transaction, with its sync.", buckets=SHORT_SECONDS, registry=r
        )
        self.turn_letters = Histogram(
            "hub_turn_letters",
            "Letters decided in one turn.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            registry=r,
        )
        self.inbox_letters = Gauge("hub_inbox_letters", "Letters that wait to be decided.", registry=r)
        self.overloads = Counter("hub_overloads", "Asks answered 503 because the inbox was full.", registry=r)
        self.storage_full = Gauge("hub_storage_full", "1 while the disk has no room.", registry=r)
        self.disk_free_bytes = Gauge(
            "hub_disk_free_bytes", "Free where the ledger lies; new tasks need free_bytes_min.", registry=r
        )
        self.absence_seconds = Gauge(
            "hub_absence_seconds", "How long the hub's loop stood still in all its life.", registry=r
        )
        self.frames = Counter("hub_ws_frames", "Frames heard and said.", ["direction"], registry=r)
        self.frames_heard = self.frames.labels("heard")
        self.frames_said = self.frames.labels("said")
        self.bad_frames = Counter(
            "hub_ws_bad_frames", "Frames answered with an error.", ["error"], registry=r
        )
        self.rate_limited = Counter(
            "hub_ws_rate_limited", "Frames dropped because a link said too much.", registry=r
        )
        self.closes = Counter("hub_ws_closes", "Closed links.", ["code", "side"], registry=r)
        self.refused_sockets = Counter("hub_refused_sockets", "Connections above a cap.", ["cap"], registry=r)
        self.refused_tokens = Counter("hub_refused_tokens", "Tokens that were not valid.", registry=r)
        self.alerts = Counter("hub_alerts", "Things a person should look at.", ["kind"], registry=r)
        self.feed_subscribers = Gauge("hub_feed_subscribers", "Watchers of the feed.", registry=r)
        self.feed_events = Counter("hub_feed_events", "Events put on the feed.", registry=r)
        self.feed_catch_ups = Counter(
            "hub_feed_catch_ups", "Watchers that fell behind and read from the log.", registry=r
        )
        self.feed_gaps = Counter("hub_feed_gaps", "Gaps said to watchers.", registry=r)
        self._count_neighbours()
        self.insecure = Gauge("hub_insecure", "1: plain http is served beyond this machine.", registry=r)
        Gauge("hub_build_info", "1, with the version.", ["version"], registry=r).labels(version).set(1)

    def _count_neighbours(self) -> None:
        """What stands between this hub and those it tells: Redis, and webhooks."""
        r = self.registry
        self.redis_up = Gauge("hub_redis_up", "1 while the Redis of the settings answers.", registry=r)
        self.outbox_letters = Gauge("hub_outbox_letters", "Endings that Redis has not heard.", registry=r)
        self.letters = Counter("hub_letters", "Endings that were told to Redis.", ["outcome"], registry=r)
        self.stream_requests = Counter(
            "hub_stream_requests", "Requests read from Redis.", ["outcome"], registry=r
        )
        self.stream_runs = Gauge(
            "hub_stream_runs", "Runs under way that were asked for by Redis.", registry=r
        )
        self.webhook_deliveries = Counter(
            "hub_webhook_deliveries", "Tries to tell a webhook of an event.", ["outcome"], registry=r
        )
        self.webhook_pending = Gauge(
            "hub_webhook_pending", "Deliveries that webhooks still have to get.", registry=r
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
