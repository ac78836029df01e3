"""Into somebody's hands and back: orders, acceptances, rejections, leases (T1 to T7)."""

from __future__ import annotations

import pytest
from msgspec import Raw

from hub.core.effects import AlertKind
from hub.core.events import (
    TaskSubmitted,
    TimePassed,
)
from hub.core.policy import Policy
from hub.core.task import Fault, Spec, State
from protocol.frames import (
    TaskAssign,
    TaskLog,
    TaskProgress,
    TaskRevoke,
    TaskUsage,
)
from protocol.ids import Generation
from tests.core.stage import Stage, working

# --- T1, T2, T3 -----------------------------------------------------------------------------------------


def test_a_push_is_queued_when_nobody_is_there() -> None:
    stage = Stage()
    task_id = stage.submit(description="alone")
    assert stage.state(task_id) is State.QUEUED
    assert stage.events(task_id) == ["task_queued"]


def test_a_push_is_assigned_in_the_same_turn_when_a_seat_is_free() -> None:
    stage = Stage()
    peer = stage.joined("a")
    reply = stage.granted(TaskSubmitted(task_id=stage.new_id(), spec=Spec(description="now")))
    assert reply.task is not None
    assert reply.task.state is State.ASSIGNED
    order = peer.last(TaskAssign)
    assert (order.task_id, order.generation, order.attempt, order.attempts_max) == (
        reply.task.task_id,
        1,
        1,
        3,
    )


def test_every_field_of_a_push_survives_to_the_order() -> None:
    """L56: a new field dropped at one of four hand-copied layers."""
    stage = Stage()
    peer = stage.joined("a", plugins=("digest",))
    stage.submit(
        description="d",
        metadata=Raw(b'{"m":1}'),
        plugin="digest",
        inputs=Raw(b'{"i":2}'),
        attempts_max=5,
        timeout_ms=7_000,
        trace="00-trace",
    )
    order = peer.last(TaskAssign)
    assert (order.description, order.plugin, order.attempts_max, order.deadline_ms) == (
        "d",
        "digest",
        5,
        7_000,
    )
    assert (order.metadata, order.inputs, order.trace) == (Raw(b'{"m":1}'), Raw(b'{"i":2}'), "00-trace")
    assert order.assigned_at == stage.now.wall_ms


def test_an_acceptance_starts_the_run_and_is_receipted() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    assert peer.accept(task_id) == "accepted"
    task = stage.task(task_id)
    assert task.state is State.RUNNING
    assert task.is_accepted
    assert task.run_due_ms == stage.now_ms + stage.policy.run_ms + stage.policy.run_slack_ms
    assert stage.marks[peer.instance_id] == 1


# --- T4, T24: rejections --------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["busy", "draining", "unknown_plugin"])
def test_a_rejected_task_is_back_in_the_queue_at_once_and_no_attempt_is_spent(reason: str) -> None:
    """L2: a busy sidecar answers `task_rejected`, nobody handles it, the task hangs ten minutes."""
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    assert peer.reject(task_id, reason) == "rejected"
    task = stage.task(task_id)
    assert (task.state, task.attempt, task.strikes, task.not_before_ms) == (State.QUEUED, 0, 0, 0)


def test_a_rejected_task_goes_to_another_agent_in_the_same_turn() -> None:
    stage = Stage()
    first = stage.joined("a")
    task_id = stage.submit()
    second = stage.joined("b")
    second.heard.clear()
    first.reject(task_id)
    assert second.last(TaskAssign).generation == 2
    assert not first.hears(TaskAssign)


def test_the_same_agent_is_offered_it_again_after_1_s_then_2_s_and_at_most_30_s() -> None:
    stage = Stage(Policy(unaccepted_max=100))
    peer = stage.joined("a")
    task_id = stage.submit()
    waited = []
    for _ in range(7):
        peer.reject(task_id)
        begun_ms = stage.now_ms
        while stage.state(task_id) is State.QUEUED:
            stage.wait(500)
        waited.append(stage.now_ms - begun_ms)
    assert waited == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]


def test_declines_are_forgotten_once_it_is_accepted() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    peer.reject(task_id)
    stage.wait(1_000)
    peer.accept(task_id)
    peer.fail(task_id)
    stage.wait(10_000)
    peer.reject(task_id)
    stage.wait(1_000)
    assert stage.state(task_id) is State.ASSIGNED


def test_twenty_generations_without_one_acceptance_are_undeliverable() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    status = None
    for _ in range(20):
        stage.wait_until(State.ASSIGNED, task_id)
        status = peer.reject(task_id)
    task = stage.task(task_id)
    assert task.state is State.DEAD_LETTER
    assert status == "dead_letter"
    assert task.ending is not None
    assert (task.ending.how, task.ending.whose_fault) == ("undeliverable", Fault.POLICY)
    assert task.generation == 20


