"""A line is worth no more than whoever stands at its front, whatever it was worth a moment before."""

from __future__ import annotations

from typing import Any

from hub.core.events import AgentIdentified, TaskSubmitted
from hub.core.task import Priority, Spec, State
from protocol.ids import AgentId
from tests.core.stage import Stage

A = AgentId("a")


def test_nobody_is_urgent_because_an_urgent_one_stood_before_it() -> None:
    """Two queues of one key stand in two lines; the first to begin fills the key for the other."""
    stage = Stage()
    key: dict[str, Any] = {"concurrency_key": "k", "limit": 1, "priority": Priority.URGENT}
    begins = stage.submit(assign_to=A, **key)
    stage.submit(**key)
    stage.submit(priority=Priority.LOW)
    high = stage.submit(assign_to=A, priority=Priority.HIGH)
    peer = stage.joined("a", slots=2)
    assert [order.task_id for order in peer.orders()] == [begins, high]


def test_a_line_that_is_looked_at_for_two_reasons_is_not_served_out_of_its_turn() -> None:
    """It has a new front, and an agent has come that may serve it, both in one turn."""
    stage = Stage()
    peer = stage.peer("a")
    peer.link_id = stage.new_link(peer)
    ids = [stage.new_id() for _ in range(3)]
    wishes = ((Priority.URGENT, "x"), (Priority.LOW, "x"), (Priority.HIGH, "y"))
    stage.turn(
        AgentIdentified(sender=peer.sender, name="a", capabilities=("x", "y"), holding=(), slots=2),
        *(
            TaskSubmitted(task_id=task_id, spec=Spec(priority=priority, needed_capabilities=(word,)))
            for task_id, (priority, word) in zip(ids, wishes, strict=True)
        ),
    )
    assert [stage.state(task_id) for task_id in ids] == [State.ASSIGNED, State.QUEUED, State.ASSIGNED]
