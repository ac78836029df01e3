"""A key of which some tasks name a rate and others do not."""

from __future__ import annotations

from hub.core.events import AgentPaused, AgentUnpaused
from hub.core.policy import SECOND_MS
from hub.core.task import Rate, State
from hub.core.turn import Turn
from tests.core.stage import Stage


def test_a_rate_counts_those_that_named_none_although_nobody_holds_the_key_any_more() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=4)
    stage.wait(10 * SECOND_MS)  # a hub that has just started takes every key for just used
    rate = Rate(count=1, per_ms=10 * SECOND_MS)
    other = stage.submit(concurrency_key="other", rate=rate)
    peer.accept(other)
    plain = stage.submit(concurrency_key="k", limit=1)
    peer.accept(plain)
    peer.complete(plain)
    stage.wait(SECOND_MS)
    rated = stage.submit(concurrency_key="k", rate=rate)
    assert stage.state(rated) is State.QUEUED
    stage.wait(9 * SECOND_MS)
    assert stage.state(rated) is State.ASSIGNED


def test_what_was_never_written_has_not_begun() -> None:
    """A full disk in the middle: the key is not used up by what nobody was ever told."""
    stage = Stage()
    peer = stage.joined("a")
    stage.wait(10 * SECOND_MS)
    stage.tell(AgentPaused(agent_id=peer.agent_id, by="p"))
    task_id = stage.submit(concurrency_key="k", rate=Rate(count=1, per_ms=10 * SECOND_MS))
    letter = AgentUnpaused(agent_id=peer.agent_id, by="p")
    turn = Turn(stage.board, [letter], stage.now, [0.5, 0.5])
    assert task_id in turn.touched
    turn.abandon([stage.rows[task_id]])
    stage.tell(letter)
    assert stage.state(task_id) is State.ASSIGNED
