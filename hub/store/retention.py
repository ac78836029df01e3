"""Forgetting: what is old goes, in small steps, and never before its time.

Owns the ages and the order. What is to go is looked up by readers, and deleted by the writer a few rows at a
time when no fact waits. The log is only ever shortened at its old end, and its newest row stays, or offsets
would begin again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import apsw
from msgspec import Struct

from hub.clock import wall_ms
from hub.store.ages import COUNTED_MAX, Ages
from hub.store.ledger import SqliteLedger
from hub.store.mail import MAIL_KEPT_MS
from hub.store.queries import Queries
from hub.store.sheet import run_with
from protocol.ids import TaskId

DAY_MS: Final = 86_400_000
TALK_KEPT_MS: Final = 7 * DAY_MS
"""Progress and logs."""

RESULTS_KEPT_MS: Final = 90 * DAY_MS
"""Final tasks, and the log's events."""

RUNS_KEPT_MS: Final = DAY_MS
"""Runs of plugins and their tasks, from their end: who asked has read the result by then. An operator may say
otherwise."""

AUDIT_KEPT_MS: Final = 365 * DAY_MS

AGE_MS_MIN: Final = 60_000
"""Whoever waits for an end has a minute to read it, whatever an operator says."""

AGE_MS_MAX: Final = 3_660 * DAY_MS
"""Ten years: longer is for ever, and a typo."""

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
    f"DELETE FROM tasks WHERE number IN ({LISTED}) RETURNING task_id",  # noqa: S608 - constant text
)
DROP_EVENTS: Final = (
    'DELETE FROM events WHERE "offset" < ? AND "offset" <='
    " (SELECT coalesce(min(cursor), 9223372036854775807) FROM webhooks WHERE is_enabled = 1)"
)
"""Never one that a webhook is still to be told of: for those the log is the outbox."""

DROP_LINES: Final = f"DELETE FROM logs WHERE line_id IN ({LISTED})"  # noqa: S608 - constant text
DROP_PROGRESS: Final = "DELETE FROM progress WHERE wall_ms < ?"
DROP_BY_AGE: Final = (
    ("DELETE FROM mail WHERE wall_ms < ?", MAIL_KEPT_MS),
    ("DELETE FROM outbox WHERE wall_ms < ?", RESULTS_KEPT_MS),
    ("DELETE FROM audit WHERE wall_ms < ?", AUDIT_KEPT_MS),
)


OnForgotten = Callable[[Sequence[TaskId]], None]
"""Hears which tasks are gone: a board keeps copies of rows, and must not answer with one whose row is not
there."""

FindOld = Callable[[int, int], Awaitable[tuple[int, ...]]]
"""Numbers that are older than a moment, at most so many."""


class Kept(Struct, frozen=True, kw_only=True):
    """For how long what is over is kept."""

    talk_ms: int = TALK_KEPT_MS
    events_ms: int = RESULTS_KEPT_MS
    tasks_ms: int = RESULTS_KEPT_MS
    runs_ms: int = RUNS_KEPT_MS

    @classmethod
    def everything(cls, age_ms: int) -> Kept:
        """All kinds for the same time."""
        return cls(talk_ms=age_ms, events_ms=age_ms, tasks_ms=age_ms, runs_ms=age_ms)


class Forgotten(Struct, frozen=True, kw_only=True):
    """How many of each went, or would go."""

    tasks: int
    """Runs included."""
    events: int
    lines: int
    more: bool = False
    """Whether there is more of any than was looked at."""