# --- T5: the accept timer -------------------------------------------------------------------------------


def test_an_order_that_nobody_accepts_is_withdrawn_with_a_strike_and_a_revoke() -> None:
    """L22: assigned but never started."""
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    stage.wait(stage.policy.accept_ms)
    task = stage.task(task_id)
    assert (task.state, task.strikes, task.attempt) == (State.QUEUED, 1, 0)
    assert peer.last(TaskRevoke).generation == 1
    assert task.not_before_ms > stage.now_ms


def test_a_late_acceptance_of_a_withdrawn_order_is_stale_and_revoked_again() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    stage.wait(stage.policy.accept_ms)
    assert peer.accept(task_id) == "stale"
    assert peer.hears(TaskRevoke)
    assert stage.state(task_id) is State.QUEUED


def test_the_seat_of_a_withdrawn_order_stays_taken_until_the_stop_is_reported() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    stage.wait(30_000)
    assert stage.state(task_id) is State.QUEUED, "its backoff is over, and the only seat is still taken"
    assert peer.stop(task_id, "was_not_running") == "stopped"
    assert stage.state(task_id) is State.ASSIGNED


def test_three_accept_timeouts_in_a_row_quarantine_the_agent_and_blame_no_task() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=8)
    tasks = [stage.submit() for _ in range(3)]
    stage.now_ms += stage.policy.accept_ms
    stage.tell(TimePassed())
    assert stage.alerts() == [AlertKind.AGENT_QUARANTINED.value]
    assert [stage.task(task_id).strikes for task_id in tasks] == [1, 1, 0]
    seat = stage.board.view_agents(stage.now)[0]
    assert seat.state == "quarantined"
    for task_id in tasks:
        peer.stop(task_id, "was_not_running")
    stage.wait(60_000)
    assert all(stage.state(task_id) is State.QUEUED for task_id in tasks)
    found = stage.board.explain(tasks[0], stage.now)
    assert found is not None
    assert [one.rule for one in found.agents] == ["quarantined"]
    stage.wait(stage.policy.quarantine_ms - 60_000)
    assert stage.board.view_agents(stage.now)[0].state == "online"


def test_an_acceptance_in_between_ends_the_row_of_timeouts() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=8)
    for _ in range(2):
        stage.submit()
    stage.wait(stage.policy.accept_ms)
    good = stage.submit()
    peer.accept(good)
    stage.submit()
    stage.wait(stage.policy.accept_ms)
    assert stage.board.view_agents(stage.now)[0].state == "online"


# --- T6, T7: leases -------------------------------------------------------------------------------------


def test_progress_renews_the_lease_and_changes_no_row() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    for _ in range(5):
        stage.wait(20_000)
        peer.progress(task_id)
        assert stage.changes == []
        assert stage.passed_by() == ["task_progress"]
    assert stage.state(task_id) is State.RUNNING


def test_a_heartbeat_that_lists_it_renews_the_lease() -> None:
    """L11: only `ping` counts as life. L20: a healthy worker is declared dead because two clocks disagree."""
    stage = Stage()
    peer, task_id = working(stage)
    for _ in range(5):
        stage.wait(20_000)
        peer.beat(peer.runs(task_id))
    assert stage.state(task_id) is State.RUNNING
    assert stage.changes == []


def test_progress_never_falls_within_a_generation_and_is_written_with_the_next_change() -> None:
    """L102: progress going backwards."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.progress(task_id, 60)
    peer.progress(task_id, 20)
    peer.says(TaskProgress(task_id=task_id, generation=Generation(1), message="thinking"))
    peer.says(TaskUsage(task_id=task_id, generation=Generation(1), tokens_in=7, tokens_out=3, model="m"))
    peer.says(TaskLog(task_id=task_id, generation=Generation(1), text="a line"))
    assert (stage.task(task_id).progress, stage.task(task_id).message) == (60.0, "thinking")
    assert stage.rows[task_id].progress is None
    peer.drop()
    row = stage.rows[task_id]
    assert (row.progress, row.message) == (60.0, "thinking")
    assert row.usage is not None
    assert row.usage.tokens_in == 7


def test_an_empty_progress_frame_is_a_sign_of_life_and_nothing_else() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.progress(task_id, None)
    assert stage.task(task_id).progress is None
    assert peer.says(TaskProgress(task_id=task_id, progress=5)) == [], (
        "a v2 frame without a generation is nobody's"
    )
