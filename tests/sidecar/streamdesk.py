"""A worker of Redis Streams in the test's own loop, whose runs wait at a gate of the test's.

Owns no test. The Redis is a real one; only what a run does is the test's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sidecar.runners.contract import StopSignal
from sidecar.streamwork.worker import Worker
from streams import names
from streams.entries import Request, Result
from streams.link import Streams
from tests.streams.servers import Reachable

BLOCK_MS = 100
LONG_MS = 600_000


def request(server: Reachable, run_id: str, plugin: str = "digest", **settings: Any) -> str:
    """Ask for a run, as a stranger does; the entry's id."""
    payload = {"plugin_run_id": run_id, "plugin_name": plugin, "user_id": 7, "settings": settings}
    return server.add(names.REQUESTS, payload=json.dumps(payload), published_at="1", schema_version="v1")


def results(server: Reachable) -> dict[str, list[dict[str, Any]]]:
    """All that was ever answered, by run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _, fields in server.entries(names.RESULTS):
        result = json.loads(fields["payload"])
        found.setdefault(result["plugin_run_id"], []).append(result)
    return found


def pending(server: Reachable) -> dict[str, tuple[str, int]]:
    return server.pending(names.REQUESTS, names.REQUEST_GROUP)


class Desk:
    """One worker, and what it was given to do. A run ends when the gate is open."""

    def __init__(self, server: Reachable, *, slots: int, drain_ms: int) -> None:
        self.streams = Streams(server.url, reply_s=2.0)
        self.begun: list[str] = []
        self.live = 0
        self.most_live = 0
        self.gate = asyncio.Event()
        self.why_not: str | None = None
        self.before_refusal: Callable[[], object] = lambda: None
        self.worker = Worker(
            self.streams,
            self.perform,
            self.refusal,
            slots=slots,
            drain_ms=drain_ms,
            block_ms=BLOCK_MS,
        )

    def refusal(self, request: Request) -> str | None:
        if self.why_not is not None:
            self.before_refusal()
        return self.why_not

    async def perform(self, request: Request, stop: StopSignal) -> Result | None:
        self.begun.append(request.plugin_run_id)
        self.live += 1
        self.most_live = max(self.live, self.most_live)
        gate, told = asyncio.Event(), self.gate
        stop.subscribe(gate.set)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(one.wait()) for one in (gate, told)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
        self.live -= 1
        if stop.is_set:
            return None
        return Result(plugin_run_id=request.plugin_run_id, status="completed", output="done")


@asynccontextmanager
async def working(
    server: Reachable, *, slots: int = 1, drain_ms: int = LONG_MS, is_open: bool = False
) -> AsyncIterator[Desk]:
    """A desk at work; stopped at the end, if it has not left by then."""
    desk = Desk(server, slots=slots, drain_ms=drain_ms)
    if is_open:
        desk.gate.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.worker.run())
        try:
            yield desk
        finally:
            desk.worker.stop()
    await desk.streams.close()
