"""Which tasks somebody means: the filter of lists, exports and bulk, as conditions of the database.

Owns `TaskFilter` and what of it needs a look at many rows. Never runs a statement.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, func, or_, select

from hub.core.task import Priority, State
from hub.store.statements import SUBMISSIONS, TASKS


class TaskFilter(Struct, frozen=True, kw_only=True):
    """Which tasks are wanted; all that is given must hold."""

    state: State | None = None
    agent_id: str | None = None
    plugin: str | None = None
    priority: Priority | None = None
    text: str | None = None
    """Part of the description or of the id, in any case of its ASCII letters."""
    label: tuple[str, str] | None = None
    """A name and its value, as the submitter gave them."""
    fingerprint: str | None = None
    submitted_by: str | None = None
    unique_key: str | None = None
    """The open task that holds it: an ended one has let go of its key."""
    concurrency_key: str | None = None
    after_wall_ms: int | None = None
    """Pushed then or later."""
    before_wall_ms: int | None = None
    """Pushed before."""
    task_ids: tuple[str, ...] | None = None
    """One of these."""
    retry_of: tuple[str, ...] | None = None
    """What runs one of these again."""

    @property
    def is_empty(self) -> bool:
        return self == EVERYTHING


EVERYTHING: Final = TaskFilter()


def conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    """All that must hold of a row of tasks joined with its submission."""
    columns = {
        TASKS.c.state: wanted.state.value if wanted.state is not None else None,
        TASKS.c.agent_id: wanted.agent_id,
        TASKS.c.plugin: wanted.plugin,
        TASKS.c.priority: wanted.priority.value if wanted.priority is not None else None,
        TASKS.c.fingerprint: wanted.fingerprint,
        TASKS.c.submitted_by: wanted.submitted_by,
        TASKS.c.unique_key: wanted.unique_key,
        SUBMISSIONS.c.spec.op("->>")("$.concurrency_key"): wanted.concurrency_key,
    }
    where: list[ColumnElement[bool]] = [
        column == value for column, value in columns.items() if value is not None
    ]
    if wanted.text is not None:
        where.append(
            or_(
                SUBMISSIONS.c.description.contains(wanted.text, autoescape=True),
                TASKS.c.task_id.contains(wanted.text, autoescape=True),
            )
        )
    if wanted.label is not None:
        where.append(has_label(*wanted.label))
    if wanted.task_ids is not None:
        where.append(TASKS.c.task_id.in_(wanted.task_ids))
    if wanted.retry_of is not None:
        where.append(TASKS.c.retry_of.in_(wanted.retry_of))
    if wanted.after_wall_ms is not None:
        where.append(TASKS.c.created_wall_ms >= wanted.after_wall_ms)
    if wanted.before_wall_ms is not None:
        where.append(TASKS.c.created_wall_ms < wanted.before_wall_ms)
    return where


def has_label(name: str, value: str) -> ColumnElement[bool]:
    each = func.json_each(SUBMISSIONS.c.spec, "$.labels").table_valued("key", "value")
    return select(each.c.key).where(each.c.key == name, each.c.value == value).exists()


def needs_scan(wanted: TaskFilter) -> bool:
    """Whether more than one index, or none, would be needed to find the rows and nothing else."""
    if wanted.unique_key is not None or wanted.task_ids is not None or wanted.retry_of is not None:
        return False
    indexed = (wanted.state, wanted.agent_id, wanted.plugin, wanted.fingerprint)
    others = (
        wanted.priority,
        wanted.text,
        wanted.label,
        wanted.submitted_by,
        wanted.concurrency_key,
        wanted.after_wall_ms,
        wanted.before_wall_ms,
    )
    count = sum(value is not None for value in indexed)
    return count > 1 or any(value is not None for value in others)