class Retention:
    """`sweep` now and then; it may be late or fail without harm."""

    def __init__(
        self,
        ledger: SqliteLedger,
        queries: Queries,
        wall_ms: Callable[[], int] = wall_ms,
        *,
        kept: Kept = Kept(),  # noqa: B008  a frozen value
        on_forgotten: OnForgotten | None = None,
    ) -> None:
        self._ledger = ledger
        self._ages = Ages(queries)
        self._wall_ms = wall_ms
        self._kept = kept
        self._on_forgotten = on_forgotten

    async def sweep(self) -> Forgotten:
        """Forget what is too old, with mail, audit and letters, which have ages that nobody chooses."""
        now = self._wall_ms()
        for sql, kept_ms in DROP_BY_AGE:
            await self._ledger.write_passing(partial(drop, sql=sql, given=(now - kept_ms,)))
        return await self.prune(STEPS_MAX)

    async def prune(self, steps_max: int) -> Forgotten:
        """Forget tasks, events and talk that are too old, in so many steps of each at most."""
        now, kept = self._wall_ms(), self._kept
        progress = partial(drop, sql=DROP_PROGRESS, given=(now - kept.talk_ms,))
        await self._ledger.write_passing(progress)
        lines, is_more = await self._in_steps(self._ages.lines, now - kept.talk_ms, (DROP_LINES,), steps_max)
        events, is_more_events = await self._forget_events(now - kept.events_ms, steps_max)
        runs, is_more_runs = await self._in_steps(self._ages.runs, now - kept.runs_ms, DROP_TASKS, steps_max)
        tasks, is_more_tasks = await self._in_steps(
            self._ages.tasks, now - kept.tasks_ms, DROP_TASKS, steps_max
        )
        more = is_more or is_more_events or is_more_runs or is_more_tasks
        return Forgotten(tasks=runs + tasks, events=events, lines=lines, more=more)

    async def count(self) -> Forgotten:
        """What `prune` would forget, as far as it is counted."""
        now, kept, ages = self._wall_ms(), self._kept, self._ages
        found = (
            len(await ages.runs(now - kept.runs_ms, COUNTED_MAX)),
            len(await ages.tasks(now - kept.tasks_ms, COUNTED_MAX)),
            await ages.old_events(now - kept.events_ms, COUNTED_MAX),
            len(await ages.lines(now - kept.talk_ms, COUNTED_MAX)),
        )
        runs, tasks, events, lines = found
        return Forgotten(tasks=runs + tasks, events=events, lines=lines, more=max(found) >= COUNTED_MAX)

    async def _forget_events(self, before_wall_ms: int, steps_max: int) -> tuple[int, bool]:
        """From the old end, up to the first that is young."""
        count = 0
        for _ in range(steps_max):
            first_kept = await self._ages.first_young_event(before_wall_ms, STEP_ROWS)
            if first_kept is None:
                return count, False
            gone = await self._ledger.write_passing(partial(drop, sql=DROP_EVENTS, given=(first_kept,)))
            count += gone
            if gone == 0:
                return count, False
        return count, True

    async def _in_steps(
        self, find_old: FindOld, before_wall_ms: int, statements: tuple[str, ...], steps_max: int
    ) -> tuple[int, bool]:
        """How many went, and whether there may be more."""
        count = 0
        for _ in range(steps_max):
            old = await find_old(before_wall_ms, STEP_ROWS)
            if old:
                gone = await self._ledger.write_passing(partial(drop_listed, statements=statements, keys=old))
                if gone and self._on_forgotten is not None:
                    self._on_forgotten(gone)
            count += len(old)
            if len(old) < STEP_ROWS:
                return count, False
        return count, True


async def forget_tasks(ledger: SqliteLedger, numbers: Sequence[int], on_forgotten: OnForgotten) -> int:
    """These, as a person has chosen them among those that may go; answers how many were still there."""
    count = 0
    for begin in range(0, len(numbers), STEP_ROWS):
        step = tuple(numbers[begin : begin + STEP_ROWS])
        gone = await ledger.write_passing(partial(drop_listed, statements=DROP_TASKS, keys=step))
        on_forgotten(gone)
        count += len(gone)
    return count


def drop(connection: apsw.Connection, sql: str, given: tuple[Any, ...]) -> int:
    """Answers how many rows went."""
    connection.execute(sql, given)
    return connection.changes()


def drop_listed(
    connection: apsw.Connection, statements: tuple[str, ...], keys: tuple[int, ...]
) -> list[TaskId]:
    """The tasks that went, if the last statement says so."""
    gone: list[TaskId] = []
    for sql in statements:
        gone = [row[0] for row in run_with(connection, sql, keys)]
    return gone
