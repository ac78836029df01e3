"""Forgetting what is old, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.core.effects import EventLogged
from hub.core.task import Task
from hub.store import backup, retention
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from hub.store.retention import AUDIT_KEPT_MS, DAY_MS, RESULTS_KEPT_MS, TALK_KEPT_MS, Retention
from tests.store.workload import NOW, accepted, assigned, batch, completed, mail_to, pushed, saved


def aged(number: int, age_ms: int, *, is_final: bool) -> Task:
    task = pushed(number)
    if is_final:
        task = completed(accepted(assigned(task)))
    return replace(task, version=1, updated_wall_ms=NOW.wall_ms - age_ms)


def event(age_ms: int) -> EventLogged:
    return EventLogged(event="note", timestamp=NOW.wall_ms - age_ms, payload=Raw(b"{}"))


@pytest.fixture
def keeper(ledger: SqliteLedger, queries: Queries, monkeypatch: pytest.MonkeyPatch) -> Retention:
    monkeypatch.setattr(retention, "STEP_ROWS", 3)
    return Retention(ledger, queries, lambda: NOW.wall_ms)


async def test_only_final_tasks_that_are_old_are_forgotten(
    ledger: SqliteLedger, keeper: Retention, path: Path
) -> None:
    old, young = RESULTS_KEPT_MS + 1, RESULTS_KEPT_MS - DAY_MS
    tasks = [aged(n, old, is_final=True) for n in range(1, 9)]
    tasks += [aged(9, old, is_final=False), aged(10, young, is_final=True), aged(11, old, is_final=True)]
    await ledger.commit(batch(*[change for task in tasks for change in saved(None, task)]))
    assert (await keeper.sweep()).tasks == 8
    left = await ledger.find(frozenset(task.task_id for task in tasks), frozenset())
    kept = {int(task.task_id[5:], 16) for task in left.tasks}
    assert kept == {9, 10, 11}, "11 is the newest: its number must not be given again"
    assert backup.check(path) == []


async def test_the_log_is_shortened_at_its_old_end_only(
    ledger: SqliteLedger, queries: Queries, keeper: Retention
) -> None:
    """D9: what is left has no hole, whatever the clocks said when it was written."""
    old = RESULTS_KEPT_MS + 1
    await ledger.commit(batch(*(event(old) for _ in range(7)), event(0), event(old), event(0)))
    await keeper.sweep()
    assert [one.offset for one in await queries.events_after(0)] == [8, 9, 10]
    assert await queries.first_offset() == 8


async def test_the_newest_event_stays_however_old_it_is(
    ledger: SqliteLedger, queries: Queries, keeper: Retention
) -> None:
    await ledger.commit(batch(*(event(2 * RESULTS_KEPT_MS) for _ in range(5))))
    await keeper.sweep()
    assert [one.offset for one in await queries.events_after(0)] == [5]
    committed = await ledger.commit(batch(event(0)))
    assert [one.offset for one in committed.events] == [6]


async def test_talk_mail_and_audit_have_their_own_ages(ledger: SqliteLedger, keeper: Retention) -> None:
    def plant(connection: object) -> None:
        for age_ms in (0, TALK_KEPT_MS + 1, AUDIT_KEPT_MS + 1):
            at = NOW.wall_ms - age_ms
            execute = connection.execute  # type: ignore[attr-defined]  # apsw's connection
            execute(
                "INSERT INTO audit (wall_ms, action, actor, address, detail) VALUES (?, '', '', '', '')",
                (at,),
            )
            for _ in range(4):
                execute(
                    "INSERT INTO logs (task_id, generation, wall_ms, line) VALUES ('t', 1, ?, '{}')", (at,)
                )

    await ledger.write(plant)
    await ledger.commit(batch(mail_to("bob", 1)))
    await keeper.sweep()
    counts = "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM logs), (SELECT count(*) FROM mail)"
    (found,) = await ledger.look(lambda connection: connection.execute(counts).fetchall())
    assert found == (2, 12, 1), (
        "young lines stand before the old ones, and the log is shortened at its old end"
    )


async def test_sweeping_twice_changes_nothing(ledger: SqliteLedger, keeper: Retention) -> None:
    await ledger.commit(batch(*saved(None, aged(1, 0, is_final=True), "task_complete")))
    assert (await keeper.sweep()).tasks == 0
    assert (await keeper.sweep()).tasks == 0
