"""What may be forgotten: by each kind's own age, and never what somebody still needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.core.effects import EventLogged
from hub.core.task import RunSpec, Task
from hub.settings import RANGES, Settings
from hub.store import ages, backup, retention
from hub.store.ages import Ages
from hub.store.ledger import FREE_BYTES_MIN, SqliteLedger
from hub.store.picks import Pick, Picks
from hub.store.queries import Queries
from hub.store.retention import (
    AGE_MS_MAX,
    AGE_MS_MIN,
    DAY_MS,
    Forgotten,
    Kept,
    Retention,
    forget_tasks,
)
from hub.store.task_filters import TaskFilter
from hub.store.webhook_log import LOG_KEPT_MS
from protocol.ids import TaskId
from tests.store.workload import NOW, accepted, assigned, batch, completed, pushed, saved

HOUR_MS = 3_600_000


def over(number: int, age_ms: int, **members: object) -> Task:
    task = completed(accepted(assigned(pushed(number, **members))))
    return replace(task, version=1, updated_wall_ms=NOW.wall_ms - age_ms)


def dependant(number: int, *waits_for: int) -> Task:
    """An open task that waits for these."""
    ids = tuple(TaskId(f"task-{n:016x}") for n in waits_for)
    return replace(pushed(number, depends_on=ids), waits_for=ids)


async def put(ledger: SqliteLedger, *tasks: Task) -> None:
    committed = await ledger.commit(batch(*[change for task in tasks for change in saved(None, task)]))
    assert not committed.refused


async def left(ledger: SqliteLedger) -> list[int]:
    sql = "SELECT number FROM tasks ORDER BY number"
    found = await ledger.look(lambda connection: connection.execute(sql).fetchall())
    return [int(str(row[0])) for row in found]


def keeper(ledger: SqliteLedger, queries: Queries, kept: Kept) -> Retention:
    return Retention(ledger, queries, lambda: NOW.wall_ms, kept=kept)


async def test_nothing_goes_for_which_an_open_task_waits(
    ledger: SqliteLedger, queries: Queries, path: Path
) -> None:
    """Whatever its age and whoever asks: by age, by filter, and a run too."""
    run = RunSpec(plugin_run_id="run-1", user_id=1)
    await put(
        ledger, over(1, DAY_MS), over(2, DAY_MS), over(3, DAY_MS, run=run), dependant(4, 1, 3), pushed(5)
    )
    retain = keeper(ledger, queries, Kept.everything(HOUR_MS))
    assert (await retain.count()).tasks == 1
    picked = await Picks(queries).pick("purge", TaskFilter(agent_id="ada"), lambda _: True)
    assert [pick.number for pick in picked.picks] == [2]
    assert (await retain.sweep()).tasks == 1
    assert await left(ledger) == [1, 3, 4, 5]
    waiter = dependant(4, 1, 3)
    freed = replace(waiter, waits_for=(), version=waiter.version + 1)
    await ledger.commit(batch(*saved(waiter, freed)))
    assert (await retain.sweep()).tasks == 2
    assert await left(ledger) == [4, 5]
    assert backup.check(path) == []


async def test_an_ended_task_keeps_nothing_that_it_waited_for(ledger: SqliteLedger, queries: Queries) -> None:
    waiter = replace(over(2, 0), waits_for=(TaskId(f"task-{1:016x}"),))
    await put(ledger, over(1, DAY_MS), waiter)
    assert (await keeper(ledger, queries, Kept.everything(HOUR_MS)).sweep()).tasks == 1


@pytest.mark.parametrize(("age_ms", "is_gone"), [(HOUR_MS, False), (HOUR_MS + 1, True)])
async def test_an_age_counts_to_the_millisecond(
    ledger: SqliteLedger, queries: Queries, age_ms: int, is_gone: bool
) -> None:
    await put(ledger, over(1, age_ms), pushed(2))
    kept = Kept(tasks_ms=HOUR_MS)
    assert (await keeper(ledger, queries, kept).sweep()).tasks == is_gone


async def test_each_kind_has_an_age_of_its_own(ledger: SqliteLedger, queries: Queries) -> None:
    run = RunSpec(plugin_run_id="run-1", user_id=1)

    def plant() -> list[EventLogged]:
        return [
            EventLogged(event="note", timestamp=NOW.wall_ms - age_ms, payload=Raw(b"{}"))
            for age_ms in (2 * HOUR_MS, 0)
        ]

    await put(ledger, over(1, 2 * HOUR_MS), over(2, 2 * HOUR_MS, run=run), pushed(3))
    await ledger.commit(batch(*plant()))
    await ledger.write(
        lambda connection: connection.execute(
            "INSERT INTO logs (task_id, generation, wall_ms, line) VALUES ('t', 1, ?, '{}')",
            (NOW.wall_ms - 2 * HOUR_MS,),
        )
    )
    long = 3 * HOUR_MS
    everything = Kept.everything(long)
    nothing = Forgotten(tasks=0, events=0, lines=0)
    assert await keeper(ledger, queries, everything).prune(10) == nothing
    for kept, gone in (
        (replace(everything, talk_ms=HOUR_MS), replace(nothing, lines=1)),
        (replace(everything, events_ms=HOUR_MS), replace(nothing, events=1)),
        (replace(everything, runs_ms=HOUR_MS), replace(nothing, tasks=1)),
        (replace(everything, tasks_ms=HOUR_MS), replace(nothing, tasks=1)),
    ):
        assert await keeper(ledger, queries, kept).count() == gone
        assert await keeper(ledger, queries, kept).prune(10) == gone
        assert await keeper(ledger, queries, kept).prune(10) == nothing


@pytest.mark.parametrize(("is_enabled", "left_over"), [(1, [4, 5, 6]), (0, [6])])
async def test_what_a_webhook_has_still_to_be_given_stays_however_old_it_is(
    ledger: SqliteLedger, queries: Queries, path: Path, is_enabled: int, left_over: list[int]
) -> None:
    """The log of events is its outbox: the newest that it was given is the last that may go."""
    old = [EventLogged(event="note", timestamp=0, payload=Raw(b"{}")) for _ in range(6)]
    await ledger.commit(batch(*old))
    await ledger.write(
        lambda connection: connection.execute(
            "INSERT INTO webhooks (webhook_id, record, is_enabled, cursor, created_wall_ms)"
            " VALUES ('slow', '{}', ?, 3, 0), ('quick', '{}', 1, 6, 0)",
            (is_enabled,),
        )
    )
    await keeper(ledger, queries, Kept.everything(HOUR_MS)).sweep()
    assert [event.offset for event in await queries.events_after(0)] == left_over
    assert backup.check(path) == []


async def test_a_prune_says_when_there_is_more(
    ledger: SqliteLedger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps are used up: the next one goes on."""
    monkeypatch.setattr(retention, "STEP_ROWS", 2)
    await put(ledger, *(over(n, DAY_MS) for n in range(1, 6)), pushed(6))
    retain = keeper(ledger, queries, Kept.everything(HOUR_MS))
    assert await retain.prune(2) == Forgotten(tasks=4, events=0, lines=0, more=True)
    assert await retain.prune(2) == Forgotten(tasks=1, events=0, lines=0)


