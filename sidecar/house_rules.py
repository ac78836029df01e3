"""The rules that the owner of a machine sets for its sidecar: quiet hours, runs an hour and a day, load.

Owns how the words are read and what they mean at a moment. Pure: it is told the time, the load and the
starts, and never reads a clock, a file or the machine. What follows from a rule is the desk's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from protocol.frames import Resting

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = frozenset(range(7))

QUIET_HOURS_MAX: Final = 16
"""Windows of one sidecar: two for each day of the week, and two to spare. Each is looked at every time."""

RUNS_MAX: Final = 10_000
"""An hour or a day. More is no limit that a person sets, and every start of the day is remembered."""

RUN_MINUTES_MAX: Final = 7 * 24 * 60
"""A week, which is also the longest that a hub lets a task run."""

LOAD_MAX: Final = 100.0
"""Per core: nothing works at a hundred times what a machine can do."""

LOAD_BACK: Final = 0.9
"""Work is taken again when the load is down to this share of the bound, so that it does not flicker there."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MINUTE_MS: Final = 60_000

LOOK_AHEAD_MINUTES: Final = 8 * 24 * 60
"""How far the end of quiet hours is looked for: whatever a week holds comes again. Quiet all week has no
end."""

QUIET: Final = "quiet_hours"

_WINDOW: Final = re.compile(r"(?:([a-z+\-]+)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)


class BadRule(ValueError):
    """A rule that cannot be read; the sentence quotes it."""


class OnTheWall(NamedTuple):
    """What a clock on the wall shows: the day of the week (Monday is 0), and minutes since midnight."""

    day: int
    minute: int


Local: TypeAlias = Callable[[int], OnTheWall]
"""From unix milliseconds to the wall; `wall.py` makes it."""


class QuietHours(NamedTuple):
    """A window of the wall's clock. `days` are those on which it begins; it may go over midnight."""

    days: frozenset[int]
    begin: int
    """Minutes after midnight."""
    end: int

    def holds(self, moment: OnTheWall) -> bool:
        """Whether it is quiet at this moment, by the clock that a person on the spot would look at."""
        day, minute = moment
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        yesterday = (day - 1) % 7
        return (day in self.days and minute >= self.begin) or (yesterday in self.days and minute < self.end)


def quiet_hours(text: str) -> QuietHours:
    """`22:00-07:00`, or with days: `mon-fri 09:00-17:00`, `sat+sun 00:00-24:00`. BadRule says more."""
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        raise BadRule(f"`{text}` is no window of quiet hours: write 22:00-07:00, or mon-fri 09:00-17:00")
    days, *times = found.groups()
    begin_hour, begin_minute, end_hour, end_minute = (int(number) for number in times)
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if begin_minute > 59 or end_minute > 59 or begin >= 24 * 60 or end > 24 * 60:
        raise BadRule(f"`{text}`: a day goes from 00:00 to 24:00")
    if begin == end:
        raise BadRule(f"`{text}` ends when it begins: for a whole day write 00:00-24:00")
    return QuietHours(_days_of(days, text), begin, end)


def _days_of(words: str | None, text: str) -> frozenset[int]:
    """`mon-fri+sun`; a range may go over the end of the week."""
    if words is None:
        return EVERY_DAY
    found: set[int] = set()
    for part in words.split("+"):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise BadRule(f"`{text}`: days are {', '.join(DAYS)}, as in mon-fri or sat+sun")
        start = DAYS.index(first)
        count = (DAYS.index(last) - start) % 7 if dash else 0
        found |= {(start + n) % 7 for n in range(count + 1)}
    return frozenset(found)


class HouseRules(Struct, frozen=True, kw_only=True):
    """All rules of one sidecar. Zero means that there is none of that kind."""

    quiet: tuple[QuietHours, ...] = ()
    runs_per_hour: int = 0
    runs_per_day: int = 0
    run_ms_max: int = 0
    load_max: float = 0.0
    """Load average per core."""
    local: Local | None = None
    """Where there are quiet hours: whose clock is meant."""

    @property
    def has_any(self) -> bool:
        """Whether the hour, the starts or the load matter at all."""
        return bool(self.quiet or self.runs_per_hour or self.runs_per_day or self.load_max)

    @property
    def runs_remembered(self) -> int:
        """How many starts must be known to judge by."""
        return max(self.runs_per_hour, self.runs_per_day)

    def is_quiet(self, wall_ms: int) -> bool:
        """Whether any window holds now."""
        if self.local is None:
            return False
        moment = self.local(wall_ms)
        return any(window.holds(moment) for window in self.quiet)

    def quiet_until(self, wall_ms: int) -> int | None:
        """The first minute after now that is not quiet. By minutes and not by adding up hours: so a clock
        that is put forward or back in the night is right, and windows that overlap are one."""
        minute = wall_ms - wall_ms % MINUTE_MS
        for _ in range(LOOK_AHEAD_MINUTES):
            minute += MINUTE_MS
            if not self.is_quiet(minute):
                return minute
        return None

    def judge(
        self, wall_ms: int, starts: Sequence[int], load: float, *, was_loaded: bool = False
    ) -> Resting | None:
        """The first rule that holds: why no work is taken, and until when as far as that is known."""
        if self.quiet and self.is_quiet(wall_ms):
            return Resting(reason=QUIET, until=self.quiet_until(wall_ms))
        for reason, limit, window_ms in (
            ("runs_per_day", self.runs_per_day, DAY_MS),
            ("runs_per_hour", self.runs_per_hour, HOUR_MS),
        ):
            if limit and len(starts) >= limit and starts[-limit] > wall_ms - window_ms:
                return Resting(reason=reason, until=starts[-limit] + window_ms)
        bound = self.load_max * (LOAD_BACK if was_loaded else 1.0)
        return Resting(reason="load") if self.load_max and load > bound else None
