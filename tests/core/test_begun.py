"""What has begun has begun: no start is waited for any more, and of a run that is over only its result."""

from __future__ import annotations

from hub.core.policy import MINUTE_MS, SECOND_MS
from hub.core.task import State
from protocol.frames import TaskRevoke
from tests.core.stage import WALL_ZERO_MS, Stage, working

SILENT_MS = 5 * SECOND_MS


def test_a_result_that_is_on_its_way_is_not_called_back_for_silence() -> None:
    """The link fell while it was said: what is over does not speak, and must not be done again."""
    stage = Stage()
    peer, task_id = working(stage, progress_ms=SILENT_MS, attempts_max=2)
    peer.drop()
    peer.comes_back(peer.has(task_id, "result_pending"))
    peer.heard.clear()
    stage.wait(3 * SILENT_MS)
    assert stage.state(task_id) is State.RUNNING
    assert not peer.hears(TaskRevoke)
    peer.complete(task_id)
    assert stage.state(task_id) is State.COMPLETED


def test_a_run_whose_acceptance_was_never_heard_had_started() -> None:
    """L18: it has failed an attempt, so its task has started, whenever it was to."""
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit(start_by_wall_ms=WALL_ZERO_MS + 10 * SECOND_MS)
    peer.fail(task_id)
    task = stage.task(task_id)
    assert (task.state, task.attempt, task.start_by_ms) == (State.QUEUED, 1, None)
    peer.drop()
    stage.wait(MINUTE_MS)
    assert stage.state(task_id) is State.QUEUED
