"""The only module of the hub that reads a clock.

Owns the hub's idea of time: `ms` counts the time in which the hub was *awake*. While the process is
stopped, its loop is blocked or the disk holds up a commit, nobody is heard, so nobody may be called late:
such absences are taken out, and no deadline fires because the hub itself was away (L20). The wall's time is
for people and for the disk. Never decides what a deadline means.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from hub.core.task import Now

TICK_MS: Final = 250
"""How often the clock is looked at, at the least, so that a longer gap between two looks is an absence."""

ABSENCE_MS: Final = 1_000
"""A gap above this is an absence: far above any honest turn of the loop, far below the shortest deadline (2
s)."""

assert TICK_MS * 2 < ABSENCE_MS


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """For measuring how long something took; never for deciding."""
    return time.perf_counter()


def monotonic_ns() -> int:
    """For stamping lines of the history."""
    return time.monotonic_ns()


class HubClock:
    """Implements `ports.Clock`. Look at it at least every TICK_MS (`tick` does), or being idle is taken for
    absence."""

    def __init__(
        self, monotonic: Callable[[], int] = monotonic_ms, wall: Callable[[], int] = wall_ms
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._seen_ms = monotonic()
        self._absent_ms = 0

    @property
    def absent_ms(self) -> int:
        """How long the hub was away in all its life."""
        return self._absent_ms

    def now_ms(self) -> int:
        seen = self._monotonic()
        gap = seen - self._seen_ms
        self._seen_ms = seen
        if gap > ABSENCE_MS:
            self._absent_ms += gap - TICK_MS
        return seen - self._absent_ms

    def now(self) -> Now:
        return Now(self.now_ms(), self._wall())

    def forgive(self, absent_ms: int) -> None:
        """Count time as absence although the loop was turning: nothing could be decided in it."""
        assert absent_ms >= 0
        self._absent_ms += absent_ms

    async def sleep_until(self, due_ms: int) -> None:
        """Return when the time is at least `due_ms`, however often the hub is away in between."""
        while (left_ms := due_ms - self.now_ms()) > 0:  # noqa: ASYNC110 - time itself is what is waited for
            await asyncio.sleep(min(left_ms, TICK_MS) / 1000)

    async def breathe(self) -> None:
        """Let everybody else run once."""
        await asyncio.sleep(0)

    async def tick(self) -> None:
        """Look at the clock for ever."""
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            self.now_ms()


class Alarm:
    """Rings once when a deadline has come. Setting it later than it is costs nothing: it looks again when
    it fires."""

    def __init__(self, clock: HubClock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._due_ms: int | None = None
        self._armed_ms: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_ms: int | None) -> None:
        self._due_ms = due_ms
        if due_ms is not None and (self._armed_ms is None or due_ms < self._armed_ms):
            self._arm(due_ms)

    def cancel(self) -> None:
        self._due_ms = None
        self._disarm()

    def _arm(self, due_ms: int) -> None:
        self._disarm()
        self._armed_ms = due_ms
        delay_s = max(0, due_ms - self._clock.now_ms()) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._armed_ms = None

    def _fire(self) -> None:
        self._disarm()
        if self._due_ms is None:
            return
        if self._clock.now_ms() < self._due_ms:
            self._arm(self._due_ms)
            return
        self._due_ms = None
        self._ring()
