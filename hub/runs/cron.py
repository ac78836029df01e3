"""When a schedule is due: five fields of cron, read against the wall of a time zone.

Owns the words of a cron and the one step that counts, from an instant to the next. A time that the wall
leaves out runs at the first instant after the gap, a time that the wall shows twice runs once, the first
time. Pure: the instant is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

CRON_LENGTH_MAX: Final = 256
"""Every minute of a day as a list would be longer; no person has written one as long."""

YEARS_MAX: Final = 41
"""How far ahead is looked: the 29th of February on a given day of the week comes every 28 years, and every 40
about a year like 2100."""

YEAR_MAX: Final = 9_999 - YEARS_MAX
"""Above it the calendar of the language ends before the search does."""

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SUNDAY_TOO: Final = 7

LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronError(ValueError):
    """The sentence names the field that is wrong."""


class ZoneError(ValueError):
    """No such time zone here."""


class Field(Struct, frozen=True):
    """One of the five: what it is called and what it may hold."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


MINUTE: Final = Field("minute", 0, 59)
HOUR: Final = Field("hour", 0, 23)
DAY: Final = Field("day of month", 1, 31)
MONTH: Final = Field("month", 1, 12, MONTHS)
WEEKDAY: Final = Field("day of week", 0, SUNDAY_TOO, WEEKDAYS)
FIELDS: Final = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)


class Cron(Struct, frozen=True):
    """What each field allows; 0 is Sunday. A day counts when both of its fields allow it, or, if neither
    begins with a star, when one of them does.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_either: bool

    def allows(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        is_day, is_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (is_day or is_weekday) if self.is_either else (is_day and is_weekday)


@lru_cache(maxsize=256)
def parse(text: str) -> Cron:
    """Raises CronError."""
    if len(text) > CRON_LENGTH_MAX:
        raise CronError(f"a cron may have {CRON_LENGTH_MAX} characters")
    words = NICKNAMES.get(text.strip().lower(), text).split()
    if len(words) == 1 and words[0].startswith("@"):
        raise CronError(f"{words[0]} is not one of {', '.join(NICKNAMES)}")
    if len(words) != len(FIELDS):
        raise CronError(
            f"{len(words)} fields instead of five: minute, hour, day of month, month and day of week"
        )
    minutes, hours, days, months, weekdays = (
        values_of(word, field) for word, field in zip(words, FIELDS, strict=True)
    )
    cron = Cron(
        minutes,
        hours,
        days,
        months,
        frozenset(value % SUNDAY_TOO for value in weekdays),
        is_either=not any(word.startswith("*") for word in (words[2], words[4])),
    )
    if not cron.is_either and min(days) > max(LONGEST[month - 1] for month in months):
        raise CronError(f"{DAY.name}: {words[2]} never comes in month {words[3]}")
    return cron


def values_of(word: str, field: Field) -> frozenset[int]:
    """A list of ranges, each perhaps with a step."""
    return frozenset(value for part in word.split(",") for value in range_of(part, field))


def range_of(part: str, field: Field) -> range:
    span, slash, step = part.partition("/")
    least, dash, most = span.partition("-")
    if span == "*":
        # A star stands for every value once: Sunday is the 0 there, or a step would count it twice.
        found = range(field.least, (6 if field is WEEKDAY else field.most) + 1)
    elif dash:
        first, last = value_of(least, field), value_of(most, field)
        last = SUNDAY_TOO if field is WEEKDAY and last == 0 < first else last
        if last < first:
            raise CronError(f"{field.name}: {span} ends before it begins")
        found = range(first, last + 1)
    elif slash:
        raise CronError(f"{field.name}: a step needs a range before it, as in {field.least}-{field.most}/2")
    else:
        found = range(one := value_of(span, field), one + 1)
    return found[:: step_of(step, field)] if slash else found


def value_of(word: str, field: Field) -> int:
    name = word.lower()
    if name in field.names:
        return field.names.index(name) + field.least
    if not is_number(word) or not field.least <= int(word) <= field.most:
        names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise CronError(f"{field.name}: {word!r} is not a number from {field.least} to {field.most}{names}")
    return int(word)


def step_of(word: str, field: Field) -> int:
    if not is_number(word) or not 1 <= int(word) <= field.most:
        raise CronError(f"{field.name}: {word!r} is not a step from 1 to {field.most}")
    return int(word)


def is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 4


def zone_of(name: str) -> tzinfo:
    """Raises ZoneError. UTC is there on a machine without time zones too."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError) as error:
        raise ZoneError(
            f"{name!r} is not a time zone of this machine, which go by names like Europe/Berlin"
        ) from error


def next_after(cron: Cron, zone: tzinfo, wall_ms: int) -> int | None:
    """The first due instant later than this one; None when there is none in YEARS_MAX years."""
    after = datetime.fromtimestamp(wall_ms // 1000, UTC)
    shown = after.astimezone(zone).replace(tzinfo=None)
    for local in times_from(cron, shown.replace(second=0)):
        due_ms = instant_ms(local, zone)
        if due_ms > wall_ms:
            return due_ms
    return None


def times_from(cron: Cron, first: datetime) -> Iterator[datetime]:
    """What the wall shows at each due time, from this one on."""
    hours, minutes = sorted(cron.hours), sorted(cron.minutes)
    for day in days_from(cron, first.date()):
        for hour in hours:
            for minute in minutes:
                local = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  the wall's, on purpose
                if local >= first:
                    yield local


def days_from(cron: Cron, first: date) -> Iterator[date]:
    if first.year > YEAR_MAX:
        return
    day, last = first, date(first.year + YEARS_MAX, 12, 31)
    while day <= last:
        if cron.allows(day):
            yield day
        if day.month in cron.months:
            day += timedelta(days=1)
        else:
            day = (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def instant_ms(local: datetime, zone: tzinfo) -> int:
    """When the wall first shows this, or the first instant after the gap in which it never does."""
    early, late = (int(local.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if datetime.fromtimestamp(early, zone).replace(tzinfo=None, fold=0) == local:
        return early * 1000
    return gap_end(min(early, late), max(early, late), zone) * 1000


def gap_end(before: int, after: int, zone: tzinfo) -> int:
    """The second in which the wall was put forward, between one before and one after it."""
    old = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
