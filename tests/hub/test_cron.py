"""Cron against the wall of time zones: the words, the gaps and folds, and a search that looks at every
minute.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.runs import cron
from hub.runs.cron import CRON_LENGTH_MAX, CronError, ZoneError, next_after, parse, zone_of

ZONES: Final = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # its clocks move by half an hour
    "America/St_Johns",
    "Africa/Casablanca",  # its summer time has a hole
    "America/Santiago",  # its days begin at one in spring
    "Pacific/Apia",
    "Asia/Kathmandu",
)
MINUTE_MS: Final = 60_000


def ms(text: str) -> int:
    """An instant, or the wall's time with its offset."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def dues(text: str, zone: str, after: str, count: int) -> list[str]:
    """The next due times as the wall of the zone shows them, with the offset."""
    found, wall_ms, there = [], ms(after), zone_of(zone)
    for _ in range(count):
        due_ms = next_after(parse(text), there, wall_ms)
        assert due_ms is not None
        assert due_ms > wall_ms
        found.append(datetime.fromtimestamp(due_ms // 1000, there).isoformat(timespec="minutes"))
        wall_ms = due_ms
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 7 * * 1-5", ["2026-01-02T07:00+00:00", "2026-01-05T07:00+00:00"]),
        ("0 7 * * MON-FRI", ["2026-01-02T07:00+00:00", "2026-01-05T07:00+00:00"]),
        ("*/20 9 1 jan *", ["2027-01-01T09:00+00:00", "2027-01-01T09:20+00:00"]),
        ("5,10-12/2 0 * * *", ["2026-01-02T00:05+00:00", "2026-01-02T00:10+00:00", "2026-01-02T00:12+00:00"]),
        ("0 0 * * 0", ["2026-01-04T00:00+00:00"]),
        ("0 0 * * 7", ["2026-01-04T00:00+00:00"]),
        ("0 0 * * SUN", ["2026-01-04T00:00+00:00"]),
        ("0 0 * * fri-sun", ["2026-01-02T00:00+00:00", "2026-01-03T00:00+00:00", "2026-01-04T00:00+00:00"]),
        ("0 0 * * 5-7", ["2026-01-02T00:00+00:00", "2026-01-03T00:00+00:00", "2026-01-04T00:00+00:00"]),
        ("@daily", ["2026-01-02T00:00+00:00"]),
        ("@Hourly", ["2026-01-01T13:00+00:00"]),
        ("@weekly", ["2026-01-04T00:00+00:00"]),
        ("@monthly", ["2026-02-01T00:00+00:00"]),
        ("@yearly", ["2027-01-01T00:00+00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
        # Both days are given: either is enough. A star before a step leaves it at both.
        ("0 0 13 * FRI", ["2026-01-02T00:00+00:00", "2026-01-09T00:00+00:00", "2026-01-13T00:00+00:00"]),
        ("0 0 */2 * FRI", ["2026-01-09T00:00+00:00", "2026-01-23T00:00+00:00"]),
        ("0 0 30 2 MON", ["2026-02-02T00:00+00:00"]),
    ],
)
def test_a_cron_means_what_crontab_says(text: str, expected: list[str]) -> None:
    assert dues(text, "UTC", "2026-01-01T12:00:00+00:00", len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "0 fields instead of five"),
        ("* * * *", "4 fields instead of five"),
        ("* * * * * *", "6 fields instead of five"),
        ("@reboot", "@reboot is not one of @yearly"),
        ("60 * * * *", "minute: '60' is not a number from 0 to 59"),
        ("* 24 * * *", "hour: '24' is not a number from 0 to 23"),
        ("* * 0 * *", "day of month: '0' is not a number from 1 to 31"),
        ("* * * 13 *", "month: '13' is not a number from 1 to 12 or jan to dec"),
        ("* * * * 8", "day of week: '8' is not a number from 0 to 7 or sun to sat"),
        ("* * * mon *", "month: 'mon'"),
        ("* * * * L", "day of week: 'L'"),
        ("-1 * * * *", "minute: ''"),
        ("1,,2 * * * *", "minute: ''"),
        ("٣ * * * *", "minute: '٣'"),
        ("30-10 * * * *", "minute: 30-10 ends before it begins"),
        ("* * * * FRI-MON", "day of week: FRI-MON ends before it begins"),
        ("*/0 * * * *", "minute: '0' is not a step from 1 to 59"),
        ("*/60 * * * *", "minute: '60' is not a step from 1 to 59"),
        ("*/ * * * *", "minute: '' is not a step"),
        ("5/15 * * * *", "minute: a step needs a range before it, as in 0-59/2"),
        ("0 0 30 2 *", "day of month: 30 never comes in month 2"),
        ("0 0 31 4,6,9,11 *", "day of month: 31 never comes in month 4,6,9,11"),
        ("99999999999 * * * *", "minute: '99999999999'"),
    ],
)
def test_a_mistake_names_its_field(text: str, sentence: str) -> None:
    with pytest.raises(CronError) as wrong:
        parse(text)
    assert sentence in str(wrong.value)


