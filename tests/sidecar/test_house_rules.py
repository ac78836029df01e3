"""The owner's rules: how their words are read, and what they mean at a moment, also while clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from protocol.frames import Resting
from sidecar.house_rules import (
    DAY_MS,
    EVERY_DAY,
    HOUR_MS,
    LOAD_BACK,
    QUIET_HOURS_MAX,
    BadRule,
    HouseRules,
    quiet_hours,
)
from sidecar.wall import rules_of, zone_named

BERLIN = "Europe/Berlin"


def at(text: str, *, zone: str = BERLIN, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def quiet(*windows: str, zone: str = BERLIN) -> HouseRules:
    return rules_of(quiet=windows, time_zone=zone)


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("22:00-07:00", EVERY_DAY),
        ("mon-fri 22:00-07:00", {0, 1, 2, 3, 4}),
        ("Sat+Sun  22:00 - 07:00", {5, 6}),
        ("fri-mon+wed 22:00-07:00", {4, 5, 6, 0, 2}),
        ("sun 22:00-07:00", {6}),
    ],
)
def test_a_window_has_days_on_which_it_begins(text: str, days: set[int]) -> None:
    assert quiet_hours(text) == (frozenset(days), 22 * 60, 7 * 60)


@pytest.mark.parametrize(
    "text",
    ["", "22-7", "22:00", "24:00-07:00", "22:00-24:01", "22:60-07:00", "07:00-07:00", "someday 1:00-2:00"],
)
def test_a_window_that_nobody_can_read_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(BadRule, match=f"`{text}`"):
        quiet_hours(text)


def test_a_day_may_be_quiet_from_its_first_minute_to_its_last() -> None:
    rules = quiet("sat 00:00-24:00")
    assert not rules.is_quiet(at("2026-11-20T23:59"))
    assert rules.is_quiet(at("2026-11-21T00:00"))
    assert rules.is_quiet(at("2026-11-21T23:59"))
    assert not rules.is_quiet(at("2026-11-22T00:00"))


def test_there_may_be_so_many_windows_and_no_more() -> None:
    assert len(quiet(*["1:00-2:00"] * QUIET_HOURS_MAX).quiet) == QUIET_HOURS_MAX
    with pytest.raises(BadRule, match="at most"):
        quiet(*["1:00-2:00"] * (QUIET_HOURS_MAX + 1))


def test_a_zone_that_does_not_exist_is_refused_and_none_is_the_machines_own() -> None:
    assert zone_named("") is None
    with pytest.raises(BadRule, match="Mars/Olympus"):
        zone_named("Mars/Olympus")
    local = datetime.fromtimestamp(1_700_000_000, UTC).astimezone()
    begin, end = local - timedelta(minutes=1), local + timedelta(minutes=1)
    assert rules_of(quiet=[f"{begin:%H:%M}-{end:%H:%M}"]).is_quiet(1_700_000_000_000)


# --- quiet hours --------------------------------------------------------------------------------------------


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    rules = quiet("fri 22:00-07:00")
    assert not rules.is_quiet(at("2026-11-20T21:59"))
    assert rules.is_quiet(at("2026-11-20T22:00"))
    assert rules.is_quiet(at("2026-11-21T06:59"))
    assert not rules.is_quiet(at("2026-11-21T07:00"))
    assert not rules.is_quiet(at("2026-11-21T22:30"))
    assert not rules.is_quiet(at("2026-11-20T06:00"))


def test_quiet_lasts_until_the_first_minute_that_is_not_over_all_windows() -> None:
    rules = quiet("22:00-07:00", "06:30-09:00", "sat+sun 09:00-12:00")
    assert rules.quiet_until(at("2026-11-19T23:10")) == at("2026-11-20T09:00")
    assert rules.quiet_until(at("2026-11-20T23:10")) == at("2026-11-21T12:00")
    assert quiet("00:00-24:00").quiet_until(at("2026-11-19T23:10")) is None


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-28T23:00", "2026-03-29T03:00"),  # 02:00 becomes 03:00
        ("2026-10-24T23:00", "2026-10-25T02:30"),  # 03:00 becomes 02:00 once more
    ],
)
def test_the_nights_in_which_the_clock_is_changed_end_by_the_clock_on_the_wall(now: str, until: str) -> None:
    assert quiet("22:00-02:30").quiet_until(at(now)) == at(until)


def test_an_hour_that_comes_twice_is_quiet_twice_and_one_that_never_comes_is_not() -> None:
    rules = quiet("02:15-02:45")
    assert rules.is_quiet(at("2026-10-25T02:30", fold=0))
    assert not rules.is_quiet(at("2026-10-25T02:10", fold=1))
    assert rules.is_quiet(at("2026-10-25T02:30", fold=1))
    before = at("2026-03-29T01:59")
    assert not any(rules.is_quiet(before + minute * 60_000) for minute in range(60))


# --- limits -------------------------------------------------------------------------------------------------

NOW = 1_700_000_000_000


def test_the_last_run_of_an_hour_is_allowed_and_the_next_waits_until_the_first_is_an_hour_old() -> None:
    rules = rules_of(runs_per_hour=2)
    assert rules.judge(NOW, [NOW - 10], 0) is None
    full = rules.judge(NOW, [NOW - 30_000, NOW - 10], 0)
    assert full == Resting(reason="runs_per_hour", until=NOW - 30_000 + HOUR_MS)
    assert rules.judge(NOW, [NOW - HOUR_MS, NOW - 10], 0) is None
    assert rules.judge(NOW, [NOW - HOUR_MS + 1, NOW - 10], 0) is not None


def test_the_longer_of_two_limits_is_named() -> None:
    rules = rules_of(runs_per_hour=1, runs_per_day=2)
    starts = [NOW - 5 * HOUR_MS, NOW - 10]
    assert rules.judge(NOW, starts, 0) == Resting(reason="runs_per_day", until=NOW - 5 * HOUR_MS + DAY_MS)
    assert rules.judge(NOW, starts[1:], 0) == Resting(reason="runs_per_hour", until=NOW - 10 + HOUR_MS)
    assert rules.runs_remembered == 2


def test_a_load_above_the_bound_rests_until_it_is_clearly_below() -> None:
    rules = rules_of(load_max=2.0)
    assert rules.judge(NOW, [], 2.0) is None
    assert rules.judge(NOW, [], 2.01) == Resting(reason="load")
    assert rules.judge(NOW, [], 2.0 * LOAD_BACK + 0.01, was_loaded=True) == Resting(reason="load")
    assert rules.judge(NOW, [], 2.0 * LOAD_BACK, was_loaded=True) is None


def test_without_any_rule_nothing_is_looked_at() -> None:
    assert not rules_of().has_any
    assert not rules_of(run_minutes_max=5).has_any
    assert rules_of(run_minutes_max=5).run_ms_max == 300_000
    assert all(
        rules.has_any
        for rules in (
            quiet("1:00-2:00"),
            rules_of(runs_per_hour=1),
            rules_of(runs_per_day=1),
            rules_of(load_max=0.1),
        )
    )
