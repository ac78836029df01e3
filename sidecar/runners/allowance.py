"""The time a run may take, as a clock that can rest.

Owns one timer of the loop. While a person is asked it rests, and goes on with what was left: a question gives
a run no time and takes none. Never decides what happens when the time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.clock import loop_s


class Allowance:
    """So much time, of which only what passes between `run` and `rest` counts."""

    def __init__(self, ms: float, is_up: Callable[[], None]) -> None:
        self.left_ms = max(0.0, ms)
        self._is_up = is_up
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def run(self) -> None:
        """Time passes from now on. Nothing when it does already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self.left_ms / 1000, self._is_up)

    def rest(self) -> None:
        """Time stands still; what is left is kept. Nothing when it does already."""
        if self._timer is not None:
            self.left_ms = max(0.0, (self._timer.when() - loop_s()) * 1000)
            self._timer.cancel()
            self._timer = None
