"""Named reads: what is read of the ledger while the hub runs, on reader connections in threads.

Owns pages (by key, never by counting rows) and their bounds. A read comes back from SQLite as
one JSON text, for the same reason that a batch goes there as one (see `statements.py`). Never writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct
from sqlalchemy import ColumnElement, Connection, Select, func, select

from hub.clock import wall_ms
from hub.core.effects import AgentRecord, StrayKept
from hub.core.task import State, Task
from hub.ports import CommittedEvent
from hub.store import rows, statements
from hub.store.database import READERS_MAX, Database
from hub.store.mail import MAIL_KEPT_MS
from hub.store.pages import INTEGER_MAX, as_one, number_of, within_bytes
from hub.store.statements import EVENTS, PROGRESS, TASKS
from hub.store.tables import LogRow, MailRow, StrayRow
from hub.store.task_filters import TaskFilter, conditions, needs_scan
from protocol.ids import AgentId, TaskId
from protocol.limits import MIB

T = TypeVar("T")

PAGE_ROWS_MAX: Final = 500
PAGE_BYTES_MAX: Final = 4 * MIB
"""A page ends before it grows above this, but never before its first row: results may be 256 KiB each."""

CHUNK_EVENTS_MAX: Final = 1_000
CHUNK_BYTES_MAX: Final = 1 * MIB

SCAN_ROWS_MAX: Final = 100_000
"""Tasks looked at for one page when no index answers the filter alone; the page then says where to go on."""

LOGS: Final = statements.table(LogRow)
MAIL: Final = statements.table(MailRow)
STRAYS: Final = statements.table(StrayRow)


class TaskPage(Struct, frozen=True):
    """Newest first. `next` is the cursor of the page after it, or None when there is nothing more."""

    tasks: tuple[Task, ...]
    next: str | None


class LogLine(Struct, frozen=True, kw_only=True):
    line_id: int
    generation: int
    wall_ms: int
    n: int
    level: str
    kind: str
    text: str
    data: Raw | None


class MailLine(Struct, frozen=True, kw_only=True):
    seq: int
    message_id: str
    sender: str
    message_type: str
    payload: Raw
    reply_to: str | None
    wall_ms: int


class LastProgress(Struct, frozen=True, kw_only=True):
    """What a run last said of itself, as far as the low-priority writer has kept it."""

    generation: int
    wall_ms: int
    progress: float | None = None
    message: str | None = None


decode: Final = msgspec.json.Decoder(list[tuple[Any, ...]]).decode


class Queries:
    """Every method is one read, bounded in rows and bytes."""

    def __init__(self, database: Database, wall_ms: Callable[[], int] = wall_ms) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._threads = ThreadPoolExecutor(READERS_MAX, "queries")

    def close(self) -> None:
        self._threads.shutdown()

    # --- tasks ---

    async def task(self, task_id: TaskId) -> Task | None:
        return await self.one_task(TASKS.c.task_id == task_id)

    async def tasks(
        self,
        wanted: TaskFilter,
        *,
        cursor: str | None = None,
        limit: int = PAGE_ROWS_MAX,
        is_brief: bool = False,
    ) -> TaskPage | None:
        """A page of what matches; None when the cursor is none of ours."""
        return await self.page_of_tasks(
            TASKS.c.number,
            conditions(wanted),
            cursor=cursor,
            limit=limit,
            is_scan=needs_scan(wanted),
            is_brief=is_brief,
        )

    async def stats(self) -> dict[str, int]:
        """How many tasks are in each state, those without any included."""
        found = await self.read_rows(select(TASKS.c.state, func.count()).group_by(TASKS.c.state))
        return {state.value: 0 for state in State} | dict(found)

    async def progress(self, task_id: TaskId) -> LastProgress | None:
        columns = (PROGRESS.c.generation, PROGRESS.c.wall_ms, PROGRESS.c.progress)
        found = await self.read_rows(select(*columns).where(PROGRESS.c.task_id == task_id))
        if not found:
            return None
        generation, wall_ms, said = found[0]
        kept = rows.said_of(said)
        return LastProgress(
            generation=generation, wall_ms=wall_ms, progress=kept.progress, message=kept.message
        )

    # --- the log ---

    async def events_after(self, offset: int, limit: int = CHUNK_EVENTS_MAX) -> tuple[CommittedEvent, ...]:
        """Committed events with a higher offset, in order."""
        return await self._events(EVENTS.c.offset > offset, limit=limit)

    async def task_events(
        self, task_id: TaskId, *, after: int = 0, limit: int = CHUNK_EVENTS_MAX
    ) -> tuple[CommittedEvent, ...]:
        """The task's own history, oldest first."""
        return await self._events(EVENTS.c.task_id == task_id, EVENTS.c.offset > after, limit=limit)

    async def first_offset(self) -> int:
        """The oldest offset still kept; 1 when there is none yet."""
        (found,) = (await self.read_rows(select(func.coalesce(func.min(EVENTS.c.offset), 1))))[0]
        return int(found)

    async def last_offset(self) -> int:
        """The newest; 0 when there is none yet."""
        (found,) = (await self.read_rows(select(func.coalesce(func.max(EVENTS.c.offset), 0))))[0]
        return int(found)

    async def _events(self, *where: ColumnElement[bool], limit: int) -> tuple[CommittedEvent, ...]:
        columns = [EVENTS.c[name] for name in statements.EVENT_COLUMNS]
        chunk = select(*columns).where(*where).order_by(EVENTS.c.offset)
        found, _ = await self.read_page(
            chunk, ("payload",), "offset", limit, rows_max=CHUNK_EVENTS_MAX, bytes_max=CHUNK_BYTES_MAX
        )
        return tuple(event_of(row) for row in found)

    async def task_log(
        self, task_id: TaskId, *, after: int = 0, limit: int = PAGE_ROWS_MAX
    ) -> tuple[LogLine, ...]:
        """The kept lines of the activity stream, oldest first, from the first after `after`."""
        page = (
            select(LOGS.c.line_id, LOGS.c.generation, LOGS.c.wall_ms, LOGS.c.line)
            .where(LOGS.c.task_id == task_id, LOGS.c.line_id > after)
            .order_by(LOGS.c.line_id)
        )
        found, _ = await self.read_page(page, ("line",), "line_id", limit)
        return tuple(log_line_of(row) for row in found)

    # --- agents, strays, mail ---

    async def agents(self) -> tuple[AgentRecord, ...]:
        """Every name the hub has ever bound, present or not."""
        found = await self.read_rows(
            select(statements.AGENTS.c.record).order_by(statements.AGENTS.c.agent_id)
        )
        return tuple(msgspec.json.decode(row[0], type=AgentRecord) for row in found)

    async def strays(self, *, after: int = 0, limit: int = PAGE_ROWS_MAX) -> tuple[StrayKept, ...]:
        """Facts about tasks that the hub does not know, oldest first."""
        names = StrayKept.__struct_fields__
        page = (
            select(*[STRAYS.c[name] for name in names], STRAYS.c.number)
            .where(STRAYS.c.number > after)
            .order_by(STRAYS.c.number)
        )
        found, _ = await self.read_page(page, ("frame",), "number", limit)
        return tuple(stray_of(dict(zip(names, row, strict=False))) for row in found)

    async def mail(
        self, agent_id: AgentId, *, since: int = 0, limit: int = PAGE_ROWS_MAX
    ) -> tuple[MailLine, ...]:
        """Oldest first, from the first message after `since`; what is too old is not shown (L59)."""
        oldest = self._wall_ms() - MAIL_KEPT_MS
        names = ("seq", "message_id", "sender", "message_type", "payload", "reply_to", "wall_ms")
        page = (
            select(*[MAIL.c[name] for name in names])
            .where(MAIL.c.agent_id == agent_id, MAIL.c.seq > since, MAIL.c.wall_ms >= oldest)
            .order_by(MAIL.c.seq)
        )
        found, _ = await self.read_page(page, ("payload",), "seq", limit)
        return tuple(mail_of(dict(zip(names, row, strict=True))) for row in found)

    # --- how ---

    async def page_of_tasks(
        self,
        number: ColumnElement[Any],
        where: Sequence[ColumnElement[bool]],
        *,
        cursor: str | None,
        limit: int,
        is_scan: bool,
        is_brief: bool = False,
    ) -> TaskPage | None:
        """Tasks for which all of this holds, newest first by a column `number` that orders them; None for a
        cursor that is none of ours."""
        start = number_of(cursor)
        if start is None:
            return None
        if start == INTEGER_MAX:
            (highest,) = (await self.read_rows(select(func.coalesce(func.max(TASKS.c.number), 0))))[0]
            start = highest + 1
        floor = start - SCAN_ROWS_MAX if is_scan else 0
        page = statements.whole(number, is_brief=is_brief).where(number < start, number >= floor, *where)
        page = page.order_by(number.desc())
        big = ("life", "description", "spec")
        found, has_more = await self.read_page(page, big, "number", limit, descending=True)
        following = found[-1][-1] if has_more else max(floor, 0)
        tasks = tuple(self._task(row) for row in found)
        return TaskPage(tasks, str(following) if following > 1 else None)

    async def one_task(
        self, *where: ColumnElement[bool], number: ColumnElement[Any] = TASKS.c.number
    ) -> Task | None:
        """The task for which all of this holds, of several the one with the highest number."""
        found = await self.read_rows(statements.whole().where(*where).order_by(number.desc()).limit(1))
        return self._task(found[0]) if found else None

    def _task(self, row: Sequence[Any]) -> Task:
        return rows.task_of(row, self._database.shift_ms)

    async def read_page(
        self,
        page: Select[Any],
        big: tuple[str, ...],
        key: str,
        limit: int,
        *,
        rows_max: int = PAGE_ROWS_MAX,
        bytes_max: int = PAGE_BYTES_MAX,
        descending: bool = False,
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """The first rows of an ordered statement within both bounds, and whether there are more."""
        most = min(max(limit, 1), rows_max)
        bounded = within_bytes(page.limit(most + 1), big, key, bytes_max=bytes_max, descending=descending)
        found = await self.read_rows(bounded)
        has_more = bool(found) and found[0][-1] > min(len(found), most)
        return [row[:-1] for row in found[:most]], has_more

    async def read_rows(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        """What a statement selects, unpacked from one text."""
        return await self._read(lambda connection: decode(connection.execute(as_one(statement)).scalar_one()))

    async def _read(self, look: Callable[[Connection], T]) -> T:
        def in_thread() -> T:
            with self._database.readers.connect() as connection:
                return look(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, in_thread)


# --- rows ---


def event_of(row: Sequence[Any]) -> CommittedEvent:
    offset, event, task_id, agent_id, generation, timestamp, payload = row
    return CommittedEvent(
        offset=offset,
        event=event,
        task_id=task_id,
        agent_id=agent_id,
        generation=generation,
        timestamp=timestamp,
        payload=Raw(payload.encode()),
    )


class KeptLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the activity stream as it lies in its row."""

    n: int = 0
    level: str = "info"
    kind: str = "output"
    text: str = ""
    data: rows.OptionalRaw = None


def log_line_of(row: Sequence[Any]) -> LogLine:
    line_id, generation, wall_ms, line = row
    kept = msgspec.json.decode(line, type=KeptLine)
    return LogLine(
        line_id=line_id,
        generation=generation,
        wall_ms=wall_ms,
        n=kept.n,
        level=kept.level,
        kind=kept.kind,
        text=kept.text,
        data=kept.data,
    )


def stray_of(members: dict[str, Any]) -> StrayKept:
    return StrayKept(**members | {"frame": Raw(members["frame"].encode())})


def mail_of(members: dict[str, Any]) -> MailLine:
    return MailLine(**members | {"payload": Raw(members["payload"].encode())})
