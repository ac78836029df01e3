"""An order that nobody has accepted may still be on its way when it is called back."""

from __future__ import annotations

from typing import Any

from hub.core.policy import SECOND_MS, Policy
from hub.core.task import State
from tests.core.stage import Stage

KEY: dict[str, Any] = {"concurrency_key": "k", "limit": 1}


def test_a_heartbeat_that_is_older_than_an_order_gives_back_neither_its_seat_nor_its_key() -> None:
    """On a slow wire the run begins after that beat, is then called back, and was one too many."""
    stage = Stage()
    peer = stage.joined("a", slots=1)
    late = stage.submit(**KEY)
    stage.wait(Policy().accept_ms)
    assert stage.state(late) is State.QUEUED
    peer.beat()
    stage.joined("b")
    waiting = stage.submit(**KEY)
    stage.wait(SECOND_MS)
    assert stage.state(waiting) is State.QUEUED
    peer.beat(peer.runs(late))
    assert stage.state(waiting) is State.QUEUED
    peer.beat()
    stage.wait(SECOND_MS)
    assert [stage.task(task_id).is_held for task_id in (late, waiting)].count(True) == 1


def test_an_order_that_was_called_back_unheard_is_over_when_its_agent_says_so() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=1)
    late = stage.submit()
    generation = peer.generation(late)
    stage.wait(Policy().accept_ms)
    peer.beat()
    assert stage.board.view_agents(stage.now)[0].revoked_seats == 1
    peer.stop(late, how="was_not_running", generation=generation)
    assert stage.board.view_agents(stage.now)[0].revoked_seats == 0
