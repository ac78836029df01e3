"""What becomes of waits when a row is read again, and the wall's clock has jumped."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hub.core.events import HubStarted
from hub.core.task import State, Task, Timer, TimerKind
from hub.core.timers import due_ms, reloaded
from protocol.ids import AgentId
from tests.core.stage import Stage, working

YEAR_MS = 365 * 86_400_000


def read_again(row: Task, shift_ms: int) -> Task:
    """As a ledger reads it after the wall's clock has jumped: every deadline is off by as much."""
    timer = row.timer
    return replace(
        row,
        timer=None if timer is None else Timer(timer.kind, timer.due_ms + shift_ms),
        run_due_ms=None if row.run_due_ms is None else row.run_due_ms + shift_ms,
        not_before_ms=row.not_before_ms + shift_ms,
    )


@pytest.mark.parametrize("jump_ms", [YEAR_MS, -YEAR_MS])
def test_a_pause_is_no_longer_than_it_was_to_be_whatever_the_clock_did(jump_ms: int) -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.fail(task_id)
    pause_ms = stage.task(task_id).not_before_ms - stage.now_ms
    stage.wall_skew_ms = -jump_ms
    stage.restart(tasks=[read_again(stage.rows[task_id], jump_ms)])
    assert stage.task(task_id).not_before_ms <= stage.now_ms + pause_ms


@pytest.mark.parametrize("jump_ms", [YEAR_MS, -YEAR_MS])
def test_a_run_neither_lasts_for_ever_nor_ends_at_once_when_the_clock_jumps(jump_ms: int) -> None:
    stage = Stage()
    _, task_id = working(stage)
    stage.wall_skew_ms = -jump_ms
    stage.restart(tasks=[read_again(stage.rows[task_id], jump_ms)])
    stage.tell(HubStarted())
    run_due = stage.task(task_id).run_due_ms
    assert run_due is not None
    assert stage.policy.grace_ms <= run_due - stage.now_ms <= stage.policy.run_ms + stage.policy.run_slack_ms


def test_a_time_that_a_person_named_is_the_wall_s() -> None:
    stage = Stage()
    task_id = stage.submit(run_at_wall_ms=stage.now.wall_ms + 60_000)
    stage.wall_skew_ms = 50_000
    stage.restart()
    assert stage.task(task_id).not_before_ms == stage.now_ms + 10_000


@pytest.mark.parametrize("kind", list(TimerKind))
@pytest.mark.parametrize("instance", ["a/1", "v1:a"])
def test_a_row_read_again_in_the_middle_of_a_life_waits_anew(kind: TimerKind, instance: str) -> None:
    stage = Stage()
    peer, task_id = working(stage)
    if kind is TimerKind.INPUT:
        peer.ask(task_id)
    row = stage.rows[task_id]
    assert row.holder is not None
    row = replace(
        read_again(row, -YEAR_MS),
        timer=Timer(kind, -1),
        holder=replace(row.holder, instance_id=instance),
    )
    found = reloaded(row, stage.policy, stage.now)
    assert found.timer is not None
    assert found.run_due_ms is not None
    assert stage.now_ms < found.timer.due_ms <= found.run_due_ms


def test_a_waiting_row_read_again_waits_at_most_one_backoff() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.fail(task_id)
    found = reloaded(read_again(stage.rows[task_id], YEAR_MS), stage.policy, stage.now)
    assert found.not_before_ms == stage.now_ms + stage.policy.backoff_max_ms
    fresh = Task(task_id=task_id, spec=stage.rows[task_id].spec)
    assert reloaded(fresh, stage.policy, stage.now).not_before_ms == 0


def test_each_state_says_when_it_must_be_looked_at() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    running = stage.task(task_id)
    assert running.timer is not None
    assert due_ms(running, is_in_line=False) == running.timer.due_ms
    assert due_ms(replace(running, run_due_ms=5), is_in_line=False) == 5
    assert due_ms(replace(running, run_due_ms=None), is_in_line=False) == running.timer.due_ms
    peer.fail(task_id)
    waiting = stage.task(task_id)
    assert due_ms(waiting, is_in_line=False) == waiting.not_before_ms
    assert due_ms(waiting, is_in_line=True) is None
    assert due_ms(replace(waiting, start_by_ms=3), is_in_line=False) == 3
    stage.cancel(task_id)
    assert due_ms(stage.task(task_id), is_in_line=False) is None


def test_a_board_starts_with_what_was_open_and_with_names_it_has_no_record_of() -> None:
    stage = Stage()
    _, task_id = working(stage)
    stage.restart(agents=[], instances=[])
    stage.tell(HubStarted())
    assert stage.state(task_id) is State.RECOVERING
    assert stage.board.view_agents(stage.now)[0].running_tasks == (task_id,)
    assert not stage.board.is_connected(AgentId("a"))
