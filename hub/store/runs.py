"""Named reads of runs. A run is its task: what callers get is tasks whose `spec.run` says whose they are.

Owns the filters and the pages of runs. Writes nothing: rows come and end with their tasks (`writing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, func, or_

from hub.core.runs import RunStatus
from hub.core.task import State, Task
from hub.store.queries import PAGE_ROWS_MAX, Queries, TaskPage
from hub.store.statements import OPEN_STATES, RUNS, TASKS

ITS_TASK: Final = RUNS.c.number == TASKS.c.number
FAILED_STATES: Final = (State.CANCELLED.value, State.DEAD_LETTER.value, State.FAILED.value)


class RunFilter(Struct, frozen=True, kw_only=True):
    """Which runs are wanted; all that is given must hold."""

    status: RunStatus | None = None
    plugin: str | None = None
    user_id: int | None = None


class RunQueries:
    """Every method is one read, bounded in rows and bytes."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def run(self, plugin_run_id: str) -> Task | None:
        return await self._queries.one_task(RUNS.c.plugin_run_id == plugin_run_id, ITS_TASK)

    async def latest(self, digest: str) -> Task | None:
        """The newest run for this user, plugin and settings (`runs.digest_of`), however it stands."""
        return await self._queries.one_task(RUNS.c.digest == digest, ITS_TASK, number=RUNS.c.number)

    async def runs(
        self, wanted: RunFilter, *, cursor: str | None = None, limit: int = PAGE_ROWS_MAX
    ) -> TaskPage | None:
        """Newest first; None when the cursor is none of ours."""
        return await self._page(conditions(wanted), cursor, limit, is_scan=needs_scan(wanted))

    async def briefings(
        self,
        *,
        plugin: str | None = None,
        user_id: int | None = None,
        cursor: str | None = None,
        limit: int = PAGE_ROWS_MAX,
    ) -> TaskPage | None:
        """Completed runs whose output is a briefing (`runs.briefing_of`), newest first."""
        wanted = RunFilter(plugin=plugin, user_id=user_id)
        where = [RUNS.c.is_briefing == 1, *conditions(wanted)]
        return await self._page(where, cursor, limit, is_scan=bool(plugin or user_id is not None))

    async def _page(
        self, where: Sequence[ColumnElement[bool]], cursor: str | None, limit: int, *, is_scan: bool
    ) -> TaskPage | None:
        return await self._queries.page_of_tasks(
            RUNS.c.number, (ITS_TASK, *where), cursor=cursor, limit=limit, is_scan=is_scan
        )


def conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        where.append(stands(wanted.status))
    if wanted.plugin is not None:
        where.append(RUNS.c.plugin == wanted.plugin)
    if wanted.user_id is not None:
        where.append(RUNS.c.user_id == str(wanted.user_id))
    return where


def stands(status: RunStatus) -> ColumnElement[bool]:
    """`runs.status_of` in the words of the database."""
    state: ColumnElement[str] = TASKS.c.state
    match status:
        case RunStatus.COMPLETED:
            return state == State.COMPLETED.value
        case RunStatus.FAILED:
            return state.in_(FAILED_STATES)
        case _:
            started = func.json_extract(TASKS.c.life, "$.started_wall_ms")
            is_begun = or_(started.is_not(None), state == State.CANCELLING.value)
            is_wanted = is_begun if status is RunStatus.PROCESSING else ~is_begun
            return state.in_(OPEN_STATES) & is_wanted


def needs_scan(wanted: RunFilter) -> bool:
    """Whether more than one index, or none, would be needed to find the rows and nothing else."""
    indexed = (wanted.plugin, wanted.user_id)
    return wanted.status is not None or sum(value is not None for value in indexed) > 1
