"""What the end of a task means for those that waited for it.

Owns passing on durable ends, a bounded number a turn, and which dependencies a new task still has. Who waits
for whom is kept in `dependencies.py`; what it does to a task is in the table.
"""

from __future__ import annotations

from typing import Final

from hub.core.draft import Draft
from hub.core.happenings import DependencyCompleted, DependencyFailed
from hub.core.office import Office
from hub.core.task import Spec, State
from protocol.ids import TaskId

DEPENDANTS_A_TURN_MAX: Final = 1_000
"""A thousand moves are some milliseconds of a turn; a task may have a hundred thousand dependants."""

LOOKUPS_A_TURN_MAX: Final = 1_000
"""Rows read before a turn, for dependencies that are not on the board: after a start, or for a retry."""


def pass_on_ends(office: Office, draft: Draft) -> None:
    """T28, T29: those that waited are told, each in its own move. What ends by that is passed on in its turn
    (L19).
    """
    for outcome, task_id in office.dependencies.take(DEPENDANTS_A_TURN_MAX):
        completed = outcome.state is State.COMPLETED
        happening = DependencyCompleted(outcome.task_id) if completed else DependencyFailed(outcome)
        decision = office.apply(office.tasks[task_id], happening, draft)
        assert decision is not None, f"{task_id} waits for {outcome.task_id} and is not queued"


def missing_dependency(office: Office, spec: Spec) -> TaskId | None:
    """The first of its dependencies that does not exist."""
    for task_id in spec.depends_on:
        if task_id not in office.tasks:
            outcome = office.dependencies.look(task_id)
            if outcome is None or outcome.state is None:
                return task_id
    return None


def left_to_wait_for(office: Office, spec: Spec) -> tuple[TaskId, ...]:
    """Of what it depends on, what holds it up now."""
    return tuple(task_id for task_id in spec.depends_on if office.dependencies.holds_up(task_id))
