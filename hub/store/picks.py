"""Named reads for what is done to many tasks at once: which are meant, and which of them it can be done to.

Owns what may be cancelled, run again and purged, as conditions of the database. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select

from hub.core.task import State
from hub.store.ages import may_go
from hub.store.queries import SCAN_ROWS_MAX, Queries
from hub.store.statements import FINAL_STATES, OPEN_STATES, SUBMISSIONS, TASKS
from hub.store.task_filters import TaskFilter, conditions
from protocol.ids import TaskId

Action = Literal["cancel", "retry", "purge"]

PICKED_MAX: Final = 10_000
"""Tasks of one call: seconds of work, after which whoever asked hears what came of it and asks again."""

PAGE_PICKS: Final = 1_000
"""Rows of one read: a tenth of a second of one reader at most."""

STOPPABLE: Final = tuple(state for state in OPEN_STATES if state != State.CANCELLING)
UNDONE: Final = tuple(state for state in FINAL_STATES if state != State.COMPLETED)
"""What is run again when nobody names a state: work that is done is not repeated by accident."""


class Pick(Struct, frozen=True):
    """As much of a task as decides whether somebody may do it."""

    number: int
    task_id: TaskId
    assign_to: str | None
    plugin: str | None


class Picked(Struct, frozen=True):
    picks: tuple[Pick, ...]
    more: bool
    """Whether there are more than were looked for."""


class Picks:
    """Newest first, each read bounded in rows."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def pick(self, action: Action, wanted: TaskFilter, is_mine: Callable[[Pick], bool]) -> Picked:
        """What the action can be done to, of what is wanted and in reach; at most PICKED_MAX."""
        where = [*conditions(wanted), *doable(action, wanted)]
        found: list[Pick] = []
        start = await self._newest() + 1
        while start > 1:
            page = [Pick(*row) for row in await self._queries.read_rows(page_of(where, start))]
            found += [pick for pick in page if is_mine(pick)]
            if len(found) > PICKED_MAX:
                return Picked(tuple(found[:PICKED_MAX]), more=True)
            start = page[-1].number if len(page) == PAGE_PICKS else start - SCAN_ROWS_MAX
        return Picked(tuple(found), more=False)

    async def _newest(self) -> int:
        (found,) = (await self._queries.read_rows(select(func.coalesce(func.max(TASKS.c.number), 0))))[0]
        return int(found)


def page_of(where: list[ColumnElement[bool]], start: int) -> Select[Any]:
    """The newest that match below a number, as far down as one read may look."""
    both = TASKS.join(SUBMISSIONS, SUBMISSIONS.c.number == TASKS.c.number)
    assign_to = SUBMISSIONS.c.spec.op("->>")("$.assign_to")
    columns = (TASKS.c.number, TASKS.c.task_id, assign_to.label("assign_to"), TASKS.c.plugin)
    within = (TASKS.c.number < start, TASKS.c.number >= start - SCAN_ROWS_MAX)
    page = select(*columns).select_from(both).where(*within, *where)
    return page.order_by(TASKS.c.number.desc()).limit(PAGE_PICKS)


def doable(action: Action, wanted: TaskFilter) -> tuple[ColumnElement[bool], ...]:
    """What must hold of a task for this to be possible. It is found once: doing it again finds nothing."""
    match action:
        case "cancel":
            return (TASKS.c.state.in_(STOPPABLE),)
        case "retry":
            again = TASKS.alias("again")
            is_retried = select(again.c.number).where(again.c.retry_of == TASKS.c.task_id).exists()
            states = UNDONE if wanted.state is None else FINAL_STATES
            return TASKS.c.state.in_(states), ~is_retried
        case "purge":
            return (TASKS.c.ended_wall_ms.is_not(None), *may_go())
