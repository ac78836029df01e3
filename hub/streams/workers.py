"""The agent `hub:streams` with all that belongs to it: orders out, results in.

Owns when there is one: where runs go out by streams, or where some of an earlier life still are. A hub that
sends none out reads no results either, because it would take them from whoever asked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hub.core.runs import STREAMS_AGENT
from hub.inner.agent import InnerAgent
from hub.streams.publisher import SLOTS, Publisher
from hub.streams.results import Results, Runs
from streams.inbox import ResultInbox
from streams.link import Streams
from streams.writer import Writer

if TYPE_CHECKING:
    from hub.core.board import Board
    from hub.crashpoints import Crasher
    from hub.dispatcher import Dispatcher
    from hub.ports import Clock
    from hub.registry import Registry
    from hub.settings import Settings


def are_wanted(settings: Settings, board: Board) -> bool:
    """Whether this hub has anything to do with workers behind Redis."""
    if not settings.redis:
        return False
    runs = (task.spec.run for task in board.open_tasks())
    return settings.runs_by == "streams" or any(run is not None and run.route == "streams" for run in runs)


class Workers:
    """`run` belongs in the hub's TaskGroup, `close` before the link is closed."""

    def __init__(
        self,
        settings: Settings,
        streams: Streams,
        writer: Writer,
        *,
        board: Board,
        dispatcher: Dispatcher,
        registry: Registry,
        clock: Clock,
        runs: Runs,
        crasher: Crasher,
        reader_name: str,
    ) -> None:
        self._publisher = Publisher(streams, writer, clock, accept_ms=settings.accept_ms, crasher=crasher)
        self.agent = InnerAgent(
            STREAMS_AGENT,
            self._publisher,
            board=board,
            inbox=dispatcher,
            lines=registry,
            clock=clock,
            heartbeat_ms=settings.heartbeat_ms,
            slots=SLOTS,
        )
        self._inbox = ResultInbox(streams, writer, name=reader_name)
        self.results = Results(streams, self._inbox, self.agent, runs, board.view_task, crasher)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.agent.run())
            group.create_task(self._publisher.run(self.agent.accepted))
            group.create_task(self.results.run())

    async def close(self) -> None:
        await self._inbox.reader.close()
