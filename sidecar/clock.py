"""The only module of the sidecar that reads a clock.

Owns the sidecar's idea of time: monotonic for deciding, the wall's for people and for the journal, and how
long the machine has been asleep, which the monotonic clock does not count. Never decides what a deadline
means.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from sidecar.events import Now


class SidecarClock:
    """A double of it needs the same four methods."""

    def now(self) -> Now:
        """Both clocks at once."""
        return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)

    def asleep_ms(self) -> int:
        """How long the machine has slept in all; the wall's clock tells it where nothing else does."""
        mono_ns = time.monotonic_ns()
        if hasattr(time, "CLOCK_BOOTTIME"):
            return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - mono_ns) // 1_000_000
        return (time.time_ns() - mono_ns) // 1_000_000

    async def sleep(self, ms: float) -> None:
        """Return after `ms` of waking time."""
        await asyncio.sleep(max(0.0, ms) / 1000)

    async def wait(self, event: asyncio.Event, until_ms: int | None) -> None:
        """Return when the event is set, or when the monotonic time is at least `until_ms`."""
        if until_ms is None:
            await event.wait()
            return
        left_ms = until_ms - self.now().mono_ms
        if left_ms > 0 and not event.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_ms / 1000):
                    await event.wait()


def loop_s() -> float:
    """The running loop's own time: for what is left of one of its timers."""
    return asyncio.get_running_loop().time()


def monotonic_ns() -> int:
    """For stamping lines of the history; never for deciding."""
    return time.monotonic_ns()


def date_of(wall_ms: int) -> str:
    """A time for people, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_ms / 1000))
