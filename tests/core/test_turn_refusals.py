"""A refusal that names a task which was never written is no answer."""

from __future__ import annotations

from hub.core.effects import Refusal
from hub.core.events import TaskSubmitted
from hub.core.task import Spec
from hub.core.turn import Turn
from tests.core.stage import Stage


def test_who_was_refused_for_a_task_that_was_not_written_is_asked_again() -> None:
    """Somebody else has written under the hub: the holder of the key is not there, and is not named."""
    stage = Stage()
    first, second = stage.new_id(), stage.new_id()
    letters = [TaskSubmitted(task_id=task_id, spec=Spec(unique_key="u")) for task_id in (first, second)]
    turn = Turn(stage.board, letters, stage.now, [0.5] * 3)
    reply = turn.answers[1].reply
    assert isinstance(reply, Refusal)
    assert reply.task_id == first
    settled = turn.settle(frozenset((first,)))
    assert (settled.again, settled.replies) == ((0, 1), ())
