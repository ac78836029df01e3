"""Whether this sidecar takes work now, by its owner's wish: rules, a pause, and what has been started.

Owns the starts of the last day, the pause, the last load, and what was said of it all to the hub. Pure: the
desk tells it what happens and when. Never stops a run: work in hand goes on whatever a rule says.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

import msgspec

from protocol.frames import Resting
from sidecar.events import Now, Pause
from sidecar.house_rules import DAY_MS, QUIET, HouseRules
from sidecar.runners.contract import Order

LOOK_EVERY_MS: Final = 2_000
"""How late a rule may begin or end: it is judged by the wall's clock, which may jump, so no timer tells."""

PAUSED: Final = "paused"


class House:
    """The owner's rules in force."""

    def __init__(self, rules: HouseRules | None = None, starts: Iterable[int] = ()) -> None:
        self.rules = rules or HouseRules()
        self.starts = sorted(starts)[-self.rules.runs_remembered :] if self.rules.runs_remembered else []
        self.resting: Resting | None = None
        """As it is now."""
        self._said: Resting | None = None
        self._pause: Pause | None = None
        self._load = 0.0
        self._looked_ms = 0

    # --- what happens

    def hear(self, pause: Pause | None, load: float) -> None:
        """What the owner's switch and the machine say."""
        self._pause, self._load = pause, load

    def note_start(self, wall_ms: int) -> None:
        """One more run."""
        if self.rules.runs_remembered:
            self.starts.append(wall_ms)
            del self.starts[: -self.rules.runs_remembered]

    def look(self, now: Now) -> None:
        """Judge anew."""
        self._looked_ms = now.mono_ms
        if not self.rules.has_any and self._pause is None:
            self.resting = None
            return
        self._forget(now.wall_ms)
        self.resting = self._judged(now.wall_ms)

    def _judged(self, wall_ms: int) -> Resting | None:
        pause = self._pause
        if pause is not None and (pause.until is None or pause.until > wall_ms):
            return Resting(reason=PAUSED, until=pause.until)
        was = self.resting
        is_known = was is not None and was.reason == QUIET and (was.until is None or was.until > wall_ms)
        if is_known and self.rules.is_quiet(wall_ms):
            return was  # its end is dear to find
        return self.rules.judge(
            wall_ms, self.starts, self._load, was_loaded=was is not None and was.reason == "load"
        )

    def _forget(self, wall_ms: int) -> None:
        """Starts of more than a day ago; and those that a clock which was put back has left in the future
        count as of now, or they would hold for ever."""
        starts = self.starts
        if starts and starts[-1] > wall_ms:
            starts[:] = [min(start, wall_ms) for start in starts]
        del starts[: bisect_right(starts, wall_ms - DAY_MS)]

    # --- what follows

    def due_ms(self) -> int | None:
        """When to look again (monotonic)."""
        if not self.rules.has_any and self._pause is None:
            return None
        return self._looked_ms + LOOK_EVERY_MS

    @property
    def has_news(self) -> bool:
        """Whether the hub believes something else than what is so."""
        return self._said != self.resting

    def said(self) -> Resting | None:
        """What is so, for a frame that says it to the hub."""
        self._said = self.resting
        return self.resting

    def bounded(self, order: Order) -> Order:
        """The order with the owner's own bound on a run, where that is the shorter one."""
        most_ms = self.rules.run_ms_max
        if not most_ms or (order.time_left_ms is not None and order.time_left_ms <= most_ms):
            return order
        return msgspec.structs.replace(order, time_left_ms=most_ms, is_cut_by_owner=True)
