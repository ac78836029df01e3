"""Whose fact it is, in which order, and what stale ones and strays get (T25 to T27)."""

from __future__ import annotations

from msgspec import Raw

from hub.core.effects import StrayKept
from hub.core.events import (
    FrameHeard,
    RetryRequested,
)
from hub.core.facts import RECALLED_MAX
from hub.core.task import Fault, State
from protocol.frames import (
    Held,
    TaskAck,
    TaskComplete,
    TaskProgress,
    TaskRevoke,
)
from protocol.ids import Generation, Seq, TaskId
from tests.core.stage import Stage, working

# --- T23, T25, T26, T27 ---------------------------------------------------------------------------------


def test_a_task_that_can_not_start_in_time_is_buried() -> None:
    stage = Stage()
    task_id = stage.submit(start_by_wall_ms=stage.now.wall_ms + 5_000)
    stage.wait(5_000)
    ending = stage.task(task_id).ending
    assert ending is not None
    assert (ending.how, ending.whose_fault) == ("deadline", Fault.TIME)


def test_what_has_once_started_has_no_start_to_miss() -> None:
    """L18: a time-to-live counted from creation expires a retried task at once."""
    stage = Stage()
    peer, task_id = working(stage, start_by_wall_ms=Stage().now.wall_ms + 5_000)
    peer.fail(task_id)
    stage.wait(20_000)
    assert stage.state(task_id) is State.ASSIGNED or stage.state(task_id) is State.QUEUED
    peer.complete(task_id)
    again = stage.granted(RetryRequested(task_id=task_id, new_task_id=stage.new_id(), by="a person"))
    assert again.task is not None
    assert again.task.start_by_ms is None


def test_a_task_may_be_told_to_start_later() -> None:
    stage = Stage()
    stage.joined("a")
    task_id = stage.submit(
        run_at_wall_ms=stage.now.wall_ms + 60_000, start_by_wall_ms=stage.now.wall_ms + 10**6
    )
    assert stage.state(task_id) is State.QUEUED
    stage.wait(60_000)
    assert stage.state(task_id) is State.ASSIGNED


def test_a_completed_task_ignores_a_late_failure() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.complete(task_id)
    assert peer.fail(task_id) == "stale"
    assert not peer.hears(TaskRevoke), "a stale fact that ends a run is receipted and nothing else"
    assert stage.state(task_id) is State.COMPLETED
    assert stage.events(task_id)[-1] == "stale"


def test_a_frame_of_an_older_generation_changes_nothing_and_its_run_is_called_back() -> None:
    stage = Stage()
    first, task_id = working(stage, "a")
    first.drop()
    second = stage.joined("b")
    stage.wait(stage.policy.grace_ms + 5_000)
    assert second.accept(task_id) == "accepted"
    first.seq = 1
    identified = first.comes_back(first.has(task_id, "running", 1))
    assert identified.drop == (Held(task_id=task_id, generation=Generation(1)),)
    assert first.progress(task_id, 5, generation=1) != []
    assert first.last(TaskRevoke).generation == 1
    assert first.complete(task_id, generation=1) == "stale"
    assert first.ask(task_id) == "stale"
    assert stage.task(task_id).holder == second.stage.task(task_id).holder
    assert stage.state(task_id) is State.RUNNING


def test_only_the_holder_can_complete_a_task() -> None:
    """L15: any agent could complete any task."""
    stage = Stage()
    _, task_id = working(stage, "a")
    stranger = stage.joined("b")
    assert stranger.complete(task_id) == "stale"
    assert stranger.accept(task_id) == "stale"
    assert stranger.last(TaskRevoke).task_id == task_id
    assert stage.state(task_id) is State.RUNNING


def test_a_run_that_the_hub_does_not_hold_there_is_called_back_by_a_heartbeat() -> None:
    stage = Stage()
    peer = stage.joined("a")
    peer.beat(Held(task_id=TaskId("task-unknown"), generation=Generation(4)))
    assert peer.last(TaskRevoke).task_id == "task-unknown"
    waiting = stage.submit()
    assert stage.state(waiting) is State.QUEUED, "the seat is taken by what runs there"
    peer.beat()
    assert stage.state(waiting) is State.ASSIGNED


def test_a_heartbeat_with_an_unreceipted_end_is_not_answered_by_a_revoke() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    held = peer.runs(task_id)
    peer.complete(task_id)
    assert peer.beat(held) == []


def test_a_result_for_a_task_that_the_hub_does_not_know_is_kept_as_a_stray() -> None:
    stage = Stage()
    peer = stage.joined("a")
    unknown = TaskId("task-unknown")
    assert peer.complete(unknown, generation=3) == "complete"
    assert any(isinstance(change, StrayKept) for change in stage.changes)
    assert stage.alerts() == ["stray_fact"]
    assert peer.fail(unknown, generation=3) == "failed"
    assert peer.stop(unknown, generation=3) == "stopped"
    assert peer.reject(unknown, generation=3) == "stale"
    assert peer.accept(unknown, generation=3) == "stale"
    assert peer.hears(TaskRevoke)


# --- order of facts -------------------------------------------------------------------------------------


def test_a_fact_is_applied_once_however_often_it_is_said() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.seq -= 1
    assert peer.accept(task_id) == "duplicate"
    assert stage.changes == []


def test_a_gap_in_the_numbers_closes_the_link_and_changes_nothing() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.seq += 1
    assert peer.complete(task_id) is None
    assert peer.closed is not None
    assert peer.closed[0] == 4400
    assert stage.changes == []


def test_a_fact_without_a_number_is_an_error() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    heard = peer.says(TaskComplete(task_id=task_id, generation=Generation(1)))
    assert getattr(heard[0], "error", None) == "validation_failed"


def test_an_unreadable_fact_is_receipted_refused_so_that_no_gap_blocks_the_instance() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    ack = peer.says_badly(2)[0]
    assert isinstance(ack, TaskAck)
    assert ack.status == "refused"
    assert isinstance(peer.says_badly(2)[0], TaskAck)
    peer.seq = 2
    assert peer.complete(task_id) == "complete"


def test_a_frame_of_a_superseded_link_changes_nothing() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    ghost = peer.sender
    peer.comes_back(peer.has(task_id))
    stage.tell(
        FrameHeard(
            sender=ghost,
            frame=TaskComplete(task_id=task_id, generation=Generation(1), seq=Seq(2), result=Raw(b"1")),
        )
    )
    assert stage.changes == []
    assert stage.state(task_id) is State.RUNNING


def test_a_peer_that_speaks_of_ever_new_runs_takes_no_memory_for_each() -> None:
    """L110: each is told to stop; no more seats are kept for them than an agent may have slots."""
    stage = Stage()
    peer = stage.joined("a")
    talk = [
        TaskProgress(task_id=TaskId("task-00000000deadbeef"), generation=Generation(number), progress=1.0)
        for number in range(1, RECALLED_MAX + 10)
    ]
    stage.turn(*(FrameHeard(sender=peer.sender, frame=frame) for frame in talk))
    assert sum(isinstance(frame, TaskRevoke) for frame in peer.heard) == len(talk)
    (seat,) = stage.board.view_agents(stage.now)
    assert len(seat.revoked_runs) == RECALLED_MAX
    stage.wait(stage.policy.grace_ms)
    (seat,) = stage.board.view_agents(stage.now)
    assert seat.revoked_runs == ()
