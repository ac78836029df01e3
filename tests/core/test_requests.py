"""Keys, retries and limits of what people ask for."""

from __future__ import annotations

from hub.core.effects import Granted, RefusalKind
from hub.core.events import (
    RetryRequested,
    TasksForgotten,
    TaskSubmitted,
)
from hub.core.policy import Policy
from hub.core.task import Spec, State
from protocol.ids import TaskId
from tests.core.stage import Stage, working

# --- retry and keys -------------------------------------------------------------------------------------


def test_a_retry_by_hand_is_a_new_task_and_the_old_one_stays_as_it_is() -> None:
    stage = Stage()
    peer, task_id = working(stage, idempotency_key="k", fingerprint="f", description="same")
    assert stage.refused(RetryRequested(task_id=task_id, new_task_id=TaskId("n"), by="x")).state == "running"
    peer.fail(task_id, retryable=False)
    reply = stage.granted(RetryRequested(task_id=task_id, new_task_id=stage.new_id(), by="x"))
    assert reply.task is not None
    assert (reply.task.spec.retry_of, reply.task.spec.description, reply.note) == (
        task_id,
        "same",
        "requeued",
    )
    assert stage.state(task_id) is State.FAILED
    missing = stage.refused(RetryRequested(task_id=TaskId("none"), new_task_id=TaskId("n"), by="x"))
    assert missing.kind is RefusalKind.TASK_NOT_FOUND


def test_the_same_key_and_body_is_the_same_task_also_after_its_end() -> None:
    stage = Stage()
    spec = Spec(idempotency_key="k", fingerprint="f")
    first = stage.submit(idempotency_key="k", fingerprint="f")
    for _ in range(2):
        reply = stage.granted(TaskSubmitted(task_id=stage.new_id(), spec=spec))
        assert isinstance(reply, Granted)
        assert reply.is_repeat
        assert reply.task is not None
        assert reply.task.task_id == first
        if stage.state(first) is State.QUEUED:
            stage.cancel(first)
    other = stage.refused(
        TaskSubmitted(task_id=stage.new_id(), spec=Spec(idempotency_key="k", fingerprint="g"))
    )
    assert (other.kind, other.task_id) == (RefusalKind.KEY_REUSED, first)


def test_what_the_ledger_has_forgotten_answers_for_nothing() -> None:
    """A copy of a row that is gone would answer a push for which nobody works."""
    stage = Stage()
    spec = Spec(idempotency_key="k", fingerprint="f")
    first = stage.submit(idempotency_key="k", fingerprint="f")
    stage.cancel(first)
    del stage.rows[first]
    stage.turn(TasksForgotten((first, TaskId("never seen"))))
    missing = stage.refused(RetryRequested(task_id=first, new_task_id=stage.new_id(), by="x"))
    assert missing.kind is RefusalKind.TASK_NOT_FOUND
    reply = stage.granted(TaskSubmitted(task_id=stage.new_id(), spec=spec))
    assert not reply.is_repeat
    assert reply.task is not None
    assert stage.state(reply.task.task_id) is State.QUEUED


def test_a_full_board_answers_overloaded() -> None:
    stage = Stage(Policy(tasks_open_max=1))
    stage.submit()
    assert stage.refused(TaskSubmitted(task_id=stage.new_id(), spec=Spec())).kind is RefusalKind.OVERLOADED


def test_a_retry_by_hand_needs_room_like_a_push() -> None:
    """Retries come by the thousand, too."""
    stage = Stage(Policy(tasks_open_max=1))
    first = stage.submit()
    stage.cancel(first)
    stage.submit()
    refused = stage.refused(RetryRequested(task_id=first, new_task_id=stage.new_id(), by="x"))
    assert refused.kind is RefusalKind.OVERLOADED
