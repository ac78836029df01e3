"""The rows of schedules: written by who asks for one, and by the loop that keeps them.

Owns the writes, the named reads and the bound on how many there are. A due time moves only from the value
that was read, so that neither a pause nor a second look is ever overwritten. Never decides when one is due.
"""

from __future__ import annotations

import re
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct
from sqlalchemy import Select, func, select

from hub.runs.schedule import SCHEDULES_MAX, Schedule
from hub.store.ledger import SqliteLedger
from hub.store.queries import PAGE_ROWS_MAX, Queries
from hub.store.statements import table
from hub.store.tables import ScheduleRow

SCHEDULES: Final = table(ScheduleRow)
COLUMNS: Final = ("record", "is_paused", "next_due_wall_ms")
PLACE: Final = func.printf("%015d", SCHEDULES.c.created_wall_ms) + SCHEDULES.c.schedule_id
"""By age, and of one millisecond each at a place of its own: where a page goes on."""

CURSOR: Final = re.compile(r"\d{15}sched-[0-9a-f]{16}")

INSERTED: Final = (
    "INSERT INTO schedules"
    " (schedule_id, plugin, user_id, record, is_paused, next_due_wall_ms, created_wall_ms)"
    " SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM schedules) < ?"
)
KEPT: Final = (
    "UPDATE schedules SET record = ?, next_due_wall_ms = ? WHERE schedule_id = ? AND next_due_wall_ms = ?"
)
PAUSED: Final = "UPDATE schedules SET is_paused = 1, next_due_wall_ms = NULL WHERE schedule_id = ?"
RESUMED: Final = (
    "UPDATE schedules SET is_paused = 0, next_due_wall_ms = ?"
    " WHERE schedule_id = ? AND next_due_wall_ms IS NULL"
)
DELETED: Final = "DELETE FROM schedules WHERE schedule_id = ?"


class TooManySchedules(Exception):
    """There are SCHEDULES_MAX of them."""


class SchedulePage(Struct, frozen=True):
    """Newest first. `next` is the cursor of the page after it, or None when there is nothing more."""

    schedules: tuple[Schedule, ...]
    next: str | None


class Schedules:
    """Every write is durable when it returns, and may raise StorageFull."""

    def __init__(self, ledger: SqliteLedger, queries: Queries, *, most: int = SCHEDULES_MAX) -> None:
        self._ledger = ledger
        self._queries = queries
        self._most = most

    async def add(self, schedule: Schedule) -> tuple[Schedule, bool]:
        """The schedule of that id, and whether it is new."""

        def insert(connection: apsw.Connection) -> tuple[Schedule, bool]:
            known = found(connection, schedule.schedule_id)
            if known is not None:
                return known, False
            connection.execute(INSERTED, (*row_of(schedule), self._most))
            if not connection.changes():
                raise TooManySchedules
            return schedule, True

        return await self._ledger.write(insert)

    async def keep(self, schedule: Schedule, due_wall_ms: int) -> bool:
        """What came of a due time, and the next one; False if it was paused or deleted meanwhile."""
        record = str(msgspec.json.encode(schedule), "utf-8")
        given = (record, schedule.next_due_wall_ms, schedule.schedule_id, due_wall_ms)
        return await self._changed(KEPT, given)

    async def pause(self, schedule_id: str) -> bool:
        return await self._changed(PAUSED, (schedule_id,))

    async def resume(self, schedule_id: str, next_due_wall_ms: int | None) -> bool:
        """False if it has a due time: that stays as it is."""
        return await self._changed(RESUMED, (next_due_wall_ms, schedule_id))

    async def delete(self, schedule_id: str) -> bool:
        return await self._changed(DELETED, (schedule_id,))

    async def _changed(self, sql: str, given: tuple[Any, ...]) -> bool:
        def change(connection: apsw.Connection) -> bool:
            connection.execute(sql, given)
            return bool(connection.changes())

        return await self._ledger.write(change)

    async def get(self, schedule_id: str) -> Schedule | None:
        rows = await self._queries.read_rows(whole().where(SCHEDULES.c.schedule_id == schedule_id))
        return schedule_of(rows[0]) if rows else None

    async def page(
        self,
        *,
        plugin: str | None = None,
        user_id: int | None = None,
        cursor: str | None = None,
        limit: int = PAGE_ROWS_MAX,
    ) -> SchedulePage | None:
        """None when the cursor is none of ours."""
        place = PLACE.label("place")
        page = whole(place)
        if cursor is not None:
            if not CURSOR.fullmatch(cursor):
                return None
            page = page.where(place < cursor)
        if plugin is not None:
            page = page.where(SCHEDULES.c.plugin == plugin)
        if user_id is not None:
            page = page.where(SCHEDULES.c.user_id == str(user_id))
        rows, has_more = await self._queries.read_page(
            page.order_by(place.desc()), ("record",), "place", limit, descending=True
        )
        return SchedulePage(tuple(map(schedule_of, rows)), rows[-1][-1] if has_more else None)

    async def due(self, wall_ms: int, limit: int) -> tuple[Schedule, ...]:
        """Those whose time has come, the longest waiting first."""
        due_ms = SCHEDULES.c.next_due_wall_ms
        rows = await self._queries.read_rows(whole().where(due_ms <= wall_ms).order_by(due_ms).limit(limit))
        return tuple(map(schedule_of, rows))

    async def earliest(self) -> int | None:
        """When the next of all is due."""
        (found_ms,) = (await self._queries.read_rows(select(func.min(SCHEDULES.c.next_due_wall_ms))))[0]
        return None if found_ms is None else int(found_ms)


def whole(*more: Any) -> Select[Any]:
    return select(*[SCHEDULES.c[name] for name in COLUMNS], *more)


def found(connection: apsw.Connection, schedule_id: str) -> Schedule | None:
    row = connection.execute(
        "SELECT record, is_paused, next_due_wall_ms FROM schedules WHERE schedule_id = ?", (schedule_id,)
    ).fetchone()
    return None if row is None else schedule_of(row)


def row_of(schedule: Schedule) -> tuple[Any, ...]:
    return (
        schedule.schedule_id,
        schedule.plan.plugin,
        str(schedule.plan.user_id),
        str(msgspec.json.encode(schedule), "utf-8"),
        int(schedule.is_paused),
        schedule.next_due_wall_ms,
        schedule.created_wall_ms,
    )


def schedule_of(row: Any) -> Schedule:
    """The columns count: pausing changes them and leaves the record alone."""
    record, is_paused, next_due_wall_ms, *_ = row
    return msgspec.structs.replace(
        msgspec.json.decode(record, type=Schedule),
        is_paused=bool(is_paused),
        next_due_wall_ms=next_due_wall_ms,
    )