def test_a_cron_has_room_for_so_much_and_no_more() -> None:
    fits = "00" + ",0" * ((CRON_LENGTH_MAX - 10) // 2) + " * * * *"
    assert len(fits) == CRON_LENGTH_MAX
    assert parse(fits).minutes == {0}
    with pytest.raises(CronError, match=f"may have {CRON_LENGTH_MAX} characters"):
        parse(fits + " ")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "..", "/etc/passwd", "America", "Europe/\x00", "é" * 9])
def test_a_zone_that_is_none_is_said_in_a_sentence(name: str) -> None:
    with pytest.raises(ZoneError, match="is not a time zone"):
        zone_of(name)


def test_a_time_that_the_wall_leaves_out_runs_at_the_first_instant_after_the_gap() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert dues("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", 2) == [
        "2026-03-29T03:00+02:00",  # two times of the gap are one instant
        "2026-03-30T02:00+02:00",
    ]
    assert dues("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00-04:00", 1) == ["2026-09-06T01:00-03:00"]
    assert dues("0 7 * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", 2) == [
        "2011-12-31T00:00+14:00",  # there was no 30th
        "2011-12-31T07:00+14:00",
    ]


def test_a_time_that_the_wall_shows_twice_runs_once() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    between = "2026-10-25T02:10:00+01:00"
    assert dues("30 2 * * *", "Europe/Berlin", between, 1) == ["2026-10-26T02:30+01:00"]


def test_the_longest_wait_is_found_and_a_calendar_without_an_end_is_not_searched() -> None:
    assert dues("0 0 29 2 */7", "UTC", "2080-01-01T00:00:00+00:00", 1) == ["2088-02-29T00:00+00:00"]
    assert dues("0 0 29 2 */7", "UTC", "2088-03-01T00:00:00+00:00", 1) == ["2128-02-29T00:00+00:00"]
    assert next_after(parse("* * * * *"), UTC, ms("9990-01-01T00:00:00+00:00")) is None


def test_what_is_due_lies_after_the_instant_and_never_at_it() -> None:
    due = ms("2026-01-01T12:00:00+00:00")
    assert next_after(parse("* * * * *"), UTC, due) == due + MINUTE_MS
    assert next_after(parse("* * * * *"), UTC, due - 1) == due
    assert next_after(parse("* * * * *"), UTC, due + 59_999) == due + MINUTE_MS


# --- against a search that looks at every minute ------------------------------------------------------------


