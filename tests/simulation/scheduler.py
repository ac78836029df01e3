"""The one heap that the whole simulated world runs on, and its one source of chance.

Owns virtual time, the order of everything that happens, and the trace of it. Two runs with one seed are the
same run. Never knows what it schedules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Final

US: Final = 1_000
"""Microseconds in a millisecond: the wire needs a finer order than the deciders' clocks."""

TRACE_LINES_MAX: Final = 400
"""Lines of trace that a failure shows: enough to read back to the cause, little enough to keep for every
run."""

Act = Callable[[], None]


class Scheduler:
    """Time in integer microseconds; equal times are ordered by chance, so that no order is relied on by
    accident."""

    __slots__ = ("_heap", "_n", "die", "now_us", "on_trace", "trace")

    def __init__(self, die: Random) -> None:
        self.die = die
        self.now_us = 0
        self.trace: deque[tuple[int, str, str, object]] = deque(maxlen=TRACE_LINES_MAX)
        self.on_trace: Callable[[str], None] | None = None
        self._heap: list[tuple[int, float, int, Act]] = []
        self._n = 0

    @property
    def now_ms(self) -> int:
        return self.now_us // US

    def after(self, delay_ms: float, act: Act) -> None:
        """Let `act` happen `delay_ms` from now."""
        self.at_us(self.now_us + int(delay_ms * US), act)

    def at_us(self, time_us: int, act: Act) -> None:
        """Let `act` happen at a time; one that has passed is now."""
        self._n += 1
        heappush(self._heap, (max(time_us, self.now_us), self.die.random(), self._n, act))

    def step(self) -> bool:
        """Let the next thing happen. False when nothing is left that could."""
        if not self._heap:
            return False
        self.now_us, _, _, act = heappop(self._heap)
        act()
        return True

    def note(self, who: str, what: str, about: object = "") -> None:
        """Remember a line of the trace; it is formatted only when somebody reads it."""
        self.trace.append((self.now_us, who, what, about))
        if self.on_trace is not None:
            self.on_trace(format_line(self.trace[-1]))

    def read_trace(self, last: int = TRACE_LINES_MAX) -> str:
        """The last lines of what happened, as text."""
        return "\n".join(format_line(line) for line in list(self.trace)[-last:])


def format_line(line: tuple[int, str, str, object]) -> str:
    time_us, who, what, about = line
    return f"{time_us / 1_000_000:11.6f}  {who:<12} {what:<22} {about}"
