"""The judge of fleets sees what it is there to see."""

from __future__ import annotations

from typing import Any, Literal

from hub.history import Record
from tests.fleet.judge import Line, passed_over, slots_exceeded

SECOND_MS = 1_000


def note(n: int, deed: Literal["start", "finish"], task: str, kind: Literal["ok", "fail"] = "ok") -> Record:
    return Record(t=n, p="sidecar:i1", n=n, type=kind, f=deed, task=task, gen=1)


def test_a_third_run_on_two_slots_is_seen() -> None:
    records = [note(1, "start", "a"), note(2, "start", "b"), note(3, "start", "c")]
    assert [one.rule for one in slots_exceeded(records, 2)] == ["slots"]
    assert not list(slots_exceeded(records, 3))


def test_a_slot_is_free_after_any_end_and_after_a_new_start_of_the_sidecar() -> None:
    ends = [note(1, "start", "a"), note(2, "finish", "a", "fail"), note(3, "start", "b")]
    assert not list(slots_exceeded(ends, 1))
    died = [note(1, "start", "a"), note(2, "start", "b"), note(1, "start", "c")]
    assert not list(slots_exceeded(died, 2))


def line(at_s: int, event: str, task: str, agent: str | None = None, **payload: Any) -> Line:
    return Line(event, task, agent, at_s * SECOND_MS, payload)


def queued(at_s: int, task: str, priority: str) -> Line:
    return line(at_s, "task_queued", task, priority=priority)


def test_a_low_task_that_goes_before_a_waiting_urgent_one_is_seen() -> None:
    waiting = [queued(0, "slow", "low"), queued(0, "quick", "urgent")]
    wrong = [*waiting, line(10, "task_assigned", "slow", "ada")]
    assert ["quick" in one.sentence for one in passed_over(wrong)] == [True]
    right = [*waiting, line(10, "task_assigned", "quick", "ada"), line(11, "task_assigned", "slow", "ada")]
    assert not list(passed_over(right))


def test_who_waits_before_a_new_try_or_was_declined_there_is_not_passed_over() -> None:
    pausing = [
        queued(0, "slow", "low"),
        queued(0, "quick", "urgent"),
        line(1, "task_assigned", "quick", "ada"),
        line(2, "task_requeued", "quick", "ada", cause="failed", delay_ms=30 * SECOND_MS),
        line(10, "task_assigned", "slow", "ada"),
    ]
    assert not list(passed_over(pausing))
    declined = [*pausing[:3], line(2, "task_requeued", "quick", "ada", cause="rejected", delay_ms=0)]
    assert not list(passed_over([*declined, line(10, "task_assigned", "slow", "ada")]))
    assert list(passed_over([*declined, line(10, "task_assigned", "slow", "bob")]))


def test_a_task_whose_last_holder_is_back_may_wait_for_its_result() -> None:
    waiting = [
        queued(0, "slow", "low"),
        queued(0, "quick", "urgent"),
        line(1, "task_assigned", "quick", "ada"),
        line(2, "task_requeued", "quick", "ada", cause="grace_over", delay_ms=0),
    ]
    back = Line("agent_joined", None, "ada", 3 * SECOND_MS, {})
    assert list(passed_over([*waiting, line(10, "task_assigned", "slow", "bob")]))
    assert not list(passed_over([*waiting, back, line(10, "task_assigned", "slow", "bob")]))
    assert list(passed_over([*waiting, back, line(20, "task_assigned", "slow", "bob")]))


def test_what_has_ended_waits_no_more() -> None:
    ended = [queued(0, "slow", "low"), queued(0, "quick", "urgent"), line(1, "task_cancelled", "quick")]
    assert not list(passed_over([*ended, line(10, "task_assigned", "slow", "ada")]))
