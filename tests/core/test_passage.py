"""Out of reach is not lost, and what is lost is found to be (T10 to T13)."""

from __future__ import annotations

from msgspec import Raw

from hub.core.events import HubStarted, TaskSubmitted, TimePassed
from hub.core.passage import TASKS_DUE_MAX
from hub.core.task import Fault, Spec, State
from protocol.frames import (
    Identified,
    TaskAssign,
)
from tests.core.stage import Stage, working

# --- T10, T11, T12: out of reach is not lost ------------------------------------------------------------


def test_a_two_second_drop_in_the_middle_of_a_run_is_one_execution() -> None:
    """L4: any network blip requeues at once, so "continue" is unreachable and work runs twice."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    assert stage.state(task_id) is State.RECOVERING
    stage.wait(2_000)
    identified = peer.comes_back(peer.has(task_id))
    assert identified.keep == (peer.runs(task_id),)
    assert stage.state(task_id) is State.RUNNING
    assert peer.orders() == []
    assert peer.complete(task_id) == "complete"
    assert stage.task(task_id).generation == 1
    assert stage.events(task_id) == [
        "task_queued",
        "task_assigned",
        "task_accepted",
        "task_recovering",
        "task_resumed",
        "task_complete",
    ]


def test_no_acceptance_timer_starts_again_for_work_that_is_running() -> None:
    """L5: after a reconnect an acceptance timer starts again and reclaims work that is running."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    peer.comes_back(peer.has(task_id))
    for _ in range(6):
        stage.wait(10_000)
        peer.beat(peer.runs(task_id))
    assert stage.state(task_id) is State.RUNNING


def test_a_result_made_while_the_link_was_down_arrives_once() -> None:
    """L6: a result produced while the hub is away is lost."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(60_000)
    identified = peer.comes_back(peer.has(task_id, "result_pending"))
    assert identified.keep == (peer.runs(task_id),)
    assert peer.complete(task_id, '"made"') == "complete"
    assert stage.task(task_id).result == Raw(b'"made"')


def test_a_restart_of_the_hub_starts_every_grace_afresh() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    stage.now_ms += 600_000
    stage.restart()
    stage.tell(HubStarted())
    assert stage.state(task_id) is State.RECOVERING
    stage.wait(stage.policy.grace_ms - 1)
    assert stage.state(task_id) is State.RECOVERING, "a timer never fires because the hub itself was away"
    peer.comes_back(peer.has(task_id))
    assert stage.state(task_id) is State.RUNNING
    peer.drop()
    stage.wait(60_000)
    stage.restart()
    stage.tell(HubStarted())
    stage.wait(stage.policy.grace_ms - 1)
    assert stage.state(task_id) is State.RECOVERING


def test_an_order_that_was_never_accepted_is_sent_again_with_the_same_generation() -> None:
    """L8: sending to a vanished socket leaves the task assigned."""
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    peer.drop()
    peer.comes_back()
    order = peer.last(TaskAssign)
    assert order.generation == 1
    assert stage.state(task_id) is State.ASSIGNED
    assert isinstance(peer.heard[0], Identified)


def test_an_order_sent_again_five_times_and_never_accepted_is_a_strike() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    for _ in range(5):
        peer.drop()
        peer.comes_back()
        assert peer.orders()
    peer.drop()
    peer.comes_back()
    task = stage.task(task_id)
    assert (task.state, task.strikes) == (State.QUEUED, 1)


def test_an_accepted_order_that_is_only_in_holding_counts_as_begun() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    peer.drop()
    peer.comes_back(peer.has(task_id, "accepted"))
    task = stage.task(task_id)
    assert (task.state, task.is_accepted) == (State.RUNNING, True)
    assert peer.accept(task_id) == "accepted"


def test_a_rejection_that_waits_in_the_journal_is_no_acceptance() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    peer.drop()
    peer.comes_back(peer.has(task_id, "result_pending"))
    assert not stage.task(task_id).is_accepted
    assert peer.reject(task_id) == "rejected"
    assert stage.task(task_id).unaccepted == 1


# --- T13: lost ------------------------------------------------------------------------------------------


def test_a_holder_out_of_reach_for_longer_than_its_grace_is_given_up() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(stage.policy.grace_ms)
    task = stage.task(task_id)
    assert (task.state, task.strikes, task.attempt) == (State.QUEUED, 1, 0)


def test_work_that_its_holder_comes_back_without_is_orphaned() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    peer.comes_back()
    assert stage.task(task_id).strikes == 1


def test_a_run_of_which_nothing_is_heard_loses_its_lease() -> None:
    stage = Stage()
    _, task_id = working(stage)
    stage.wait(stage.policy.lease_ms)
    task = stage.task(task_id)
    assert (task.state, task.strikes) == (State.QUEUED, 1)


def test_a_heartbeat_without_it_orphans_a_run_that_it_had_accepted_before() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.beat(as_of=0)
    assert stage.state(task_id) is State.RUNNING, "the beat is older than the acceptance"
    peer.beat()
    assert stage.task(task_id).strikes == 1


def test_a_heartbeat_says_nothing_about_an_order_that_was_not_accepted_yet() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    peer.beat(as_of=99)
    assert stage.state(task_id) is State.ASSIGNED


def test_five_strikes_bury_a_task() -> None:
    """L24: a poison task that kills its runner is retried for ever."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.fail(task_id, "sidecar_crash")
    for strike in range(2, 6):
        stage.wait_until(State.ASSIGNED, task_id)
        peer.accept(task_id)
        status = peer.fail(task_id, "sidecar_crash")
        assert status == ("dead_letter" if strike == 5 else "retried")
    task = stage.task(task_id)
    assert (task.state, task.strikes, task.attempt) == (State.DEAD_LETTER, 5, 0)
    assert task.ending is not None
    assert (task.ending.how, task.ending.whose_fault) == ("strikes", Fault.INFRASTRUCTURE)


