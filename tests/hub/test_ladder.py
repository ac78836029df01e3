"""The ladder of an agent that says too much."""

from __future__ import annotations

from hub.buckets import Bucket
from hub.ladder import (
    BURST_S,
    CALM_MS,
    CLOSES_WITHIN_MS,
    FLOODS_MAX,
    FRAMES_A_SLOT_PER_SECOND,
    GAPS_MAX,
    PAUSE_MS,
    QUARANTINE_MS,
    SLOTS_COUNTED_MAX,
    Ladder,
    Quarantine,
    Step,
)
from protocol.frames import Status, TaskLog, TaskProgress
from protocol.ids import Generation, TaskId
from protocol.limits import SLOTS_MAX


def ladder(slots: int = 1) -> Ladder:
    return Ladder(frames_per_second=50, frames_burst=200, slots=slots, now_ms=0)


def test_what_was_asked_for_gives_back_what_it_takes_and_never_more_than_the_burst() -> None:
    bucket = Bucket(per_second=1, burst=2, now_ms=0)
    bucket.give()
    for _ in range(5):
        bucket.give()
        assert bucket.take(0)
    assert bucket.take(0)
    assert not bucket.take(0)


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
    """Four crews that stream 40 lines a second each, for a minute: nothing is dropped."""
    rungs = ladder(slots=4)
    gap_ms = 1_000 / (4 * FRAMES_A_SLOT_PER_SECOND)
    assert {rungs.weigh(300, int(gap_ms * frame)) for frame in range(60 * 4 * FRAMES_A_SLOT_PER_SECOND)} == {
        Step.HEAR
    }


def test_a_slot_that_says_twice_as_much_is_paused() -> None:
    rungs = ladder(slots=4)
    gap_ms = 1_000 / (8 * FRAMES_A_SLOT_PER_SECOND)
    assert Step.PAUSE in {rungs.weigh(300, int(gap_ms * frame)) for frame in range(10_000)}


def test_a_thousand_slots_are_no_licence_to_flood() -> None:
    honest, boastful = (ladder(slots=slots) for slots in (SLOTS_COUNTED_MAX, SLOTS_MAX))
    heard = [sum(rungs.weigh(1, 0) is Step.HEAR for _ in range(50_000)) for rungs in (honest, boastful)]
    assert heard == [BURST_S * FRAMES_A_SLOT_PER_SECOND * SLOTS_COUNTED_MAX] * 2


def test_what_was_dropped_of_a_run_is_said_with_its_next_progress() -> None:
    """L62. Dropped progress with no sign: a gap is said."""
    rungs = ladder()
    one, other = TaskId("task-1"), TaskId("task-2")
    for n in range(3):
        rungs.note_gap(TaskLog(task_id=one, generation=Generation(1), n=n))
    rungs.note_gap(TaskProgress(task_id=one))
    rungs.note_gap(Status(status="busy"))
    assert rungs.with_gap(TaskProgress(task_id=other)) == TaskProgress(task_id=other)
    line = TaskLog(task_id=one, generation=Generation(1))
    assert rungs.with_gap(line) is line
    assert rungs.with_gap(TaskProgress(task_id=one, dropped=2)) == TaskProgress(task_id=one, dropped=6)
    assert rungs.with_gap(TaskProgress(task_id=one)) == TaskProgress(task_id=one)


def test_runs_that_nobody_has_are_not_remembered_without_end() -> None:
    rungs = ladder()
    for n in range(2 * GAPS_MAX):
        rungs.note_gap(TaskProgress(task_id=TaskId(f"task-{n}")))
    said = [rungs.with_gap(TaskProgress(task_id=TaskId(f"task-{n}"))) for n in range(2 * GAPS_MAX)]
    assert sum(isinstance(frame, TaskProgress) and frame.dropped for frame in said) == GAPS_MAX


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
