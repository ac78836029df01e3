"""Rows of webhooks on a real database: events become deliveries with the cursor or not at all, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from hub.store.database import open_database
from hub.store.ledger import SqliteLedger
from hub.store.migrations import MIGRATIONS, migrate
from hub.store.queries import Queries
from hub.store.receivers import Key, Receiver, Wanted
from hub.store.retention import DROP_EVENTS
from hub.store.webhook_log import LOG_KEPT_MS, TRIES_SHOWN_MAX, WebhookLog, is_open
from hub.store.webhooks import DELIVERED, FAILED, Notice, TooManyWebhooks, Try, Webhooks

NOW_MS = 1_800_000_000_000
NEW_EVENT = "INSERT INTO events VALUES (?, 'task_queued', ?, NULL, 0, ?, '{}')"


class Rows:
    """A database with webhooks in it."""

    def __init__(self, ledger: SqliteLedger, queries: Queries) -> None:
        self.ledger = ledger
        self.webhooks = Webhooks(ledger, queries, most=3)
        self.log = WebhookLog(ledger, queries)

    async def run(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        def act(connection: apsw.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(sql, given).fetchall()

        return await self.ledger.write(act)

    async def events(self, *offsets: int) -> None:
        for offset in offsets:
            await self.run(NEW_EVENT, offset, f"task-{offset}", NOW_MS + offset)

    async def add(self, name: str = "hook-1") -> Receiver:
        key = Key(salt="s", since_wall_ms=NOW_MS)
        wanted = Wanted(labels={"a": "b"})
        return await self.webhooks.add(
            Receiver(
                webhook_id=name, url="https://e.com/", wanted=wanted, keys=(key,), created_wall_ms=NOW_MS
            )
        )

    async def spread(self, one: Receiver, *offsets: int, seen: int | None = None) -> list[str]:
        notices = [
            Notice(
                offset=offset,
                message_id=f"msg_{offset}",
                body="{}",
                event="task_queued",
                task_id=None,
                agent_id=None,
                webhook_ids=(one.webhook_id,),
            )
            for offset in offsets
        ]
        start = one.cursor if seen is None else seen
        _, pending = await self.webhooks.fan_out([(one.webhook_id, start, offsets[-1])], notices, NOW_MS)
        return pending


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Rows]:
    database = open_database(tmp_path / "hub.db")
    ledger = SqliteLedger(database, free_bytes_min=0)
    queries = Queries(database)
    yield Rows(ledger, queries)
    queries.close()
    await ledger.close()


async def test_a_new_webhook_begins_after_the_last_event(rows: Rows) -> None:
    await rows.events(1, 2)
    one = await rows.add()
    assert one.cursor == 2
    assert await rows.webhooks.load() == (one,)
    for name in ("hook-2", "hook-3"):
        await rows.add(name)
    with pytest.raises(TooManyWebhooks):
        await rows.add("hook-4")


async def test_a_cursor_moves_with_its_deliveries_and_only_from_where_it_was(rows: Rows) -> None:
    one = await rows.add()
    await rows.events(1, 2, 3)
    assert await rows.spread(one, 1, 2) == ["hook-1", "hook-1"]
    assert await rows.spread(one, 1, 2) == [], "somebody else has moved it"
    assert await rows.spread(one, 3, seen=2) == ["hook-1"]
    (kept,) = await rows.webhooks.load()
    assert kept.cursor == 3
    assert await rows.webhooks.pending() == {"hook-1": 3}
    due = await rows.webhooks.due("hook-1", NOW_MS, 2, ())
    assert [found.message_id for found in due] == ["msg_1", "msg_2"]
    taken = [found.number for found in due]
    assert [found.message_id for found in await rows.webhooks.due("hook-1", NOW_MS, 9, taken)] == ["msg_3"]
    assert await rows.webhooks.due("hook-1", NOW_MS - 1, 9, ()) == []
    assert await rows.webhooks.next_due("hook-1", NOW_MS - 1) == NOW_MS
    assert await rows.webhooks.next_due("hook-1", NOW_MS) is None


async def test_what_cannot_be_written_moves_no_cursor(rows: Rows) -> None:
    one = await rows.add()
    await rows.events(1)
    await rows.run(
        "CREATE TRIGGER full BEFORE INSERT ON webhook_deliveries BEGIN SELECT raise(ABORT, 'x'); END"
    )
    with pytest.raises(Exception, match="x"):
        await rows.spread(one, 1)
    assert (await rows.webhooks.load())[0].cursor == 0
    assert await rows.run("SELECT count(*) FROM webhook_notices") == [(0,)]


async def test_a_disabled_webhook_is_told_nothing_and_begins_anew(rows: Rows) -> None:
    one = await rows.add()
    off = await rows.webhooks.save(replace(one, is_enabled=False, disabled_why="so"))
    await rows.events(1, 2)
    assert await rows.spread(off, 1) == []
    assert await rows.webhooks.seek("hook-1", 0) is None
    back = await rows.webhooks.save(replace(off, is_enabled=True), begins_anew=True)
    assert (back.cursor, (await rows.webhooks.load())[0].cursor) == (2, 2)


async def test_what_is_told_again_keeps_its_message_and_its_number(rows: Rows) -> None:
    one = await rows.add()
    await rows.events(1, 2)
    await rows.spread(one, 1, 2)
    (first, _) = await rows.webhooks.due("hook-1", NOW_MS, 9, ())
    await rows.webhooks.settle(tried(first.number, DELIVERED))
    assert await rows.webhooks.seek("hook-1", 0) == 0
    assert await rows.webhooks.seek("hook-1", 99) == 0, "never forwards"
    assert await rows.spread(one, 1, 2, seen=0) == ["hook-1"], "the other one is pending still"
    due = await rows.webhooks.due("hook-1", NOW_MS, 9, ())
    assert sorted(found.number for found in due) == [1, 2]
    assert len({found.message_id for found in due}) == 2
    assert await rows.webhooks.once_more(first.number, NOW_MS) is False


def tried(number: int, state: str, wall_ms: int = NOW_MS) -> Try:
    return Try(number=number, wall_ms=wall_ms, took_ms=5, status=200, state=state, tries=1)


async def test_a_delivery_that_is_over_is_settled_once(rows: Rows) -> None:
    one = await rows.add()
    await rows.events(1)
    await rows.spread(one, 1)
    assert await rows.webhooks.settle(tried(1, FAILED))
    assert not await rows.webhooks.settle(tried(1, DELIVERED))
    found = await rows.log.get(1)
    assert found is not None
    assert (found.state, is_open(found)) == (FAILED, False)
    assert len(await rows.log.tries(1)) == 2, "a call that was made is in the log, whatever it changed"
    assert not await rows.webhooks.settle(tried(99, DELIVERED))
    assert await rows.log.tries(99) == ()


async def test_the_log_shows_the_newest_tries(rows: Rows) -> None:
    one = await rows.add()
    await rows.events(1)
    await rows.spread(one, 1)
    for n in range(TRIES_SHOWN_MAX + 2):
        await rows.webhooks.settle(tried(1, "pending", NOW_MS + n))
    shown = await rows.log.tries(1)
    assert (len(shown), shown[0].wall_ms, shown[-1].wall_ms) == (500, NOW_MS + 2, NOW_MS + 501)


@pytest.mark.parametrize(("age_ms", "left"), [(LOG_KEPT_MS, 2), (LOG_KEPT_MS + 1, 1)])
async def test_what_is_over_goes_after_a_month_and_what_is_pending_stays(
    rows: Rows, age_ms: int, left: int
) -> None:
    one = await rows.add()
    await rows.events(1, 2)
    await rows.spread(one, 1, 2)
    await rows.webhooks.settle(tried(1, DELIVERED))
    await rows.log.forget(NOW_MS + age_ms)
    for table in ("webhook_deliveries", "webhook_notices"):
        assert await rows.run(f"SELECT count(*) FROM {table}") == [(left,)]
    assert len(await rows.log.tries(1)) == left - 1


async def test_what_a_disabled_webhook_never_got_goes_after_a_month_too(rows: Rows) -> None:
    off, on = await rows.add(), await rows.add("hook-2")
    await rows.events(1)
    for one in (off, on):
        await rows.spread(one, 1)
    await rows.webhooks.save(replace(off, is_enabled=False))
    await rows.log.forget(NOW_MS + LOG_KEPT_MS)
    assert await rows.webhooks.pending() == {"hook-1": 1, "hook-2": 1}
    await rows.log.forget(NOW_MS + LOG_KEPT_MS + 1)
    assert await rows.webhooks.pending() == {"hook-2": 1}


async def test_nothing_is_left_of_a_removed_webhook(rows: Rows) -> None:
    one, other = await rows.add(), await rows.add("hook-2")
    await rows.events(1)
    await rows.spread(one, 1)
    await rows.spread(other, 1)
    await rows.webhooks.settle(tried(1, DELIVERED))
    await rows.webhooks.remove("hook-1")
    await rows.log.forget(NOW_MS)
    assert await rows.run("SELECT webhook_id FROM webhook_deliveries") == [("hook-2",)]
    assert await rows.run("SELECT count(*) FROM webhook_tries") == [(0,)]
    assert await rows.webhooks.body("msg_1") == "{}", "the other one is still to be told"
    await rows.webhooks.remove("hook-2")
    await rows.log.forget(NOW_MS)
    assert await rows.webhooks.body("msg_1") is None


async def test_events_that_a_webhook_has_not_been_told_of_are_not_forgotten(rows: Rows) -> None:
    one = await rows.add()
    await rows.events(1, 2, 3)
    await rows.spread(one, 1)
    await rows.run(DROP_EVENTS, 3)
    assert await rows.run('SELECT "offset" FROM events') == [(2,), (3,)]
    await rows.webhooks.save(replace(one, is_enabled=False))
    await rows.run(DROP_EVENTS, 3)
    assert await rows.run('SELECT "offset" FROM events') == [(3,)]


async def test_a_moment_is_found_in_the_log(rows: Rows) -> None:
    assert await rows.webhooks.offset_before(NOW_MS) == 0
    await rows.events(4, 5, 6, 7)
    moments = (0, NOW_MS + 4, NOW_MS + 5, NOW_MS + 7, NOW_MS + 8)
    assert [await rows.webhooks.offset_before(moment) for moment in moments] == [3, 3, 4, 6, 7]


def test_an_upgrade_from_the_tables_before_keeps_every_row() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection, MIGRATIONS[:3])
    connection.execute(NEW_EVENT, (1, "task-1", NOW_MS))
    before = connection.execute("SELECT * FROM events").fetchall()
    migrate(connection, MIGRATIONS[:4])
    assert connection.execute("SELECT * FROM events").fetchall() == before
    for table in ("webhooks", "webhook_notices", "webhook_deliveries", "webhook_tries"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]
