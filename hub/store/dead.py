"""Named reads of dead letters: how many of which kind, since when, and how many were run again.

Owns the groups. What one dead letter says is its task's. Writes nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import func, select

from hub.core.task import State
from hub.store.pages import number_of
from hub.store.queries import Queries
from hub.store.statements import TASKS
from protocol.ids import TaskId

GROUPED_MAX: Final = 100_000
"""Dead letters that are grouped, the newest: older ones are in lists, and soon in nobody's memory."""

ERROR_LENGTH_MAX: Final = 1_000
"""So much of a group's example; the task itself has all of it."""


class DeadGroup(Struct, frozen=True, kw_only=True):
    """Dead letters of one kind, with the newest as the example."""

    fingerprint: str
    how: str
    whose_fault: str | None
    error: str
    plugin: str | None
    count: int
    retried: int
    first_seen_wall_ms: int
    last_seen_wall_ms: int
    example: TaskId


class DeadPage(Struct, frozen=True):
    """The group with the newest dead letter first."""

    groups: tuple[DeadGroup, ...]
    next: str | None


class DeadLetters:
    """Every method is one read."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def groups(self, *, cursor: str | None = None, limit: int) -> DeadPage | None:
        """A page of groups; None for a cursor that is none of ours."""
        start = number_of(cursor)
        if start is None:
            return None
        again = TASKS.alias("again")
        is_retried = select(again.c.number).where(again.c.retry_of == TASKS.c.task_id).exists()
        columns = (TASKS.c.number, TASKS.c.fingerprint, TASKS.c.ended_wall_ms, is_retried.label("is_retried"))
        dead = select(*columns).where(TASKS.c.state == State.DEAD_LETTER.value)
        dead_letters = dead.order_by(TASKS.c.number.desc()).limit(GROUPED_MAX).subquery("dead")
        newest = func.max(dead_letters.c.number)
        groups = (
            select(
                newest.label("newest"),
                func.count().label("count"),
                func.sum(dead_letters.c.is_retried).label("retried"),
                func.min(dead_letters.c.ended_wall_ms).label("first_seen"),
                func.max(dead_letters.c.ended_wall_ms).label("last_seen"),
            )
            .group_by(dead_letters.c.fingerprint)
            .having(newest < start)
            .order_by(newest.desc())
            .limit(limit + 1)
            .subquery("groups")
        )
        page = (
            select(
                TASKS.c.fingerprint,
                func.coalesce(TASKS.c.life.op("->>")("$.ending.how"), ""),
                TASKS.c.life.op("->>")("$.ending.whose_fault"),
                func.substr(func.coalesce(TASKS.c.life.op("->>")("$.error"), ""), 1, ERROR_LENGTH_MAX),
                TASKS.c.plugin,
                groups.c.count,
                groups.c.retried,
                groups.c.first_seen,
                groups.c.last_seen,
                TASKS.c.task_id,
                TASKS.c.number,
            )
            .select_from(groups.join(TASKS, TASKS.c.number == groups.c.newest))
            .order_by(TASKS.c.number.desc())
        )
        found = await self._queries.read_rows(page)
        names = DeadGroup.__struct_fields__
        shown = tuple(DeadGroup(**dict(zip(names, row, strict=False))) for row in found[:limit])
        return DeadPage(shown, str(found[limit - 1][-1]) if len(found) > limit else None)
