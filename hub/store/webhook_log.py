"""What people ask about deliveries: pages of them, every try of one, and how far each receiver has come.

Owns these reads and the forgetting of what is old, a few rows at a time. Never touches what is still to be
delivered to somebody who is there.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import apsw
from msgspec import Struct
from sqlalchemy import Select, exists, func, select

from hub.store.ledger import SqliteLedger
from hub.store.pages import number_of
from hub.store.queries import PAGE_ROWS_MAX, Queries
from hub.store.sheet import run_with
from hub.store.statements import EVENTS, table
from hub.store.tables_webhooks import TryRow
from hub.store.webhooks import DELIVERIES, NOTICES, PENDING, WEBHOOKS

TRIES: Final = table(TryRow)

LOG_KEPT_MS: Final = 30 * 86_400_000
"""Deliveries from their end, and tries: long enough to be asked why something did not come last month."""

STEP_ROWS: Final = 250
"""Rows of one delete: a fact that comes meanwhile waits for so many."""

STEPS_MAX: Final = 1_000
"""In one sweep; the next goes on."""

TRIES_SHOWN_MAX: Final = 500
"""Of one delivery, the newest: many redeliveries."""

LISTED: Final = "(SELECT value FROM json_each(?))"
DROP_TRIES: Final = f"DELETE FROM webhook_tries WHERE number IN {LISTED}"  # noqa: S608 - constant text
DROP_OVER: Final = f"DELETE FROM webhook_deliveries WHERE number IN {LISTED} AND state <> 'pending'"  # noqa: S608 - constant text
DROP_UNWANTED: Final = (
    f"DELETE FROM webhook_deliveries WHERE number IN {LISTED}"  # noqa: S608 - constant text
    " AND webhook_id NOT IN (SELECT webhook_id FROM webhooks WHERE is_enabled = 1)"
)
DROP_NOTICES: Final = (
    f"DELETE FROM webhook_notices WHERE message_id IN {LISTED}"  # noqa: S608 - constant text
    " AND message_id NOT IN (SELECT message_id FROM webhook_deliveries)"
)
"""What is to go is looked up by readers; each of these looks again at what may have changed meanwhile."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One notice for one receiver, and what came of its last try."""

    number: int
    webhook_id: str
    message_id: str
    event: str
    task_id: str | None
    agent_id: str | None
    state: str
    tries: int
    due_wall_ms: int
    created_wall_ms: int
    updated_wall_ms: int


class DeliveryPage(Struct, frozen=True):
    """Newest first. `next` is the cursor of the page after it, or None when there is nothing more."""

    deliveries: tuple[Delivery, ...]
    next: str | None


class TryKept(Struct, frozen=True, kw_only=True):
    wall_ms: int
    status: int | None
    error: str | None
    took_ms: int
    answer: str


class WebhookLog:
    """Every read is bounded in rows and bytes."""

    def __init__(self, ledger: SqliteLedger, queries: Queries, *, kept_ms: int = LOG_KEPT_MS) -> None:
        self._ledger = ledger
        self._queries = queries
        self._kept_ms = kept_ms

    async def page(
        self, webhook_id: str, *, state: str | None, cursor: str | None, limit: int = PAGE_ROWS_MAX
    ) -> DeliveryPage | None:
        """None when the cursor is none of ours."""
        start = number_of(cursor)
        if start is None:
            return None
        page = whole().where(DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.number < start)
        if state is not None:
            page = page.where(DELIVERIES.c.state == state)
        rows, has_more = await self._queries.read_page(
            page.order_by(DELIVERIES.c.number.desc()), ("event",), "number", limit, descending=True
        )
        found = tuple(map(delivery_of, rows))
        return DeliveryPage(found, str(found[-1].number) if has_more else None)

    async def get(self, number: int) -> Delivery | None:
        rows = await self._queries.read_rows(whole().where(DELIVERIES.c.number == number))
        return delivery_of(rows[0]) if rows else None

    async def tries(self, number: int) -> tuple[TryKept, ...]:
        """Oldest first."""
        columns = [TRIES.c[name] for name in TryKept.__struct_fields__]
        wanted = select(*columns).where(TRIES.c.delivery == number).order_by(TRIES.c.number.desc())
        rows = await self._queries.read_rows(wanted.limit(TRIES_SHOWN_MAX))
        names = TryKept.__struct_fields__
        return tuple(TryKept(**dict(zip(names, row, strict=True))) for row in reversed(rows))

    async def last_offset(self) -> int:
        ((found,),) = await self._queries.read_rows(select(func.coalesce(func.max(EVENTS.c.offset), 0)))
        return int(found)

    async def forget(self, wall_ms: int) -> int:
        """Let go of what is old or belongs to nobody any more; how many rows."""
        count = 0
        for find, sql in forgotten(wall_ms - self._kept_ms):
            for _ in range(STEPS_MAX):
                found = [row[0] for row in await self._queries.read_rows(find.limit(STEP_ROWS))]
                if found:
                    count += await self._ledger.write_passing(partial(gone_by, sql=sql, keys=found))
                if len(found) < STEP_ROWS:
                    break
        return count


def forgotten(before_wall_ms: int) -> tuple[tuple[Select[Any], str], ...]:
    """What is to go, and how: first what is old, then what nothing belongs to any more."""
    deliveries, tries = DELIVERIES.c, TRIES.c
    there, enabled = select(WEBHOOKS.c.webhook_id), WEBHOOKS.c.is_enabled == 1
    is_old, is_pending = deliveries.updated_wall_ms < before_wall_ms, deliveries.state == PENDING
    is_unwanted = deliveries.webhook_id.not_in(there.where(enabled))
    is_told = exists().where(deliveries.message_id == NOTICES.c.message_id)
    return (
        (select(tries.number).where(tries.wall_ms < before_wall_ms), DROP_TRIES),
        (select(deliveries.number).where(is_old, deliveries.state != PENDING), DROP_OVER),
        (select(deliveries.number).where(is_old, is_pending, is_unwanted), DROP_UNWANTED),
        (select(deliveries.number).where(deliveries.webhook_id.not_in(there)), DROP_UNWANTED),
        (select(NOTICES.c.message_id).where(~is_told), DROP_NOTICES),
        (select(tries.number).where(tries.delivery.not_in(select(deliveries.number))), DROP_TRIES),
    )


def gone_by(connection: apsw.Connection, sql: str, keys: list[Any]) -> int:
    run_with(connection, sql, keys)
    return connection.changes()


def whole() -> Select[Any]:
    return select(*[DELIVERIES.c[name] for name in Delivery.__struct_fields__])


def delivery_of(row: Any) -> Delivery:
    names = Delivery.__struct_fields__
    return Delivery(**dict(zip(names, row[: len(names)], strict=True)))


def is_open(delivery: Delivery) -> bool:
    return delivery.state == PENDING
