"""What people ask about deliveries: pages of them, every try of one, and how far each receiver has come.

Owns these reads and the forgetting of what is old, a few rows at a time. Never touches what is still to be
delivered to somebody who is there.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import apsw
from msgspec import Struct
from sqlalchemy import Select, func, select

from hub.store.ledger import SqliteLedger
from hub.store.pages import number_of
from hub.store.queries import PAGE_ROWS_MAX, Queries
from hub.store.statements import EVENTS, table
from hub.store.tables_webhooks import TryRow
from hub.store.webhooks import DELIVERIES, PENDING

TRIES: Final = table(TryRow)

LOG_KEPT_MS: Final = 30 * 86_400_000
"""Deliveries from their end, and tries: long enough to be asked why something did not come last month."""

STEP_ROWS: Final = 250
"""Rows of one delete: a fact that comes meanwhile waits for so many."""

STEPS_MAX: Final = 1_000
"""In one sweep; the next goes on."""

TRIES_SHOWN_MAX: Final = 500
"""Of one delivery, the newest: many redeliveries."""

OLD_TRIES: Final = (
    "DELETE FROM webhook_tries WHERE number IN (SELECT number FROM webhook_tries WHERE wall_ms < ? LIMIT ?)"
)
OLD_DELIVERIES: Final = (
    "DELETE FROM webhook_deliveries WHERE number IN"
    " (SELECT number FROM webhook_deliveries WHERE state <> 'pending' AND updated_wall_ms < ? LIMIT ?)"
)
NEVER_TOLD: Final = (
    "DELETE FROM webhook_deliveries WHERE number IN"
    " (SELECT number FROM webhook_deliveries JOIN webhooks USING (webhook_id)"
    " WHERE is_enabled = 0 AND state = 'pending' AND updated_wall_ms < ? LIMIT ?)"
)
OF_NOBODY: Final = (
    "DELETE FROM webhook_deliveries WHERE number IN (SELECT number FROM webhook_deliveries"
    " WHERE webhook_id NOT IN (SELECT webhook_id FROM webhooks) LIMIT ?)"
)
TO_NOBODY: Final = (
    "DELETE FROM webhook_notices WHERE message_id IN (SELECT message_id FROM webhook_notices"
    " WHERE NOT EXISTS (SELECT 1 FROM webhook_deliveries AS one"
    " WHERE one.message_id = webhook_notices.message_id) LIMIT ?)"
)
OF_NO_DELIVERY: Final = (
    "DELETE FROM webhook_tries WHERE number IN (SELECT number FROM webhook_tries"
    " WHERE delivery NOT IN (SELECT number FROM webhook_deliveries) LIMIT ?)"
)


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

    def __init__(self, ledger: SqliteLedger, queries: Queries) -> None:
        self._ledger = ledger
        self._queries = queries

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
        before = wall_ms - LOG_KEPT_MS
        count = 0
        for sql in (OLD_TRIES, OLD_DELIVERIES, NEVER_TOLD):
            count += await self._forget(sql, (before, STEP_ROWS))
        for sql in (OF_NOBODY, TO_NOBODY, OF_NO_DELIVERY):
            count += await self._forget(sql, (STEP_ROWS,))
        return count

    async def _forget(self, sql: str, given: tuple[int, ...]) -> int:
        count = 0
        for _ in range(STEPS_MAX):
            gone = await self._ledger.write_passing(partial(gone_by, sql=sql, given=given))
            count += gone
            if gone < STEP_ROWS:
                break
        return count


def gone_by(connection: apsw.Connection, sql: str, given: tuple[int, ...]) -> int:
    connection.execute(sql, given)
    return connection.changes()


def whole() -> Select[Any]:
    return select(*[DELIVERIES.c[name] for name in Delivery.__struct_fields__])


def delivery_of(row: Any) -> Delivery:
    names = Delivery.__struct_fields__
    return Delivery(**dict(zip(names, row[: len(names)], strict=True)))


def is_open(delivery: Delivery) -> bool:
    return delivery.state == PENDING
