"""Results, failures, overruns and cancels (T14 to T23)."""

from __future__ import annotations

import pytest
from msgspec import Raw

from hub.core.effects import AlertKind, RefusalKind
from hub.core.events import (
    CancelRequested,
    HubStarted,
    TimePassed,
)
from hub.core.policy import Policy
from hub.core.task import Fault, State
from protocol.frames import (
    StopProof,
    TaskAssign,
    TaskCancel,
    TaskComplete,
    TaskUsage,
)
from protocol.ids import Generation, TaskId
from tests.core.stage import Stage, working

# --- T14, T15, T16, T17 ---------------------------------------------------------------------------------


def test_a_result_completes_the_task_and_frees_the_seat_in_the_same_turn() -> None:
    """L3: an agent becomes idle while tasks wait, and nothing triggers a match."""
    stage = Stage()
    peer, task_id = working(stage)
    waiting = stage.submit()
    assert peer.complete(task_id, '{"x":1}') == "complete"
    assert stage.task(task_id).result == Raw(b'{"x":1}')
    assert peer.last(TaskAssign).task_id == waiting


def test_a_late_result_of_the_current_generation_counts_even_from_the_queue() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(stage.policy.grace_ms)
    assert stage.state(task_id) is State.QUEUED
    identified = peer.comes_back(peer.has(task_id, "result_pending"))
    assert identified.keep == (peer.runs(task_id),)
    stage.wait(5_000)
    assert stage.state(task_id) is State.QUEUED, "it waits for the result instead of doing it twice"
    assert peer.complete(task_id) == "complete"
    assert stage.state(task_id) is State.COMPLETED


def test_a_run_that_goes_on_after_its_task_was_given_up_is_dropped() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(stage.policy.grace_ms)
    identified = peer.comes_back(peer.has(task_id))
    assert identified.drop == (peer.runs(task_id),)
    assert stage.state(task_id) is State.QUEUED


def test_tokens_of_a_result_are_kept_as_usage() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.fact(
        lambda seq: TaskComplete(
            task_id=task_id, generation=Generation(1), seq=seq, result=Raw(b"1"), tokens_used=9
        )
    )
    usage = stage.task(task_id).usage
    assert usage is not None
    assert usage.tokens_out == 9


def test_a_failed_attempt_is_tried_again_after_a_backoff_and_in_the_end_buried() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert peer.fail(task_id) == "retried"
    task = stage.task(task_id)
    assert (task.state, task.attempt, task.strikes) == (State.QUEUED, 1, 0)
    pause_ms = task.not_before_ms - stage.now_ms
    assert 2_000 <= pause_ms <= 4_000
    stage.wait(pause_ms)
    assert peer.last(TaskAssign).attempt == 2
    peer.accept(task_id)
    peer.fail(task_id)
    stage.wait(8_000)
    peer.accept(task_id)
    assert peer.fail(task_id) == "dead_letter"
    task = stage.task(task_id)
    assert task.ending is not None
    assert (task.state, task.attempt, task.ending.how) == (State.DEAD_LETTER, 3, "attempts")


def test_a_runner_may_ask_for_a_longer_pause_but_not_for_ever() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.fail(task_id, retry_after_ms=60_000)
    assert stage.task(task_id).not_before_ms == stage.now_ms + 60_000
    stage.wait(60_000)
    peer.accept(task_id)
    peer.fail(task_id, retry_after_ms=10**12)
    assert stage.task(task_id).not_before_ms == stage.now_ms + stage.policy.retry_after_max_ms


@pytest.mark.parametrize(("attempts_max", "retryable"), [(1, True), (3, False)])
def test_a_failure_is_final_when_it_may_not_be_tried_again(attempts_max: int, retryable: bool) -> None:
    stage = Stage()
    peer, task_id = working(stage, attempts_max=attempts_max)
    assert peer.fail(task_id, "no use", retryable=retryable) == "failed"
    task = stage.task(task_id)
    assert (task.state, task.error) == (State.FAILED, "no use")
    assert task.ending is not None
    assert (task.ending.how, task.ending.whose_fault) == ("failed", Fault.WORK)


def test_a_failure_without_a_word_has_one_all_the_same() -> None:
    stage = Stage()
    peer, task_id = working(stage, attempts_max=1)
    peer.fail(task_id, "")
    assert stage.task(task_id).error == "failed without a reason"


def test_tokens_of_attempts_that_came_to_nothing_are_wasted() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.says(TaskUsage(task_id=task_id, generation=Generation(1), tokens_in=70, tokens_out=30))
    peer.fail(task_id)
    stage.wait(5_000)
    peer.accept(task_id)
    peer.says(TaskUsage(task_id=task_id, generation=Generation(2), tokens_in=5, tokens_out=5))
    peer.complete(task_id)
    task = stage.task(task_id)
    assert task.ending is not None
    assert task.ending.tokens_wasted == 100
    assert task.usage is not None
    assert task.usage.tokens_in == 5


def test_a_run_that_takes_too_long_is_called_back_and_was_an_attempt() -> None:
    stage = Stage()
    peer, task_id = working(stage, timeout_ms=60_000)
    for _ in range(8):
        stage.wait(10_000)
        if stage.state(task_id) is State.RUNNING:
            peer.beat(peer.runs(task_id))
    task = stage.task(task_id)
    assert (task.state, task.attempt, task.strikes) == (State.QUEUED, 1, 0)
    assert stage.board.count().rows["T17"] == 1
    assert stage.board.view_agents(stage.now)[0].revoked_seats == 1


