"""Who is told of events, and what they are still to be told: the rows, written and read for the work itself.

Owns the one transaction in which events become deliveries and the cursor moves on: neither is ever there
without the other. An event is told under one message id, however often the hub looks at it or dies between
two steps. Never connects to anybody, and never reads what people ask about (`webhook_log.py` does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import func, select

from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from hub.store.receivers import About, Receiver
from hub.store.sheet import run_with
from hub.store.statements import EVENTS, SUBMISSIONS, TASKS, table
from hub.store.tables_webhooks import DeliveryRow, NoticeRow, WebhookRow

WEBHOOKS: Final = table(WebhookRow)
NOTICES: Final = table(NoticeRow)
DELIVERIES: Final = table(DeliveryRow)

RECEIVERS_MAX: Final = 200
"""Each event is held against each of their filters."""

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"

ADDED: Final = (
    "INSERT INTO webhooks (webhook_id, record, is_enabled, cursor, created_wall_ms)"
    ' SELECT ?, ?, 1, (SELECT coalesce(max("offset"), 0) FROM events), ?'
    " WHERE (SELECT count(*) FROM webhooks) < ? RETURNING cursor"
)
SAVED: Final = "UPDATE webhooks SET record = ?, is_enabled = ? WHERE webhook_id = ?"
ENABLED: Final = (
    'UPDATE webhooks SET cursor = (SELECT coalesce(max("offset"), 0) FROM events)'
    " WHERE webhook_id = ? RETURNING cursor"
)
SOUGHT: Final = (
    "UPDATE webhooks SET cursor = min(cursor, ?) WHERE webhook_id = ? AND is_enabled = 1 RETURNING cursor"
)
REMOVED: Final = "DELETE FROM webhooks WHERE webhook_id = ?"

MOVED_ON: Final = (
    "UPDATE webhooks SET cursor = given.next FROM"
    " (SELECT value ->> 0 AS webhook_id, value ->> 1 AS seen, value ->> 2 AS next FROM jsonb_each(?))"
    " AS given"
    " WHERE webhooks.webhook_id = given.webhook_id AND webhooks.cursor = given.seen"
    " AND webhooks.is_enabled = 1 RETURNING webhook_id"
)
NEW_NOTICES: Final = (
    "INSERT OR IGNORE INTO webhook_notices (message_id, event_offset, body)"
    " SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?)"
)
NEW_DELIVERIES: Final = (
    "INSERT INTO webhook_deliveries (webhook_id, message_id, event, task_id, agent_id, state, tries,"
    " due_wall_ms, created_wall_ms, updated_wall_ms)"
    " SELECT value ->> 0, notice.message_id, value ->> 2, value ->> 3, value ->> 4, 'pending', 0,"
    " value ->> 5, value ->> 5, value ->> 5"
    " FROM jsonb_each(?) JOIN webhook_notices AS notice ON notice.event_offset = value ->> 1"
    " WHERE true ON CONFLICT (webhook_id, message_id) DO UPDATE SET state = 'pending', tries = 0,"
    " due_wall_ms = excluded.due_wall_ms, updated_wall_ms = excluded.updated_wall_ms"
    " WHERE state <> 'pending' RETURNING webhook_id"
)
NEW_TEST: Final = (
    "INSERT INTO webhook_deliveries (webhook_id, message_id, event, state, tries,"
    " due_wall_ms, created_wall_ms, updated_wall_ms) VALUES (?, ?, ?, 'pending', 0, ?, ?, ?) RETURNING number"
)
ONCE_MORE: Final = (
    "UPDATE webhook_deliveries SET state = 'pending', tries = 0, due_wall_ms = ?, updated_wall_ms = ?"
    " WHERE number = ? AND state <> 'pending'"
)
SETTLED: Final = (
    "UPDATE webhook_deliveries SET state = ?, tries = ?, due_wall_ms = ?, updated_wall_ms = ?"
    " WHERE number = ? AND state = 'pending'"
)
TRIED: Final = (
    "INSERT INTO webhook_tries (delivery, wall_ms, status, error, took_ms, answer)"
    " SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM webhook_deliveries WHERE number = ?)"
)


class TooManyWebhooks(Exception):
    """There are RECEIVERS_MAX of them."""


class Notice(Struct, frozen=True, kw_only=True):
    """An event as it is told, and to whom."""

    offset: int
    message_id: str
    body: str
    event: str
    task_id: str | None
    agent_id: str | None
    webhook_ids: tuple[str, ...]


class Due(Struct, frozen=True):
    """A delivery whose time has come."""

    number: int
    message_id: str
    tries: int


class Try(Struct, frozen=True, kw_only=True):
    """What came of one try, and how the delivery stands after it."""

    number: int
    wall_ms: int
    took_ms: int
    status: int | None = None
    error: str | None = None
    answer: str = ""
    state: str = PENDING
    tries: int
    due_wall_ms: int = 0


class Webhooks:
    """What people change is durable when it returns, and may raise StorageFull. What the work itself writes
    comes after every fact: whatever a power cut takes of it is done again, under the same message ids."""

    def __init__(self, ledger: SqliteLedger, queries: Queries, *, most: int = RECEIVERS_MAX) -> None:
        self._ledger = ledger
        self._queries = queries
        self._most = most

    # --- who ---

    async def load(self) -> tuple[Receiver, ...]:
        columns = (WEBHOOKS.c.record, WEBHOOKS.c.is_enabled, WEBHOOKS.c.cursor)
        found = await self._queries.read_rows(select(*columns).order_by(WEBHOOKS.c.created_wall_ms))
        return tuple(map(receiver_of, found))

    async def add(self, receiver: Receiver) -> Receiver:
        """It is told of what happens from now on."""
        given = (receiver.webhook_id, record_of(receiver), receiver.created_wall_ms, self._most)
        cursor = await self._ledger.write(partial(one_number, sql=ADDED, given=given))
        if cursor is None:
            raise TooManyWebhooks
        return replace(receiver, cursor=cursor)

    async def save(self, receiver: Receiver, *, begins_anew: bool = False) -> Receiver:
        """`begins_anew`: what happened meanwhile is not told."""

        def change(connection: apsw.Connection) -> int | None:
            connection.execute(SAVED, (record_of(receiver), receiver.is_enabled, receiver.webhook_id))
            return one_number(connection, ENABLED, (receiver.webhook_id,)) if begins_anew else None

        cursor = await self._ledger.write(change)
        return receiver if cursor is None else replace(receiver, cursor=cursor)

    async def seek(self, webhook_id: str, offset: int) -> int | None:
        """Look again at all events after this one; the cursor as it is now. Never forwards."""
        return await self._ledger.write(partial(one_number, sql=SOUGHT, given=(offset, webhook_id)))

    async def remove(self, webhook_id: str) -> None:
        """Its deliveries are forgotten later, a few at a time."""
        await self._ledger.write(partial(run, sql=REMOVED, given=(webhook_id,)))

    # --- what ---

    async def about(self, task_ids: Sequence[str]) -> dict[str, About]:
        """What filters ask for, of those of the tasks that are still kept."""
        spec = SUBMISSIONS.c.spec
        trace = func.json_extract(spec, "$.trace")
        columns = (TASKS.c.task_id, TASKS.c.plugin, func.json_extract(spec, "$.labels"), trace)
        both = TASKS.join(SUBMISSIONS, SUBMISSIONS.c.number == TASKS.c.number)
        wanted = select(*columns).select_from(both).where(TASKS.c.task_id.in_(task_ids))
        return {
            task_id: About(plugin, msgspec.json.decode(labels) if labels else {}, trace)
            for task_id, plugin, labels, trace in await self._queries.read_rows(wanted)
        }

    async def fan_out(
        self, moves: Iterable[tuple[str, int, int]], notices: Sequence[Notice], wall_ms: int
    ) -> tuple[frozenset[str], list[str]]:
        """Move these cursors on (whose, from where, to where) and write what their owners are to be told, all
        or nothing; who has moved, and the owner of each delivery that is pending now."""

        def write(connection: apsw.Connection) -> tuple[frozenset[str], list[str]]:
            moved = frozenset(row[0] for row in run_with(connection, MOVED_ON, moves))
            told = [one for one in notices if moved.intersection(one.webhook_ids)]
            run_with(connection, NEW_NOTICES, [(one.message_id, one.offset, one.body) for one in told])
            rows = [
                (webhook_id, one.offset, one.event, one.task_id, one.agent_id, wall_ms)
                for one in told
                for webhook_id in one.webhook_ids
                if webhook_id in moved
            ]
            return moved, [row[0] for row in run_with(connection, NEW_DELIVERIES, rows)]

        return await self._ledger.write_passing(write)

    async def add_test(self, webhook_id: str, message_id: str, event: str, body: str, wall_ms: int) -> int:
        """A notice of no event; the number of its delivery."""

        def write(connection: apsw.Connection) -> int:
            run_with(connection, NEW_NOTICES, [(message_id, None, body)])
            given = (webhook_id, message_id, event, wall_ms, wall_ms, wall_ms)
            number = one_number(connection, NEW_TEST, given)
            assert number is not None, "an insert has its row"
            return number

        return await self._ledger.write(write)

    async def once_more(self, number: int, wall_ms: int) -> bool:
        """Deliver it again from the first try; False if it is pending anyway."""
        given = (wall_ms, wall_ms, number)
        return await self._ledger.write(partial(changed, sql=ONCE_MORE, given=given))

    # --- when ---

    async def due(self, webhook_id: str, wall_ms: int, limit: int, taken: Sequence[int]) -> list[Due]:
        """Deliveries whose time has come, the longest waiting first, without those that are in hand."""
        deliveries = DELIVERIES.c
        wanted = (
            select(deliveries.number, deliveries.message_id, deliveries.tries)
            .where(deliveries.webhook_id == webhook_id, deliveries.state == PENDING)
            .where(deliveries.due_wall_ms <= wall_ms, deliveries.number.not_in(taken))
            .order_by(deliveries.due_wall_ms, deliveries.number)
            .limit(limit)
        )
        return [Due(*row) for row in await self._queries.read_rows(wanted)]

    async def next_due(self, webhook_id: str, wall_ms: int) -> int | None:
        """When the first of those is due that are not due yet."""
        due_ms = DELIVERIES.c.due_wall_ms
        wanted = select(func.min(due_ms)).where(
            DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.state == PENDING, due_ms > wall_ms
        )
        ((found,),) = await self._queries.read_rows(wanted)
        return None if found is None else int(found)

    async def body(self, message_id: str) -> str | None:
        found = await self._queries.read_rows(
            select(NOTICES.c.body).where(NOTICES.c.message_id == message_id)
        )
        return str(found[0][0]) if found else None

    async def pending(self) -> dict[str, int]:
        """How many deliveries each still has to get."""
        counts = (
            select(DELIVERIES.c.webhook_id, func.count())
            .where(DELIVERIES.c.state == PENDING)
            .group_by(DELIVERIES.c.webhook_id)
        )
        return dict(await self._queries.read_rows(counts))

    async def settle(self, one: Try) -> bool:
        """Write down a try; False if its delivery is not pending any more, or gone."""

        def write(connection: apsw.Connection) -> bool:
            said = (one.wall_ms, one.status, one.error, one.took_ms, one.answer)
            connection.execute(TRIED, (one.number, *said, one.number))
            given = (one.state, one.tries, one.due_wall_ms, one.wall_ms, one.number)
            return changed(connection, SETTLED, given)

        return await self._ledger.write_passing(write)

    # --- where in the log ---

    async def offset_before(self, wall_ms: int) -> int:
        """The offset of the last event before a moment, found by halves: the log has no index by time, and
        its times only go back where the wall's clock did."""
        first = await self._queries.first_offset()
        (last,) = (await self._queries.read_rows(select(func.coalesce(func.max(EVENTS.c.offset), 0))))[0]
        low, high = first, int(last) + 1
        while low < high:
            middle = (low + high) // 2
            row = (
                select(EVENTS.c.timestamp).where(EVENTS.c.offset >= middle).order_by(EVENTS.c.offset).limit(1)
            )
            found = await self._queries.read_rows(row)
            if found and found[0][0] < wall_ms:
                low = middle + 1
            else:
                high = middle
        return low - 1


def record_of(receiver: Receiver) -> str:
    return str(msgspec.json.encode(receiver), "utf-8")


def receiver_of(row: Sequence[Any]) -> Receiver:
    """The columns count: the record may be older."""
    record, is_enabled, cursor = row
    found = msgspec.json.decode(record, type=Receiver)
    return replace(found, is_enabled=bool(is_enabled), cursor=cursor)


def run(connection: apsw.Connection, sql: str, given: tuple[Any, ...]) -> None:
    connection.execute(sql, given)


def changed(connection: apsw.Connection, sql: str, given: tuple[Any, ...]) -> bool:
    connection.execute(sql, given)
    return bool(connection.changes())


def one_number(connection: apsw.Connection, sql: str, given: tuple[Any, ...]) -> int | None:
    found: list[tuple[Any, ...]] = connection.execute(sql, given).fetchall()
    return int(found[0][0]) if found else None
