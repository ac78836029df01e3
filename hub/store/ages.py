"""Named reads of what is past its age: what retention and pruning may let go.

Owns what is never old: what is open, what an open task waits for, and the newest of each kind, or numbers
would begin again. Writes nothing: `retention.py` does.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select

from hub.store.queries import LOGS, Queries
from hub.store.statements import EVENTS, RUNS, TASKS, waited_for

COUNTED_MAX: Final = 100_000
"""So far is counted what would go; whoever has more is told that there is more."""


class Ages:
    """Every method is one read, bounded in rows."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def tasks(self, before_wall_ms: int, limit: int) -> tuple[int, ...]:
        """Numbers of tasks that ended before and are no runs, which have an age of their own."""
        ended: ColumnElement[int] = TASKS.c.ended_wall_ms
        old = select(TASKS.c.number).where(ended < before_wall_ms, *may_go())
        old = old.where(TASKS.c.number.not_in(select(RUNS.c.number))).order_by(ended)
        return await self._numbers(old.limit(limit))

    async def runs(self, before_wall_ms: int, limit: int) -> tuple[int, ...]:
        """Numbers of runs that ended before."""
        both = RUNS.join(TASKS, TASKS.c.number == RUNS.c.number)
        old = select(RUNS.c.number).select_from(both).where(RUNS.c.ended_wall_ms < before_wall_ms, *may_go())
        return await self._numbers(old.limit(limit))

    async def lines(self, before_wall_ms: int, limit: int) -> tuple[int, ...]:
        """Lines of logs, from the old end."""
        oldest = select(LOGS.c.line_id, LOGS.c.wall_ms).order_by(LOGS.c.line_id).limit(limit).subquery()
        return await self._numbers(select(oldest.c.line_id).where(oldest.c.wall_ms < before_wall_ms))

    async def first_young_event(self, before_wall_ms: int, limit: int) -> int | None:
        """The offset below which events may go, at most `limit` of them; None when there is nothing to do."""
        columns = (EVENTS.c.offset, EVENTS.c.timestamp)
        oldest = await self._queries.read_rows(select(*columns).order_by(EVENTS.c.offset).limit(limit + 1))
        if not oldest or oldest[0][1] >= before_wall_ms or len(oldest) == 1:
            return None
        young = (offset for offset, timestamp in oldest if timestamp >= before_wall_ms)
        return int(next(young, oldest[-1][0]))

    async def old_events(self, before_wall_ms: int, limit: int) -> int:
        """How many events may go, as far as it is counted."""
        first_kept = await self.first_young_event(before_wall_ms, limit)
        return 0 if first_kept is None else first_kept - await self._queries.first_offset()

    async def _numbers(self, statement: Select[Any]) -> tuple[int, ...]:
        return tuple(row[0] for row in await self._queries.read_rows(statement))


def may_go() -> tuple[ColumnElement[bool], ...]:
    """Whatever its age: not the newest number, and nothing that an open task waits for."""
    newest = select(func.max(TASKS.c.number)).scalar_subquery()
    return TASKS.c.number < newest, TASKS.c.task_id.not_in(waited_for())
