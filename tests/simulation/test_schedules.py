"""Schedules fire once: the shipped loop through many seeded lives, and the shipped rows beside the doubled
ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from hub.runs import scheduler
from hub.runs.schedule import Missed, Plan, Schedule
from hub.store.database import open_database
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from hub.store.schedules import Schedules
from tests.simulation.invariants import Broken
from tests.simulation.schedules import (
    HOUR_MS,
    NOON_MS,
    Begun,
    MemoryRows,
    Years,
    a_schedule_fires_once,
    due_after,
    nothing_due_is_forgotten,
)

SEEDS_A_TEST = 30

HOURLY = Plan(plugin="digest", user_id=7, settings={}, cron="0 * * * *", missed=Missed.SKIP)


@pytest.mark.parametrize("first", range(0, 2 * SEEDS_A_TEST, SEEDS_A_TEST))
async def test_a_schedule_fires_once_whatever_happens_around_a_due_time(first: int) -> None:
    deaths = begun = 0
    for seed in range(first, first + SEEDS_A_TEST):
        years = Years(seed, MemoryRows())
        await years.run()
        deaths += years.deaths
        begun += len(years.begun)
    assert begun > 10 * SEEDS_A_TEST
    assert deaths > SEEDS_A_TEST


@pytest.mark.parametrize("seed", range(4))
async def test_the_rows_on_a_disk_tell_the_same_story(tmp_path: Path, seed: int) -> None:
    database = open_database(tmp_path / "hub.db")
    ledger, queries = SqliteLedger(database, free_bytes_min=0), Queries(database)
    try:
        real = Years(seed, Schedules(ledger, queries))
        await real.run()
    finally:
        queries.close()
        await ledger.close()
    double = Years(seed, MemoryRows())
    await double.run()
    assert (real.begun, real.deaths) == (double.begun, double.deaths)


async def test_a_run_named_by_the_time_it_began_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of this test: a hub that dies after the start begins the run again."""
    count = iter(range(10**6))
    monkeypatch.setattr(scheduler, "once_of", lambda name, due_ms: f"{name} {next(count)} {due_ms}")
    with pytest.raises(Broken, match="a second time"):
        for seed in range(SEEDS_A_TEST):
            await Years(seed, MemoryRows()).run()


async def test_a_schedule_that_moves_on_before_its_run_begins_would_be_noticed() -> None:
    """The other mutant: a hub that dies in between begins no run at all."""

    class Hasty(scheduler.Scheduler):
        async def _stepped(self, schedule: Schedule, due_ms: int, wall_ms: int) -> Schedule:
            await self.schedules.keep(
                replace(schedule, next_due_wall_ms=due_after(schedule.plan, wall_ms)), due_ms
            )
            return await super()._stepped(schedule, due_ms, wall_ms)

    with pytest.raises(Broken, match="no run has begun"):
        for seed in range(SEEDS_A_TEST):
            await Years(seed, MemoryRows(), Hasty).run()


def test_a_doctored_history_of_schedules_is_not_believed() -> None:
    plans = {"s": HOURLY}
    due_ms = due_after(HOURLY, NOON_MS) or 0
    run = Begun("s", due_ms, due_ms + 5)
    a_schedule_fires_once(plans, [run, Begun("s", due_ms + HOUR_MS, due_ms + HOUR_MS)])
    for doctored in ([run, run], [run._replace(due_ms=due_ms + 1)], [run._replace(at_ms=due_ms - 1)]):
        with pytest.raises(Broken, match="invariant 52"):
            a_schedule_fires_once(plans, doctored)
    nothing_due_is_forgotten(HOURLY, NOON_MS, due_ms + 1, [run])
    with pytest.raises(Broken, match="no run has begun"):
        nothing_due_is_forgotten(HOURLY, NOON_MS, due_ms + 1, [])