@pytest.mark.parametrize(
    ("attempts_max", "state", "how"), [(1, State.FAILED, "timeout"), (2, State.DEAD_LETTER, "attempts")]
)
def test_the_last_run_that_takes_too_long_ends_the_task(attempts_max: int, state: State, how: str) -> None:
    stage = Stage(Policy(lease_ms=10**9))
    peer, task_id = working(stage, attempts_max=attempts_max, timeout_ms=1_000)
    for _ in range(attempts_max - 1):
        stage.wait(20_000)
        peer.stop(task_id)
        stage.wait_until(State.ASSIGNED, task_id)
        peer.accept(task_id)
    stage.wait(20_000)
    task = stage.task(task_id)
    assert task.state is state
    assert task.ending is not None
    assert (task.ending.how, task.ending.whose_fault) == (how, Fault.TIME)


def test_a_run_times_out_while_its_holder_is_out_of_reach() -> None:
    stage = Stage()
    peer, task_id = working(stage, timeout_ms=5_000)
    peer.drop()
    stage.wait(20_000)
    task = stage.task(task_id)
    assert (task.state, task.attempt) == (State.QUEUED, 1)


# --- T18 to T21: cancelling -----------------------------------------------------------------------------


def test_a_waiting_task_is_cancelled_at_once() -> None:
    stage = Stage()
    task_id = stage.submit()
    assert stage.cancel(task_id) == "cancelled"
    task = stage.task(task_id)
    assert task.ending is not None
    assert (task.state, task.ending.whose_fault, task.cancelled_by) == (
        State.CANCELLED,
        Fault.PERSON,
        "a person",
    )


def test_a_held_task_is_cancelled_when_the_proof_has_come() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert stage.cancel(task_id) == "cancelling"
    assert peer.last(TaskCancel).grace_ms == stage.policy.cancel_grace_ms
    assert stage.cancel(task_id) == "cancelling", "asked twice, it is one cancel"
    assert stage.state(task_id) is State.CANCELLING
    assert peer.stop(task_id, "killed") == "stopped"
    task = stage.task(task_id)
    assert task.state is State.CANCELLED
    assert task.ending is not None
    assert task.ending.stopped == "killed"
    assert task.ending.proof == StopProof(signals=("TERM",), reaped=1)
    assert peer.stop(task_id, "killed") == "stopped", "said again, it is the same receipt"


def test_an_overdue_proof_says_the_cancel_again_and_raises_an_alert() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    stage.cancel(task_id)
    peer.heard.clear()
    stage.now_ms += stage.policy.cancel_confirm_ms
    stage.wait(0)
    assert peer.hears(TaskCancel)
    assert stage.state(task_id) is State.CANCELLING


def test_an_overdue_proof_raises_an_alert() -> None:
    stage = Stage()
    _, task_id = working(stage)
    stage.cancel(task_id)
    stage.now_ms += stage.policy.cancel_confirm_ms
    stage.tell(TimePassed())
    assert stage.alerts() == [AlertKind.CANCEL_OVERDUE.value]
    assert stage.state(task_id) is State.CANCELLING


@pytest.mark.parametrize("fact", ["reject", "fail"])
def test_a_run_that_ends_by_itself_proves_a_cancel(fact: str) -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    stage.cancel(task_id)
    assert peer.accept(task_id) == "accepted", "it crossed the cancel on its way"
    status = peer.reject(task_id) if fact == "reject" else peer.fail(task_id)
    assert status == ("rejected" if fact == "reject" else "failed")
    assert stage.state(task_id) is State.CANCELLED


def test_a_completion_that_commits_first_wins_over_a_cancel() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    stage.cancel(task_id)
    assert peer.complete(task_id) == "complete"
    assert stage.state(task_id) is State.COMPLETED


def test_a_cancel_survives_the_loss_of_the_link_and_is_said_again() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    stage.cancel(task_id)
    peer.drop()
    stage.wait(60_000)
    stage.restart()
    stage.tell(HubStarted())
    assert stage.state(task_id) is State.CANCELLING
    peer.comes_back(peer.has(task_id))
    assert peer.hears(TaskCancel)
    peer.stop(task_id)
    assert stage.state(task_id) is State.CANCELLED


def test_absence_from_holding_proves_a_cancel() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.cancel(task_id)
    peer.comes_back()
    ending = stage.task(task_id).ending
    assert ending is not None
    assert ending.stopped == "was_not_running"


def test_a_cancel_ends_without_proof_when_its_holder_is_given_up() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.cancel(task_id)
    stage.wait(stage.policy.grace_ms)
    ending = stage.task(task_id).ending
    assert ending is not None
    assert ending.stopped == "unproven"


def test_what_is_over_or_unknown_can_not_be_cancelled() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.complete(task_id)
    refusal = stage.refused(CancelRequested(task_id=task_id, by="a person"))
    assert (refusal.kind, refusal.state) == (RefusalKind.INVALID_STATE, "completed")
    assert stage.refused(CancelRequested(task_id=TaskId("x"), by="y")).kind is RefusalKind.TASK_NOT_FOUND


@pytest.mark.parametrize(("attempts_max", "how"), [(1, "timeout"), (2, "attempts")])
def test_a_run_that_its_sidecar_ended_for_time_is_times_fault(attempts_max: int, how: str) -> None:
    """`hub push --watch` ends with 124 for it, and not with 1."""
    stage = Stage()
    peer, task_id = working(stage, attempts_max=attempts_max)
    for attempt in range(1, attempts_max + 1):
        peer.fail(task_id, "Workflow exceeded 1s timeout", reason="timeout")
        if attempt < attempts_max:
            stage.wait_until(State.ASSIGNED, task_id)
            peer.accept(task_id)
    ending = stage.task(task_id).ending
    assert ending is not None
    assert (ending.how, ending.whose_fault) == (how, Fault.TIME)
