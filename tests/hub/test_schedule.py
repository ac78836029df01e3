"""What a schedule does when its time has come, or has long gone by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from hub.runs.schedule import LATE_MS, Missed, Plan, Step, next_due, once_of, schedule_id_of, step

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
SEVEN = int(datetime.fromisoformat("2026-01-05T07:00:00+00:00").timestamp() * 1000)


def plan(**changed: Any) -> Plan:
    members = {"plugin": "digest", "user_id": 7, "settings": {"a": 1, "b": 2}, "cron": "0 7 * * *", **changed}
    return Plan(**members)


def test_its_time_has_come() -> None:
    assert step(plan(), SEVEN, SEVEN) == Step(SEVEN, None, SEVEN + DAY_MS)


def test_late_is_not_missed_up_to_a_bound() -> None:
    assert step(plan(), SEVEN, SEVEN + LATE_MS) == Step(SEVEN, None, SEVEN + DAY_MS)
    assert step(plan(), SEVEN, SEVEN + LATE_MS + 1) == Step(None, SEVEN, SEVEN + DAY_MS)


def test_what_was_missed_is_made_up_for_once_if_that_is_wanted() -> None:
    away_ms = 30 * DAY_MS + LATE_MS + 1
    once = step(plan(missed=Missed.ONCE), SEVEN, SEVEN + away_ms)
    assert once == Step(SEVEN, None, SEVEN + 31 * DAY_MS)


@pytest.mark.parametrize("missed", list(Missed))
def test_who_comes_back_at_a_due_time_begins_that_one_and_no_other(missed: Missed) -> None:
    back_ms = SEVEN + 3 * DAY_MS + MINUTE_MS
    now = step(plan(missed=missed), SEVEN, back_ms)
    assert (now.due_wall_ms, now.next_due_wall_ms) == (SEVEN + 3 * DAY_MS, SEVEN + 4 * DAY_MS)
    assert now.missed_wall_ms == (SEVEN if missed is Missed.SKIP else None)


def test_of_a_schedule_of_every_minute_only_the_last_begins() -> None:
    back_ms = SEVEN + 5 * MINUTE_MS + 1
    now = step(plan(cron="* * * * *"), SEVEN, back_ms)
    assert now == Step(SEVEN + 5 * MINUTE_MS, None, SEVEN + 6 * MINUTE_MS)


def test_the_same_plan_is_one_schedule_and_any_other_is_another() -> None:
    turned = plan(settings={"b": 2, "a": 1})
    assert schedule_id_of(turned) == schedule_id_of(plan())
    others = [
        plan(plugin="x"),
        plan(user_id=8),
        plan(settings={}),
        plan(cron="1 7 * * *"),
        plan(zone="Europe/Berlin"),
        plan(missed=Missed.ONCE),
        plan(plugin_id=4),
    ]
    assert len({schedule_id_of(one) for one in (plan(), *others)}) == 8


def test_the_biggest_user_survives_being_kept() -> None:
    kept = msgspec.json.decode(msgspec.json.encode(plan(user_id=2**64 - 1)), type=Plan)
    assert kept.user_id == 2**64 - 1


def test_a_run_is_named_by_its_schedule_and_its_due_time() -> None:
    assert once_of("sched-a", 1) == once_of("sched-a", 1)
    assert len({once_of("sched-a", 1), once_of("sched-a", 2), once_of("sched-b", 1)}) == 3


def test_a_due_time_is_that_of_its_zone() -> None:
    berlin = next_due(plan(zone="Europe/Berlin"), SEVEN)
    assert berlin == SEVEN + DAY_MS - 60 * MINUTE_MS
