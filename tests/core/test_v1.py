"""Agents of the first generation: the rules of contracts §1.2, and the habits of recorded clients."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from hub.core.effects import StrayKept
from hub.core.task import State
from hub.core.v1 import REMEMBERED_MAX
from protocol.frames import (
    AgentRestarting,
    ErrorFrame,
    Goaway,
    Heartbeat,
    Identified,
    ResourceReport,
    TaskAccepted,
    TaskAck,
    TaskAssign,
    TaskCancelled,
    TaskComplete,
    TaskFailed,
    TaskProgress,
    TaskRejected,
    WakeResult,
)
from protocol.ids import Generation, Seq, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage


def running(stage: Stage, **spec: Any) -> tuple[Peer, TaskId]:
    peer = stage.joined("old", version=1)
    task_id = stage.submit(**spec)
    assert peer.accept(task_id) == "accepted"
    return peer, task_id


def error_of(peer: Peer) -> tuple[str, str | None, str | None]:
    frame = peer.last(ErrorFrame)
    return frame.error, frame.task_id, frame.message_type


def test_it_hears_only_what_it_knows() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1, slots=8)
    assert peer.last(Identified) == Identified(agent_id=peer.agent_id)
    task_id = stage.submit(description="d", plugin=None, attempts_max=2, inputs=Raw(b"{}"))
    order = peer.last(TaskAssign)
    assert order == TaskAssign(
        task_id=task_id, generation=Generation(1), assigned_at=stage.now.wall_ms, description="d"
    )
    assert peer.says(TaskAccepted(task_id=task_id)) == [TaskAck(task_id=task_id, status="accepted")]
    assert stage.state(stage.submit()) is State.QUEUED, "it has one slot, whatever it says"


@pytest.mark.parametrize("generation", [None, 0, 1])
def test_a_missing_generation_means_the_one_it_accepted(generation: int | None) -> None:
    """L14: simulated peers hid that the real one left `generation` out."""
    stage = Stage()
    peer, task_id = running(stage)
    g = None if generation is None else Generation(generation)
    heard = peer.says(TaskComplete(task_id=task_id, generation=g, result=Raw(b'{"status":"success"}')))
    assert heard == [TaskAck(task_id=task_id, status="complete")]
    assert stage.state(task_id) is State.COMPLETED


def test_a_missing_generation_never_means_an_order_that_it_has_not_accepted_yet() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    assert peer.fail(task_id) == "retried"
    stage.wait_until(State.ASSIGNED, task_id)
    peer.complete(task_id)
    assert error_of(peer) == ("stale_generation", task_id, "task_complete")
    assert stage.state(task_id) is State.ASSIGNED


def test_a_wrong_generation_is_an_error() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    peer.complete(task_id, generation=7)
    assert error_of(peer) == ("stale_generation", task_id, "task_complete")
    assert stage.state(task_id) is State.RUNNING


def test_the_fact_that_ended_it_gets_the_same_ack_again() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    assert [peer.complete(task_id) for _ in range(3)] == ["complete"] * 3
    peer.comes_back()
    assert peer.complete(task_id) == "complete", "on another connection as well"
    peer.fail(task_id)
    assert error_of(peer)[0] == "stale_generation"


def test_a_failure_that_is_tried_again_gets_the_same_ack_again() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    assert [peer.fail(task_id), peer.fail(task_id)] == ["retried", "retried"]
    assert stage.task(task_id).attempt == 1


@pytest.mark.parametrize(("attempts_max", "status"), [(1, "failed"), (3, "retried")])
def test_reason_stands_for_error(attempts_max: int, status: str) -> None:
    stage = Stage()
    peer, task_id = running(stage, attempts_max=attempts_max)
    assert peer.says(TaskFailed(task_id=task_id, reason="agent said no")) == [
        TaskAck(task_id=task_id, status=status)  # type: ignore[arg-type]  # it is one of the words
    ]
    assert stage.task(task_id).error == "agent said no"


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (b'{"status":"failed","error":"e"}', "e"),
        (b'{"status":"failed","output":"o"}', "o"),
        (b'{"status":"failed"}', "reported as failed"),
    ],
)
def test_a_failure_reported_as_completed_is_a_failure(result: bytes, error: str) -> None:
    """L70: a failed run reported as complete."""
    stage = Stage()
    peer, task_id = running(stage, attempts_max=1)
    assert peer.says(TaskComplete(task_id=task_id, result=Raw(result))) == [
        TaskAck(task_id=task_id, status="failed")
    ]
    assert stage.task(task_id).error == error


@pytest.mark.parametrize(
    ("result", "tokens"),
    [(b'{"tokens_used":7}', 7), (b'{"tokens_used":-7}', None), (b'"text"', None), (b'{"status":3}', None)],
)
def test_tokens_may_stand_in_the_result(result: bytes, tokens: int | None) -> None:
    stage = Stage()
    peer, task_id = running(stage)
    peer.says(TaskComplete(task_id=task_id, result=Raw(result)))
    usage = stage.task(task_id).usage
    assert (None if usage is None else usage.tokens_out) == tokens


def test_a_rejection_is_answered_by_no_ack() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit()
    assert peer.says(TaskRejected(task_id=task_id)) == []
    assert stage.state(task_id) is State.QUEUED
    assert peer.says(TaskRejected(task_id=TaskId("task-never"))) == []


def test_a_task_held_by_another_agent_is_not_its_own() -> None:
    """L15: any agent could complete any task."""
    stage = Stage()
    _, task_id = running(stage)
    other = stage.joined("other", version=1)
    other.complete(task_id)
    assert error_of(other) == ("not_holder", task_id, "task_complete")
    other.progress(task_id)
    assert other.last(TaskCancelled).task_id == task_id
    assert stage.state(task_id) is State.RUNNING


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (TaskAccepted(task_id=TaskId("task-never")), "accepted"),
        (TaskComplete(task_id=TaskId("task-never")), "complete"),
        (TaskFailed(task_id=TaskId("task-never")), "failed"),
    ],
)
def test_a_fact_about_a_task_the_hub_never_had_is_kept_and_gets_its_usual_ack(
    frame: TaskAccepted | TaskComplete | TaskFailed, status: str
) -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    heard = peer.says(frame)
    assert heard == [TaskAck(task_id=TaskId("task-never"), status=status)]  # type: ignore[arg-type]  # it is one of the words
    assert any(isinstance(change, StrayKept) for change in stage.changes)


def test_progress_gets_no_reply_counts_as_acceptance_and_has_no_lease_to_renew() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit()
    assert peer.says(TaskProgress(task_id=task_id, progress=10)) == []
    assert stage.state(task_id) is State.RUNNING
    assert stage.passed_by() == ["task_progress"]
    stage.wait(30 * 60_000)
    assert stage.state(task_id) is State.RUNNING, "its link lives, and that is all a v1 client shows"


def test_progress_of_a_wrong_generation_changes_nothing() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    assert peer.progress(task_id, 99, generation=7) == [], "to forget it would end the current one"
    assert stage.task(task_id).progress is None
    assert peer.progress(TaskId("task-never")) != []


def test_a_run_of_a_v1_client_ends_at_its_time() -> None:
    stage = Stage()
    peer, task_id = running(stage, timeout_ms=60_000)
    stage.wait(75_000)
    assert peer.hears(TaskCancelled), "never a `task_revoke`"
    assert stage.task(task_id).attempt == 1
    stage.wait(stage.policy.cancel_grace_ms)
    assert stage.state(task_id) is State.ASSIGNED, (
        "it says nothing of its stop: the seat waits for a kill's grace"
    )


# --- small talk --------------------------------------------------------------------------------------------


def test_reports_are_shown_and_never_an_error() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    for frame in (
        WakeResult(task_id=TaskId("task-1"), status="success"),
        ResourceReport(cpu_percent=20.0),
        AgentRestarting(),
    ):
        assert peer.says(frame) == []
        assert len(stage.passed_by()) == 1


def test_a_word_of_the_second_generation_is_unknown_from_the_first() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    peer.says(Heartbeat(as_of_seq=Seq(0)))
    assert error_of(peer) == ("unknown_message_type", None, "heartbeat")
    assert peer.says_badly(1) == []


def test_it_hears_of_no_drain_because_it_has_no_word_for_it() -> None:
    from hub.core.events import HubDrained

    stage = Stage()
    peer = stage.joined("old", version=1)
    peer.heard.clear()
    stage.tell(HubDrained())
    assert not peer.hears(Goaway)


def test_what_is_remembered_of_a_connection_is_bounded() -> None:
    """L110: memory that grows with every connection or task."""
    stage = Stage()
    peer = stage.joined("old", version=1)
    for _ in range(REMEMBERED_MAX + 5):
        task_id = stage.submit()
        peer.accept(task_id)
        peer.complete(task_id)
    first = TaskId("task-0000000000000001")
    assert peer.complete(first) == "complete", "forgotten on the connection, known by its row"


def test_progress_of_a_running_task_just_passes_by() -> None:
    stage = Stage()
    peer, task_id = running(stage)
    assert peer.progress(task_id, 40) == []
    assert stage.task(task_id).progress == 40
    assert stage.changes == []
