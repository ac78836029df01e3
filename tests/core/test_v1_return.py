"""How agents of the first generation come back and are cancelled: they say little and prove nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.task import State
from protocol.frames import (
    Ping,
    Pong,
    StateReport,
    StateReportAck,
    TaskCancelled,
    TaskContinue,
    TaskReassign,
    TaskRecovering,
    TaskRejected,
)
from protocol.ids import Generation, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage


def running(stage: Stage, **spec: Any) -> tuple[Peer, TaskId]:
    peer = stage.joined("old", version=1)
    task_id = stage.submit(**spec)
    assert peer.accept(task_id) == "accepted"
    return peer, task_id


# --- coming back -------------------------------------------------------------------------------------------


def test_absence_from_a_reconnect_says_nothing() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    peer.drop()
    peer.comes_back()
    assert stage.state(task_id) is State.RECOVERING
    stage.wait(stage.policy.grace_ms - 1_000)
    assert stage.state(task_id) is State.RECOVERING
    stage.wait(1_000)
    assert stage.task(task_id).strikes == 1


def test_a_state_report_of_the_current_generation_goes_on() -> None:
    """The recorded S14: the connection drops in the middle of a task."""
    stage = Stage()
    peer, task_id = running(stage)
    peer.drop()
    peer.comes_back()
    heard = peer.says(StateReport(task_id=task_id, generation=Generation(1), status="working"))
    assert heard == [StateReportAck(task_id=task_id, action="continue")]
    assert stage.state(task_id) is State.RUNNING
    assert peer.says(StateReport(task_id=task_id, generation=Generation(6))) == [
        StateReportAck(task_id=task_id, action="abort")
    ]
    assert peer.says(StateReport(task_id=TaskId("task-never")))[0] == StateReportAck(
        task_id=TaskId("task-never"), action="abort"
    )


@pytest.mark.parametrize("frame", ["progress", "complete", "accept"])
def test_any_frame_of_the_current_generation_resumes_it(frame: str) -> None:
    stage = Stage()
    peer, task_id = running(stage)
    peer.drop()
    peer.comes_back()
    if frame == "progress":
        peer.progress(task_id)
        assert stage.state(task_id) is State.RUNNING
    else:
        status = peer.complete(task_id) if frame == "complete" else peer.accept(task_id)
        assert status == ("complete" if frame == "complete" else "accepted")


def test_task_recovering_is_continued_by_its_holder_and_reassigned_to_anybody_else() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    peer.drop()
    peer.comes_back()
    assert peer.says(TaskRecovering(task_id=task_id, last_status="working")) == [
        TaskContinue(task_id=task_id, generation=Generation(1))
    ]
    assert stage.state(task_id) is State.RUNNING
    other = stage.joined("other", version=1)
    assert other.says(TaskRecovering(task_id=task_id)) == [TaskReassign(task_id=task_id)]
    assert peer.says(TaskRecovering(task_id=task_id, generation=Generation(4))) == [
        TaskReassign(task_id=task_id)
    ]


def test_a_task_it_never_accepted_is_sent_again_when_the_accept_time_is_over() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit()
    peer.drop()
    peer.comes_back()
    assert peer.orders() == []
    stage.wait(stage.policy.accept_ms)
    assert [order.generation for order in peer.orders()] == [1]
    assert stage.state(task_id) is State.ASSIGNED
    assert peer.accept(task_id) == "accepted"


def test_a_link_lost_again_before_a_word_goes_on_with_a_grace() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit()
    peer.drop()
    peer.comes_back()
    peer.drop()
    stage.wait(stage.policy.accept_ms)
    assert stage.state(task_id) is State.RECOVERING
    _, accepted = running(Stage())
    assert accepted
    peer.comes_back()
    peer.accept(task_id)
    peer.drop()
    stage.wait(60_000)
    peer.comes_back()
    peer.drop()
    stage.wait(60_000)
    assert stage.task(task_id).strikes == 1, "coming and going prolongs no grace"


# --- cancelling --------------------------------------------------------------------------------------------


def test_it_is_told_to_forget_and_its_next_frame_about_something_else_must_do_for_a_proof() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    assert stage.cancel(task_id) == "cancelling"
    assert peer.last(TaskCancelled).timestamp == stage.now.wall_ms
    peer.progress(task_id)
    assert stage.state(task_id) is State.CANCELLING, "that was about the task"
    assert isinstance(peer.says(Ping())[0], Pong)
    ending = stage.task(task_id).ending
    assert ending is not None
    assert ending.stopped == "unproven"


def test_a_silent_v1_holder_of_a_cancelled_task_is_believed_after_the_time() -> None:
    stage = Stage()
    _, task_id = running(stage)
    stage.cancel(task_id)
    stage.wait(stage.policy.cancel_confirm_ms)
    assert stage.state(task_id) is State.CANCELLED


def test_a_cancelled_task_is_not_continued() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    stage.cancel(task_id)
    peer.comes_back()
    assert peer.hears(TaskCancelled)
    heard = peer.says(TaskRecovering(task_id=task_id))
    assert [type(frame) for frame in heard] == [TaskCancelled, TaskReassign]
    assert peer.says(StateReport(task_id=task_id)) == [StateReportAck(task_id=task_id, action="abort")]
    assert peer.complete(task_id) == "complete", "a result that overtakes the cancel wins"


def test_an_end_without_a_number_from_before_a_lost_link_is_not_that_of_the_next_generation() -> None:
    """Seed 529 of the heavy simulation: generation 1 was given up, and generation 2 is on its way."""
    stage = Stage()
    peer, task_id = running(stage)
    peer.drop()
    stage.wait(stage.policy.grace_ms)
    peer.comes_back()
    stage.wait_until(State.ASSIGNED, task_id)
    assert stage.task(task_id).generation == 2
    assert peer.complete(task_id) is None
    assert peer.says(TaskRecovering(task_id=task_id)) == [TaskReassign(task_id=task_id)]
    assert stage.state(task_id) is State.ASSIGNED
    assert peer.says(TaskRejected(task_id=task_id)) == [], "but an answer to the order is about the order"
    assert stage.state(task_id) is State.QUEUED
    stage.wait_until(State.ASSIGNED, task_id)
    assert peer.accept(task_id) == "accepted"
    assert peer.complete(task_id) == "complete"


def test_a_cancel_between_a_return_and_its_first_word_waits_for_the_next_frame() -> None:
    """Seed 2029 of the simulation: the accept timer of a task that was never accepted ran on."""
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit()
    peer.drop()
    peer.comes_back()
    assert stage.cancel(task_id) == "cancelling"
    assert peer.hears(TaskCancelled)
    stage.wait(stage.policy.cancel_confirm_ms)
    assert stage.state(task_id) is State.CANCELLED
