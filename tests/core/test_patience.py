"""Timers and pauses that a task brings itself."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from hub.core.events import InputAnswered
from hub.core.policy import MINUTE_MS, SECOND_MS, Policy, backoff_ms
from hub.core.task import Backoff, Ending, Fault, State, Timer, TimerKind
from protocol.frames import TaskLog, TaskProgress, TaskRevoke, TaskUsage
from protocol.ids import RequestId
from tests.core.stage import Stage, working

SILENT_MS = 5 * SECOND_MS


# --- no sign of progress ---------------------------------------------------------------------------------


def test_a_run_that_says_nothing_is_called_back_and_was_an_attempt() -> None:
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=2)
    stage.wait(SILENT_MS - 1)
    assert stage.state(task_id) is State.RUNNING
    stage.wait(1)
    task = stage.task(task_id)
    assert (task.state, task.attempt, task.strikes) == (State.QUEUED, 1, 0)
    assert task.error == "no sign of progress for 5 s"
    assert peer.last(TaskRevoke).reason == "no progress"
    assert stage.log[-1].event == "task_requeued"
    assert b'"no_progress"' in bytes(stage.log[-1].payload)


@pytest.mark.parametrize(
    ("attempts_max", "state", "how"),
    [(1, State.FAILED, "no_progress"), (2, State.DEAD_LETTER, "attempts")],
)
def test_the_last_silent_run_ends_the_task_and_time_is_to_blame(
    attempts_max: int, state: State, how: str
) -> None:
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=attempts_max)
    for _ in range(attempts_max):
        if stage.state(task_id) is State.ASSIGNED:
            peer.accept(task_id)
        stage.wait(SILENT_MS)
        peer.stop(task_id, generation=stage.task(task_id).generation)
        stage.wait(10 * SECOND_MS if not stage.task(task_id).is_final else 0)
    assert stage.state(task_id) is state
    assert stage.task(task_id).ending == Ending(how=how, whose_fault=Fault.TIME)


def test_talk_of_the_run_is_progress_and_a_heartbeat_is_not() -> None:
    """The sidecar beats also when its runner hangs: that is what the timer is for."""
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=2)
    g = peer.generation(task_id)
    talk = (
        TaskProgress(task_id=task_id, generation=g, progress=1),
        TaskLog(task_id=task_id, generation=g, n=1, text="still here"),
        TaskUsage(task_id=task_id, generation=g, tokens_in=1, tokens_out=1),
    )
    for frame in talk:
        stage.wait(SILENT_MS - 1)
        peer.says(frame)
    stage.wait(SILENT_MS - 1)
    assert stage.state(task_id) is State.RUNNING
    peer.beat(peer.runs(task_id))
    stage.wait(1)
    assert stage.state(task_id) is State.QUEUED


def test_progress_of_an_old_client_counts() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit(progress_ms=SILENT_MS, attempts_max=2)
    peer.accept(task_id)
    stage.wait(SILENT_MS - 1)
    peer.progress(task_id)
    stage.wait(SILENT_MS - 1)
    assert stage.state(task_id) is State.RUNNING
    stage.wait(1)
    assert stage.state(task_id) is State.QUEUED


def test_nobody_is_called_back_while_a_person_is_asked_and_the_time_begins_anew_after() -> None:
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=2)
    peer.ask(task_id)
    for _ in range(20):
        stage.wait(SILENT_MS)
        peer.beat(peer.runs(task_id))
        peer.progress(task_id)
    assert stage.state(task_id) is State.INPUT_REQUIRED
    request_id = RequestId(f"{task_id}-1")
    stage.granted(InputAnswered(task_id=task_id, request_id=request_id, value=Raw(b"1"), by="x"))
    peer.take_answer(task_id)
    stage.wait(SILENT_MS - 1)
    assert stage.state(task_id) is State.RUNNING
    stage.wait(1)
    assert stage.state(task_id) is State.QUEUED


def test_nobody_is_called_back_while_out_of_reach_and_the_time_begins_anew_after() -> None:
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=2)
    peer.drop()
    stage.wait(10 * SILENT_MS)
    assert stage.state(task_id) is State.RECOVERING
    peer.comes_back(peer.has(task_id))
    stage.wait(SILENT_MS - 1)
    assert stage.state(task_id) is State.RUNNING
    stage.wait(1)
    assert stage.state(task_id) is State.QUEUED


def test_a_row_read_again_in_the_middle_of_a_life_has_its_time_anew() -> None:
    stage = Stage()
    _, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=2)
    stage.now_ms += SILENT_MS - 1
    stage.board.reload([task_id], [stage.rows[task_id]], stage.now)
    assert stage.task(task_id).progress_due_ms == stage.now_ms + SILENT_MS


def test_a_cancel_ends_the_wait_for_progress() -> None:
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS)
    stage.cancel(task_id)
    stage.wait(2 * SILENT_MS)
    assert stage.state(task_id) is State.CANCELLING
    peer.stop(task_id)
    assert stage.state(task_id) is State.CANCELLED


# --- accept and lease ------------------------------------------------------------------------------------


def test_a_task_may_wait_longer_for_its_acceptance() -> None:
    stage = Stage()
    stage.joined("a")
    task_id = stage.submit(accept_ms=MINUTE_MS)
    stage.wait(MINUTE_MS - 1)
    assert stage.state(task_id) is State.ASSIGNED
    stage.wait(1)
    assert stage.task(task_id).strikes == 1


def test_a_task_may_have_a_longer_lease() -> None:
    stage = Stage()
    peer, task_id = working(stage, lease_ms=5 * MINUTE_MS)
    stage.wait(5 * MINUTE_MS - 1)
    assert stage.state(task_id) is State.RUNNING
    peer.beat(peer.runs(task_id))
    stage.wait(5 * MINUTE_MS)
    assert stage.task(task_id).strikes == 1


@pytest.mark.parametrize(
    ("kind", "spec", "due_ms"),
    [
        (TimerKind.ACCEPT, {"accept_ms": 7}, 7),
        (TimerKind.ACCEPT, {}, Policy().accept_ms),
        (TimerKind.LEASE, {"lease_ms": 9}, 9),
        (TimerKind.LEASE, {}, Policy().lease_ms),
    ],
)
def test_a_row_read_again_waits_by_its_own_rules(kind: TimerKind, spec: dict[str, Any], due_ms: int) -> None:
    stage = Stage()
    stage.joined("a")
    task_id = stage.submit(**spec)
    if kind is TimerKind.LEASE:
        stage.peers[1].accept(task_id)
    stage.board.reload([task_id], [stage.rows[task_id]], stage.now)
    assert stage.task(task_id).timer == Timer(kind, stage.now_ms + due_ms)


# --- pauses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backoff", "failures", "roll", "pause_ms"),
    [
        (None, 0, 0.0, 1_000),
        (None, 0, 1.0, 2_000),
        (None, 40, 1.0, 300_000),
        (Backoff(first_ms=100, max_ms=1_000), 0, 0.0, 50),
        (Backoff(first_ms=100, max_ms=1_000), 2, 1.0, 400),
        (Backoff(first_ms=100, max_ms=1_000), 9, 1.0, 1_000),
        (Backoff(first_ms=100, max_ms=1_000, jitter="full"), 1, 0.0, 0),
        (Backoff(first_ms=100, max_ms=1_000, jitter="full"), 1, 0.5, 100),
        (Backoff(first_ms=100, max_ms=1_000, jitter="full"), 1, 1.0, 200),
    ],
)
def test_a_pause_doubles_up_to_its_bound_and_the_die_takes_half_of_it_or_all(
    backoff: Backoff | None, failures: int, roll: float, pause_ms: int
) -> None:
    """ADR 0018: half unless the task asks for the full length, so that no retry comes without any pause."""
    assert backoff_ms(Policy(), failures, roll, backoff) == pause_ms


def test_a_task_is_tried_again_by_its_own_backoff_after_failures_and_strikes() -> None:
    stage = Stage()
    own = Backoff(first_ms=40, max_ms=60, jitter="full")
    peer, task_id = working(stage, attempts_max=3, backoff=own)
    peer.fail(task_id)
    assert 0 < stage.task(task_id).not_before_ms - stage.now_ms <= 60
    stage.wait(60)
    peer.accept(task_id)
    peer.fail(task_id, "sidecar_crash")
    assert stage.task(task_id).strikes == 1
    assert 0 < stage.task(task_id).not_before_ms - stage.now_ms <= 60


def test_a_waiting_row_read_again_waits_at_most_its_own_backoff() -> None:
    stage = Stage()
    long = Backoff(first_ms=MINUTE_MS, max_ms=30 * MINUTE_MS)
    peer, task_id = working(stage, attempts_max=9, backoff=long)
    for _ in range(5):
        peer.fail(task_id)
        stage.wait(stage.task(task_id).not_before_ms - stage.now_ms)
        peer.accept(task_id)
    peer.fail(task_id)
    due_ms = stage.task(task_id).not_before_ms
    assert due_ms - stage.now_ms > 5 * MINUTE_MS, "longer than the backoff of those that name none"
    stage.board.reload([task_id], [stage.rows[task_id]], stage.now)
    assert stage.task(task_id).not_before_ms == due_ms
