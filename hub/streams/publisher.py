"""Runs that workers behind Redis do: each order of `hub:streams` becomes an entry on `plugin:requests`.

Owns that there is one entry for each generation of a run, however often the hub dies while it publishes, and
that an entry which Redis has lost is published again while the run is out. Credentials are never among the
settings that it publishes: a stream keeps what it is given. Never learns how a run ends (`results.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from hub.core.task import RunSpec
from hub.crashpoints import Crasher, StreamPoint
from hub.inner.job import Job, Undelivered
from hub.ports import Clock
from streams import names
from streams.entries import Request, fields_of_request
from streams.link import Streams
from streams.trouble import RedisAway, RedisTrouble
from streams.writer import Writer

SLOTS: Final = 256
"""Runs that are out at once; more wait in the queue, where they can be seen and cancelled."""

PATIENCE_SHARE: Final = 2
"""So much of the time to accept an order may be spent waiting for Redis: a restart of it costs nothing."""

RETRY_AFTER_MS: Final = 45_000
"""Between two attempts to publish: with three of them an outage of a minute and a half fails no run."""

SWEEP_MS: Final = 5_000
"""How often Redis is asked whether it still knows what was published."""

IS_NO_RUN: Final = "only runs of plugins go out by streams"

logger = logging.getLogger(__name__)


class Publisher:
    """Implements `inner.Work`; `run` belongs in the hub's TaskGroup."""

    def __init__(
        self, streams: Streams, writer: Writer, clock: Clock, *, accept_ms: int, crasher: Crasher
    ) -> None:
        self._streams = streams
        self._writer = writer
        self._clock = clock
        self._patience_s = accept_ms / PATIENCE_SHARE / 1000
        self._crasher = crasher

    # --- inner.Work ------------------------------------------------------------------------------------

    async def deliver(self, job: Job) -> Undelivered | None:
        run = run_of(job)
        if run is None:
            return Undelivered(error=IS_NO_RUN, is_retryable=False)
        self._crasher.come_to(StreamPoint.REQUEST_BEFORE_PUBLISH)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._publish_patiently(job, run)
        except TimeoutError:
            reason = self._streams.trouble or "Redis did not answer in time"
            return Undelivered(
                error=f"the request was not published: {reason}", retry_after_ms=RETRY_AFTER_MS
            )
        except RedisTrouble as trouble:
            return Undelivered(
                error=f"the request was not published: {trouble}", retry_after_ms=RETRY_AFTER_MS
            )
        self._crasher.come_to(StreamPoint.REQUEST_AFTER_PUBLISH)
        return None

    def forget(self, job: Job) -> None:
        """Whoever works on it is not told: the protocol has no word for that (contracts §3)."""

    # --- what Redis knows ------------------------------------------------------------------------------

    async def run(self, jobs: Callable[[], Iterable[Job]]) -> None:
        """For ever: what is out and not known to Redis any more goes out again."""
        while True:
            await self._clock.sleep_until(self._clock.now().ms + SWEEP_MS)
            try:
                await self.look_after(jobs())
            except RedisTrouble:
                continue  # the link has told it

    async def look_after(self, jobs: Iterable[Job]) -> None:
        """One round over the jobs that are out."""
        out = [job for job in jobs if run_of(job) is not None]
        if not out:
            return
        found = await self._streams.commands.command("MGET", *(marker_of(job) for job in out))
        for job, entry in zip(out, found, strict=True):
            run = run_of(job)
            if run is not None and entry is None:
                logger.warning("! Redis has lost a request", extra={"plugin_run_id": run.plugin_run_id})
                await self._publish(job, run)

    async def _publish_patiently(self, job: Job, run: RunSpec) -> None:
        patience = self._streams.patience()
        while True:
            try:
                await self._publish(job, run)
                return
            except RedisAway:
                await patience.wait()

    async def _publish(self, job: Job, run: RunSpec) -> None:
        fields = fields_of_request(request_of(job, run), self._clock.now().wall_ms // 1000)
        await self._writer.post_once(marker_of(job), names.REQUESTS, fields, group=names.REQUEST_GROUP)


def run_of(job: Job) -> RunSpec | None:
    run = job.task.spec.run
    return run if run is not None and run.route == "streams" else None


def marker_of(job: Job) -> str:
    """One for each generation: a retry keeps the run's id and is asked for again (L86)."""
    run = run_of(job)
    assert run is not None, "only runs are published"
    return f"{names.REQUEST_MARKER}{run.plugin_run_id}:{job.generation}"


def request_of(job: Job, run: RunSpec) -> Request:
    """What a worker is asked. The inputs of a run's task are its settings without credentials (L40)."""
    spec = job.task.spec
    settings = msgspec.json.decode(spec.inputs) if spec.inputs is not None else {}
    return Request(
        plugin_run_id=run.plugin_run_id,
        plugin_name=spec.plugin or "",
        user_id=run.user_id,
        settings=settings if isinstance(settings, dict) else {},
    )
