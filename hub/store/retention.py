"""Forgetting: what is old goes, in small steps, and never before its time.

Owns the ages and the order. What is to go is looked up by readers, and deleted by the writer a few rows at a
time when no fact waits. The log is only ever shortened at its old end, and its newest row stays, or offsets
would begin again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import apsw

from hub.clock import wall_ms
from hub.store.ledger import SqliteLedger
from hub.store.mail import MAIL_KEPT_MS
from hub.store.queries import Queries
from hub.store.runs import RunQueries
from hub.store.sheet import run_with

DAY_MS: Final = 86_400_000
TALK_KEPT_MS: Final = 7 * DAY_MS
"""Progress and logs."""

RESULTS_KEPT_MS: Final = 90 * DAY_MS
"""Final tasks, and the log's events."""

RUNS_KEPT_MS: Final = DAY_MS
"""Runs of plugins and their tasks, from their end: who asked has read the result by then. An operator may say
otherwise."""

AUDIT_KEPT_MS: Final = 365 * DAY_MS

STEP_ROWS: Final = 250
"""Rows of one delete: a fact that comes meanwhile waits for so many."""

STEPS_MAX: Final = 1_000
"""In one sweep; the next goes on."""

LISTED: Final = "SELECT value FROM json_each(?)"
THEIR_IDS: Final = f"SELECT task_id FROM tasks WHERE number IN ({LISTED})"  # noqa: S608 - constant text
DROP_TASKS: Final = (
    f"DELETE FROM logs WHERE task_id IN ({THEIR_IDS})",  # noqa: S608 - constant text
    f"DELETE FROM progress WHERE task_id IN ({THEIR_IDS})",  # noqa: S608 - constant text
    f"DELETE FROM runs WHERE number IN ({LISTED})",  # noqa: S608 - constant text
    f"DELETE FROM submissions WHERE number IN ({LISTED})",  # noqa: S608 - constant text
    f"DELETE FROM tasks WHERE number IN ({LISTED})",  # noqa: S608 - constant text
)
DROP_EVENTS: Final = 'DELETE FROM events WHERE "offset" < ?'
DROP_LINES: Final = f"DELETE FROM logs WHERE line_id IN ({LISTED})"  # noqa: S608 - constant text
DROP_BY_AGE: Final = (
    ("DELETE FROM progress WHERE wall_ms < ?", TALK_KEPT_MS),
    ("DELETE FROM mail WHERE wall_ms < ?", MAIL_KEPT_MS),
    ("DELETE FROM outbox WHERE wall_ms < ?", RESULTS_KEPT_MS),
    ("DELETE FROM audit WHERE wall_ms < ?", AUDIT_KEPT_MS),
)


FindOld = Callable[[int, int], Awaitable[tuple[int, ...]]]
"""Numbers of tasks that are older than a moment, at most so many."""


class Retention:
    """`sweep` now and then; it may be late or fail without harm."""

    def __init__(
        self,
        ledger: SqliteLedger,
        queries: Queries,
        wall_ms: Callable[[], int] = wall_ms,
        *,
        runs_kept_ms: int = RUNS_KEPT_MS,
    ) -> None:
        self._ledger = ledger
        self._queries = queries
        self._runs = RunQueries(queries)
        self._wall_ms = wall_ms
        self._runs_kept_ms = runs_kept_ms

    async def sweep(self) -> int:
        """Forget what is too old; answers how many tasks went."""
        now = self._wall_ms()
        for sql, kept_ms in DROP_BY_AGE:
            await self._ledger.write_passing(partial(drop, sql=sql, given=(now - kept_ms,)))
        await self._forget_lines(now - TALK_KEPT_MS)
        await self._forget_events(now - RESULTS_KEPT_MS)
        runs = await self._forget_tasks(self._runs.old, now - self._runs_kept_ms)
        return runs + await self._forget_tasks(self._queries.old_tasks, now - RESULTS_KEPT_MS)

    async def _forget_lines(self, before_wall_ms: int) -> None:
        for _ in range(STEPS_MAX):
            old = await self._queries.old_lines(before_wall_ms, STEP_ROWS)
            if old:
                await self._ledger.write_passing(partial(drop_listed, statements=(DROP_LINES,), keys=old))
            if len(old) < STEP_ROWS:
                return

    async def _forget_events(self, before_wall_ms: int) -> None:
        """From the old end, up to the first that is young."""
        for _ in range(STEPS_MAX):
            first_kept = await self._queries.first_young_event(before_wall_ms, STEP_ROWS)
            if first_kept is None:
                return
            await self._ledger.write_passing(partial(drop, sql=DROP_EVENTS, given=(first_kept,)))

    async def _forget_tasks(self, find_old: FindOld, before_wall_ms: int) -> int:
        count = 0
        for _ in range(STEPS_MAX):
            old = await find_old(before_wall_ms, STEP_ROWS)
            if old:
                await self._ledger.write_passing(partial(drop_listed, statements=DROP_TASKS, keys=old))
            count += len(old)
            if len(old) < STEP_ROWS:
                break
        return count


def drop(connection: apsw.Connection, sql: str, given: tuple[Any, ...]) -> None:
    connection.execute(sql, given)


def drop_listed(connection: apsw.Connection, statements: tuple[str, ...], keys: tuple[int, ...]) -> None:
    for sql in statements:
        run_with(connection, sql, keys)
