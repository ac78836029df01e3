"""The loop of a sidecar without a hub: takes requests, no more than it can start, and brings results home.

Owns the slots, the order result, then acknowledgement, and the two ways to leave: finish what is in hand, or
stop it and give it back. A result whose Redis is away keeps its slot until it is out, so that no more wait
than there are slots. Never judges an entry (`streams.inbox` does) and never runs anything itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from sidecar.runners.contract import StopSignal
from sidecar.streamwork.effort import stops_within
from streams import names
from streams.entries import Request, Result
from streams.inbox import Asked, RequestInbox
from streams.link import Streams
from streams.trouble import RedisRefused, RedisTrouble
from streams.writer import Writer

STOP_GRACE_MS: Final = 5_000
"""Between TERM and KILL of a run whose sidecar leaves at once."""

Perform: TypeAlias = Callable[[Request, StopSignal], Awaitable[Result | None]]
"""How a request is done; None when it was told to stop."""

WhyNot: TypeAlias = Callable[[Request], str | None]
"""Why a request cannot be done here, before anything is started."""

log = logging.getLogger("sidecar.streamwork")


class Worker:
    """`run` is called once, and returns when all has been finished or given back."""

    def __init__(
        self,
        streams: Streams,
        perform: Perform,
        why_not: WhyNot,
        *,
        slots: int,
        drain_ms: int,
        block_ms: int = names.READ_BLOCK_MS,
    ) -> None:
        self._streams = streams
        self.inbox = RequestInbox(streams, Writer(streams), block_ms=block_ms)
        self._perform = perform
        self._why_not = why_not
        self._slots = slots
        self._drain_ms = drain_ms
        self._live: dict[str, StopSignal] = {}
        self._news = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None
        self._late: asyncio.TimerHandle | None = None
        self.is_leaving = False

    @property
    def runs_in_hand(self) -> int:
        return len(self._live)

    async def run(self) -> None:
        """Work until `leave` or `stop`."""
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._streams.run()), group.create_task(self.inbox.reader.tend())]
            async with asyncio.TaskGroup() as runs:
                self._taking = runs.create_task(self._take(runs))
            for one in beside:
                one.cancel()
        if self._late is not None:
            self._late.cancel()
        await self.inbox.reader.close()

    def leave(self) -> bool:
        """Take nothing any more and finish what is in hand. False: that was asked for already."""
        if self.is_leaving:
            return False
        self.is_leaving = True
        self._news.set()
        self._late = asyncio.get_running_loop().call_later(self._drain_ms / 1000, self.stop)
        return True

    def stop(self) -> None:
        """Stop every run and give it back: who looks next runs it again."""
        self.is_leaving = True
        if self._taking is not None:
            self._taking.cancel()
        for stop in self._live.values():
            stop.set("shutdown", 0 if stop.is_set else STOP_GRACE_MS)

    # --- one after the other

    async def _take(self, runs: asyncio.TaskGroup) -> None:
        while not self.is_leaving:
            free = self._slots - len(self._live)
            if free <= 0:
                self._news.clear()
                await self._news.wait()
                continue
            for asked in await self.inbox.take(free):
                self._begin(asked, runs)

    def _begin(self, asked: Asked, runs: asyncio.TaskGroup) -> None:
        if asked.entry_id in self._live:
            return  # lost to somebody while Redis was out of reach, and claimed back: its run is still on
        stop = StopSignal()
        if self.is_leaving:
            stop.set("shutdown", 0)  # it came with the last look: not begun, and given back
        self._live[asked.entry_id] = stop
        runs.create_task(self._work(asked, stop), name=f"run {asked.request.plugin_run_id}")

    async def _work(self, asked: Asked, stop: StopSignal) -> None:
        try:
            why_not = None if stop.is_set else self._why_not(asked.request)
            if why_not is None:
                await self._carry_out(asked, stop)
            else:
                await self._settle(asked, stop, lambda: self._refuse(asked, why_not))
        finally:
            del self._live[asked.entry_id]
            self._news.set()

    async def _carry_out(self, asked: Asked, stop: StopSignal) -> None:
        request = asked.request
        result = None if stop.is_set else await self._perform(request, stop)
        if result is None:
            await self.inbox.reader.release(asked.entry_id)
            log.info("run %s is given back", request.plugin_run_id)
            return
        if await self._settle(asked, stop, lambda: self._answer(asked, result)):
            log.info("run %s is %s", request.plugin_run_id, result.status)

    async def _settle(self, asked: Asked, stop: StopSignal, act: Callable[[], Awaitable[None]]) -> bool:
        """Say it until Redis has heard it; False when we had to leave before. Nothing is lost then: the entry
        is pending, and somebody runs it again.
        """
        patience = self._streams.patience()
        while True:
            try:
                await act()
            except RedisTrouble as trouble:
                if stop.is_set:
                    log.warning("run %s has no answer yet: %s", asked.request.plugin_run_id, trouble)
                    self.inbox.reader.leave(asked.entry_id)
                    return False
                if isinstance(trouble, RedisRefused):
                    log.warning("run %s cannot be answered yet: %s", asked.request.plugin_run_id, trouble)
                await stops_within(stop, patience.next_s() * 1000)
            else:
                return True

    # --- what Redis is told

    async def _answer(self, asked: Asked, result: Result) -> None:
        await self.inbox.answer(asked, result)

    async def _refuse(self, asked: Asked, why_not: str) -> None:
        await self.inbox.refuse(asked, why_not)
        log.warning("run %s is refused: %s", asked.request.plugin_run_id, why_not)