@lru_cache
def field(text: str, low: int, high: int) -> frozenset[int]:
    """Read on its own, with no regard to names or mistakes."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        bounds = (low, high) if span == "*" else (int(first), int(last or first))
        found |= set(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return frozenset(found)


def shows(text: str, wall: datetime) -> bool:
    minute, hour, day, month, weekday = text.split()
    is_day = wall.day in field(day, 1, 31)
    is_weekday = wall.isoweekday() % 7 in {value % 7 for value in field(weekday, 0, 6)}
    is_either = not day.startswith("*") and not weekday.startswith("*")
    return (
        wall.minute in field(minute, 0, 59)
        and wall.hour in field(hour, 0, 23)
        and wall.month in field(month, 1, 12)
        and ((is_day or is_weekday) if is_either else (is_day and is_weekday))
    )


def by_the_minute(text: str, zone: tzinfo, start: datetime, days: int) -> list[datetime]:
    """Every minute of UTC that is due: the wall goes from one minute to the next, so what it jumped over is
    due now, and what it has shown before is not due again.
    """
    found: list[datetime] = []
    furthest = (start - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None)
    for number in range(days * 24 * 60):
        now = start + timedelta(minutes=number)
        wall = now.astimezone(zone).replace(tzinfo=None)
        while furthest < wall:
            furthest += timedelta(minutes=1)
            if shows(text, furthest) and (not found or found[-1] != now):
                found.append(now)
    return found


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high).map(str)
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda two: f"{min(two)}-{max(two)}")
    stepped = st.tuples(st.one_of(span, st.just("*")), st.integers(1, high)).map(
        lambda two: f"{two[0]}/{two[1]}"
    )
    return st.lists(st.one_of(one, span, stepped), min_size=1, max_size=3).map(",".join)


CRONS: Final = st.tuples(
    numbers(0, 59),
    numbers(0, 23),
    st.one_of(st.just("*"), numbers(1, 28)),
    st.one_of(st.just("*"), numbers(1, 12)),
    st.one_of(st.just("*"), numbers(0, 6)),
).map(" ".join)

CHANGES: Final = {
    "UTC": "2028-02-27",
    "Europe/Berlin": "2026-03-28",
    "America/New_York": "2026-10-31",
    "Australia/Lord_Howe": "2026-04-04",
    "America/St_Johns": "2026-03-07",
    "Africa/Casablanca": "2026-02-14",
    "America/Santiago": "2026-09-05",
    "Pacific/Apia": "2011-12-29",
    "Asia/Kathmandu": "2026-12-30",
}
"""The day before something happens to the wall."""


@pytest.mark.parametrize("name", ZONES)
@given(text=CRONS)
@settings(max_examples=6, deadline=None)
def test_around_a_change_it_is_due_when_a_look_at_every_minute_says_so(name: str, text: str) -> None:
    zone = zone_of(name)
    start = datetime.fromisoformat(f"{CHANGES[name]}T00:00:00+00:00")
    expected = by_the_minute(text, zone, start, 3)
    found: list[datetime] = []
    end_ms = int((start + timedelta(days=3)).timestamp() * 1000)
    wall_ms = int(start.timestamp() * 1000) - 1
    while (due_ms := next_after(parse(text), zone, wall_ms)) is not None and due_ms < end_ms:
        found.append(datetime.fromtimestamp(due_ms // 1000, UTC))
        wall_ms = due_ms
    assert found == expected


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("text", ["30 2 * * *", "0 0 1,15 * 1", "15 1-3 * 3,4,9-11 *", "59 23 31 12 *"])
def test_over_years_no_day_is_left_out_and_none_comes_twice(name: str, text: str) -> None:
    """Three years of the wall's own times, each turned into an instant by walking there."""
    zone = zone_of(name)
    expected: set[int] = set()
    for day in range(3 * 365):
        for minute in (0, 15, 30, 59):
            for hour in (0, 1, 2, 3, 23):
                wall = datetime(2026, 1, 1, hour, minute) + timedelta(days=day)  # noqa: DTZ001  the wall's
                if shows(text, wall):
                    expected.add(first_shown(wall, zone))
    found, wall_ms = [], min(expected) - 1
    while (due_ms := next_after(parse(text), zone, wall_ms)) is not None and due_ms <= max(expected):
        found.append(due_ms)
        wall_ms = due_ms
    assert found == sorted(expected)
    assert all(later > earlier for earlier, later in pairwise(found))


def first_shown(wall: datetime, zone: tzinfo) -> int:
    """The first minute from which on the wall shows this or more: found by walking, not by its offset."""
    at = wall.replace(tzinfo=UTC) - timedelta(hours=26)
    for step in (timedelta(hours=1), timedelta(minutes=1)):
        while at.astimezone(zone).replace(tzinfo=None) < wall:
            at += step
        at -= step
    at += timedelta(minutes=1)
    return int(at.timestamp() * 1000)


def test_the_limits_of_the_search_lie_within_the_calendar() -> None:
    datetime(cron.YEAR_MAX + cron.YEARS_MAX, 12, 31, tzinfo=UTC)
