"""The ladder of an agent that says too much."""

from __future__ import annotations

from hub.buckets import Bucket
from hub.ladder import (
    CALM_MS,
    CLOSES_WITHIN_MS,
    FLOODS_MAX,
    PAUSE_MS,
    QUARANTINE_MS,
    Ladder,
    Quarantine,
    Step,
)


def ladder(slots: int = 1) -> Ladder:
    return Ladder(frames_per_second=50, frames_burst=200, slots=slots, now_ms=0)


def test_a_bucket_refills_with_time_and_never_above_its_brim() -> None:
    bucket = Bucket(per_second=10, burst=2, now_ms=0)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert bucket.wait_ms() <= 101
    assert bucket.take(100)
    assert [bucket.take(1_000_000) for _ in range(3)] == [True, True, False]


def test_a_burst_is_heard_and_what_follows_pauses_the_link() -> None:
    rungs = ladder()
    assert {rungs.weigh(100, 0) for _ in range(200)} == {Step.HEAR}
    assert rungs.weigh(100, 0) is Step.PAUSE
    assert rungs.weigh(100, 0) is Step.DROP
    assert rungs.dropped == 2


def test_the_steady_rate_is_never_limited() -> None:
    rungs = ladder()
    assert {rungs.weigh(100, 20 * frame) for frame in range(2_000)} == {Step.HEAR}


def test_a_fleet_of_slots_may_say_more() -> None:
    rungs = ladder(slots=100)
    assert {rungs.weigh(100, 3 * frame) for frame in range(5_000)} == {Step.HEAR}


def test_a_flood_that_goes_on_closes_the_link() -> None:
    rungs = ladder()
    steps = [rungs.weigh(100, now_ms) for now_ms in range(0, FLOODS_MAX * (PAUSE_MS + 50) + PAUSE_MS, 2)]
    assert steps.count(Step.PAUSE) == FLOODS_MAX
    assert Step.CLOSE in steps


def test_floods_with_calm_between_them_do_not_add_up() -> None:
    rungs = ladder()
    seen: set[Step] = set()
    for flood in range(3 * FLOODS_MAX):
        start_ms = flood * 2 * CALM_MS
        seen |= {rungs.weigh(100, start_ms) for _ in range(300)}
    assert seen == {Step.HEAR, Step.PAUSE, Step.DROP}


def test_chatter_does_not_starve_heartbeats() -> None:
    rungs = ladder()
    for _ in range(1_000):
        rungs.weigh(100, 0)
    assert {rungs.weigh_life(10_000 * beat) for beat in range(10)} == {Step.HEAR}


def test_a_megabyte_a_second_is_as_much_as_fifty_frames() -> None:
    rungs = ladder()
    assert Step.PAUSE in {rungs.weigh(60_000, 0) for _ in range(100)}


def test_three_closes_within_ten_minutes_keep_a_name_out() -> None:
    quarantine = Quarantine()
    assert [quarantine.note_close("tok-1", now_ms) for now_ms in (0, 60_000, 120_000)] == [False, False, True]
    assert quarantine.left_ms("tok-1", 120_000) == QUARANTINE_MS
    assert quarantine.left_ms("tok-2", 120_000) == 0
    assert quarantine.left_ms("tok-1", 120_000 + QUARANTINE_MS) == 0


def test_three_closes_in_a_day_do_not() -> None:
    quarantine = Quarantine()
    assert not any(quarantine.note_close("tok-1", day * CLOSES_WITHIN_MS) for day in range(10))