async def test_a_count_ends_where_counting_would_take_long(
    ledger: SqliteLedger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(ledger, *(over(n, DAY_MS) for n in range(1, 4)), pushed(5))
    retain = keeper(ledger, queries, Kept.everything(HOUR_MS))
    for most, found in ((4, (3, False)), (3, (3, True)), (2, (2, True))):
        monkeypatch.setattr(retention, "COUNTED_MAX", most)
        counted = await retain.count()
        assert (counted.tasks, counted.more) == found
    assert ages.COUNTED_MAX == 100_000


async def test_what_is_gone_already_is_not_counted_twice(ledger: SqliteLedger, queries: Queries) -> None:
    await put(ledger, over(1, 0), over(2, 0), pushed(3))
    picked = (await Picks(queries).pick("purge", TaskFilter(agent_id="ada"), lambda _: True)).picks
    assert picked == (Pick(2, over(2, 0).task_id, None, None), Pick(1, over(1, 0).task_id, None, None))
    numbers = [pick.number for pick in picked]
    gone: list[TaskId] = []
    assert await forget_tasks(ledger, numbers, gone.extend) == 2
    assert sorted(gone) == sorted(pick.task_id for pick in picked)
    assert await forget_tasks(ledger, numbers, gone.extend) == 0
    assert len(gone) == 2
    assert await Ages(queries).tasks(NOW.wall_ms + 1, 10) == ()


def test_the_settings_are_those_of_the_store_until_somebody_says_otherwise() -> None:
    settings, kept = Settings(), Kept()
    assert settings.free_bytes_min == FREE_BYTES_MIN
    assert (settings.talk_kept_ms, settings.events_kept_ms) == (kept.talk_ms, kept.events_ms)
    assert (settings.tasks_kept_ms, settings.runs_kept_ms) == (kept.tasks_ms, kept.runs_ms)
    assert settings.deliveries_kept_ms == LOG_KEPT_MS
    assert RANGES["tasks_kept_ms"] == (AGE_MS_MIN, AGE_MS_MAX)
