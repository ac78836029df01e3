"""A line whose front has to go back to its key is worth no more than whoever stands behind."""

from __future__ import annotations

from typing import Any

from hub.core.task import Priority
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