def test_a_run_that_its_sidecar_had_to_leave_is_a_strike() -> None:
    """A deploy of the sidecar must not spend what the user allows for work that fails."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.fail(task_id, "sidecar_shutdown")
    assert (stage.task(task_id).strikes, stage.task(task_id).attempt) == (1, 0)


def test_a_run_that_stopped_unasked_is_a_strike() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert peer.stop(task_id) == "stopped"
    assert stage.task(task_id).strikes == 1


def test_after_a_restart_an_order_that_nobody_accepted_waits_for_its_holder() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    stage.restart()
    stage.tell(HubStarted())
    assert (stage.state(task_id), stage.task(task_id).run_due_ms) == (State.RECOVERING, None)
    peer.comes_back()
    assert peer.last(TaskAssign).generation == 1


def test_after_a_restart_what_is_over_is_read_again_when_somebody_speaks_of_it() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.complete(task_id)
    stage.restart()
    assert stage.board.view_task(task_id) is None
    peer.comes_back()
    assert peer.fail(task_id) == "stale"
    assert stage.state(task_id) is State.COMPLETED


def test_a_turn_looks_at_so_many_tasks_that_are_due_and_the_next_at_the_others() -> None:
    """A hundred thousand tasks may be given up at the same moment: heartbeats are heard between."""
    stage = Stage()
    late_ms = stage.now_ms + 1_000
    wall_ms = stage.now.wall_ms + 1_000
    specs = [Spec(start_by_wall_ms=wall_ms) for _ in range(TASKS_DUE_MAX + 1)]
    stage.turn(*(TaskSubmitted(task_id=stage.new_id(), spec=spec) for spec in specs))
    stage.now_ms = late_ms
    stage.turn(TimePassed())
    assert len(stage.board.open_tasks()) == 1
    assert stage.board.next_deadline() == late_ms, "the others are due at once"
    stage.turn(TimePassed())
    assert stage.board.open_tasks() == ()
