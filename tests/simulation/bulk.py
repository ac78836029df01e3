"""What people do to tasks that are there: cancel one or many, and accept an ending or not.

Owns the bursts of letters that a bulk request comes to: the hub hears one of each task, in one breath. Never
looks into the hub: what is chosen is what a list would have shown.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hub.core.effects import Granted, Reply
from hub.core.events import CancelRequested, RetryRequested
from hub.core.task import Task
from protocol.ids import TaskId
from tests.simulation.clients import ask
from tests.simulation.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.world import World


def cancel_one(world: World) -> bool:
    """Somebody cancels a task that is open, or sometimes one that is over; the word may cross with a cut."""
    candidates = [row.task_id for row in world.truth.rows.values() if not row.is_final]
    if world.die.random() < 0.1:
        candidates = list(world.truth.rows)
    if not candidates:
        return False
    _cancel(world, world.die.choice(candidates))
    if world.wires and world.die.random() < 0.3:
        world.scheduler.after(world.die.uniform(0, 100), world.die.choice(world.wires).cut)
    return True


def cancel_many(world: World) -> bool:
    """All that is open, or all of one submitter, whatever came of them since the list was made."""
    chosen = _filtered(world, [row for row in world.truth.rows.values() if not row.is_final])
    for row in chosen:
        _cancel(world, row.task_id)
    return bool(chosen)


def _cancel(world: World, task_id: TaskId) -> None:
    ask(world, lambda: CancelRequested(task_id=task_id, by="a person"), lambda reply: None)


def retry_many(world: World) -> bool:
    """Everything that came to a bad end and that nobody has retried, as far as a list shows it."""
    rows = list(world.truth.rows.values())
    retried = {row.spec.retry_of for row in rows}
    ended = [row for row in rows if row.is_final and row.state != "completed" and row.spec.retry_of is None]
    chosen = _filtered(world, [row for row in ended if row.task_id not in retried])
    for row in chosen:
        _retry(world, row.task_id)
    return bool(chosen)


def _filtered(world: World, rows: list[Task]) -> list[Task]:
    if not rows or world.die.random() < 0.5:
        return rows
    submitter = world.die.choice(rows).spec.submitted_by
    return [row for row in rows if row.spec.submitted_by == submitter]


def retry_by_hand(world: World, task_id: TaskId) -> None:
    """A person does not accept an ending: a new task with `retry_of`."""
    world.hit(Fault.RETRY_BY_HAND)
    _retry(world, task_id)


def _retry(world: World, task_id: TaskId) -> None:
    """Not repeated when the answer is lost: without a key a second request is a second task."""
    ask(
        world,
        lambda: RetryRequested(task_id=task_id, new_task_id=world.new_task_id(), by="a person"),
        partial(_heard, world),
        again=False,
    )


def _heard(world: World, reply: Reply) -> None:
    if isinstance(reply, Granted) and reply.task is not None:
        world.truth.pushed[reply.task.task_id] = ""
