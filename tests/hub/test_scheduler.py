"""The loop of schedules in a real hub, the wall's time in the test's hand: what begins, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from hub.core.task import Now
from hub.errors import Overloaded
from hub.ports import StorageFull
from hub.runs.schedule import LATE_MS, Missed, Plan, Schedule, schedule_id_of
from hub.runs.scheduler import Scheduler
from hub.runs.starting import Asked, RunStarted
from hub.store.schedules import Schedules, TooManySchedules
from tests.hub.askers import DIGEST, TOPICS, worked
from tests.hub.company import v2
from tests.hub.conftest import RunningHub

pytestmark = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SIX = int(datetime.fromisoformat("2040-01-02T06:00:00+00:00").timestamp() * 1000)
"""A Monday, so far ahead that the hub's own loop leaves these schedules alone."""
SEVEN = SIX + HOUR_MS

DAILY = Plan(plugin=DIGEST, user_id=7, settings=dict(TOPICS), cron="0 7 * * *")


@dataclass
class WallClock:
    """The hub's own, but for the wall's time."""

    hub: RunningHub
    wall_ms: int = SIX

    def now(self) -> Now:
        return Now(self.hub.parts.clock.now().ms, self.wall_ms)

    async def sleep_until(self, due_ms: int) -> None:
        await self.hub.parts.clock.sleep_until(due_ms)


class Office:
    """A scheduler of the test's own on the hub's real ledger and its real way to begin runs."""

    def __init__(self, hub: RunningHub, *, settle_ms: int = 0, most: int = 100) -> None:
        self.hub = hub
        self.clock = WallClock(hub)
        self.kept = Schedules(hub.parts.ledger, hub.parts.queries, most=most)
        self.trouble: list[Exception] = []
        self.settle_ms = settle_ms
        self.scheduler = self.anew()

    def anew(self) -> Scheduler:
        """As after a restart."""
        return Scheduler(self.clock, self.kept, self._start, settle_ms=self.settle_ms)

    async def _start(self, asked: Asked) -> RunStarted:
        if self.trouble:
            raise self.trouble.pop()
        return await self.hub.parts.starting.start(asked)

    async def add(self, plan: Plan = DAILY) -> str:
        schedule, _ = await self.scheduler.add(plan, "test")
        return schedule.schedule_id

    async def at(self, wall_ms: int) -> bool:
        self.clock.wall_ms = wall_ms
        return await self.scheduler.look()

    async def get(self, schedule_id: str) -> Schedule:
        schedule = await self.kept.get(schedule_id)
        assert schedule is not None
        return schedule

    async def runs(self) -> list[dict[str, Any]]:
        async with self.hub.http() as http:
            found: list[dict[str, Any]] = (await http.get("/api/runs")).json()["runs"]
            return found


def plan(**changed: Any) -> Plan:
    return Plan(**{**{name: getattr(DAILY, name) for name in DAILY.__struct_fields__}, **changed})


async def test_a_run_begins_when_its_time_has_come_and_not_before(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    name = await office.add()
    assert (await office.get(name)).next_due_wall_ms == SEVEN
    assert await office.at(SEVEN - 1)
    assert await office.runs() == []
    assert await office.at(SEVEN)
    (run,) = await office.runs()
    assert (run["user_id"], run["plugin_name"], run["origin"]) == (7, DIGEST, "schedule")
    assert run["input"] == TOPICS
    schedule = await office.get(name)
    assert schedule.next_due_wall_ms == SEVEN + 24 * HOUR_MS
    assert schedule.last is not None
    assert (schedule.last.plugin_run_id, schedule.last.is_new) == (run["plugin_run_id"], True)
    assert await office.at(SEVEN + MINUTE_MS)
    assert len(await office.runs()) == 1


async def test_the_loop_of_the_hub_begins_what_is_due(running_hub: RunningHub) -> None:
    """The real clock, and a schedule of every minute whose time came a second ago."""
    scheduler = running_hub.parts.scheduler
    schedule, _ = await scheduler.add(plan(cron="* * * * *"), "test")
    just_now = running_hub.parts.clock.now().wall_ms - 1_000
    await scheduler.schedules.pause(schedule.schedule_id)
    await scheduler.schedules.resume(schedule.schedule_id, just_now)
    scheduler._has_changed = True
    peer = await v2(running_hub, plugins=[DIGEST])
    assert (await worked(peer, "news"))["plugin"] == DIGEST


async def test_a_hub_that_died_before_it_wrote_down_its_start_begins_no_second_run(
    running_hub: RunningHub,
) -> None:
    office = Office(running_hub)
    name = await office.add()
    before = await office.get(name)
    office.clock.wall_ms = SEVEN
    await office.scheduler._begun(before, SEVEN, SEVEN)  # and there it died
    peer = await v2(running_hub, plugins=[DIGEST])
    await worked(peer, "news")
    office.scheduler = office.anew()
    assert await office.at(SEVEN + MINUTE_MS)
    (run,) = await office.runs()
    schedule = await office.get(name)
    assert schedule.last is not None
    assert (schedule.last.plugin_run_id, schedule.last.is_new) == (run["plugin_run_id"], False)
    assert schedule.next_due_wall_ms == SEVEN + 24 * HOUR_MS


@pytest.mark.parametrize(("missed", "count"), [(Missed.SKIP, 0), (Missed.ONCE, 1)])
async def test_after_a_week_away_there_is_no_mass_of_runs(
    running_hub: RunningHub, missed: Missed, count: int
) -> None:
    office = Office(running_hub)
    name = await office.add(plan(missed=missed))
    back_ms = SEVEN + 7 * 24 * HOUR_MS + HOUR_MS
    office.scheduler = office.anew()
    assert await office.at(back_ms)
    assert await office.at(back_ms + MINUTE_MS)
    assert len(await office.runs()) == count
    schedule = await office.get(name)
    assert schedule.next_due_wall_ms == SEVEN + 8 * 24 * HOUR_MS
    assert schedule.missed_wall_ms == (SEVEN if missed is Missed.SKIP else None)


async def test_a_short_restart_misses_nothing(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    await office.add()
    office.scheduler = office.anew()
    assert await office.at(SEVEN + LATE_MS)
    assert len(await office.runs()) == 1


async def test_a_wall_that_is_put_back_repeats_nothing(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    name = await office.add()
    await office.at(SEVEN)
    peer = await v2(running_hub, plugins=[DIGEST])
    await worked(peer, "news")
    await office.at(SIX)
    await office.at(SEVEN)
    assert len(await office.runs()) == 1
    assert (await office.get(name)).next_due_wall_ms == SEVEN + 24 * HOUR_MS


async def test_a_run_that_is_still_going_stands_for_the_next_one(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    name = await office.add(plan(cron="0 * * * *"))
    await office.at(SEVEN)
    await office.at(SEVEN + HOUR_MS)
    (run,) = await office.runs()
    last = (await office.get(name)).last
    assert last is not None
    assert (last.due_wall_ms, last.plugin_run_id, last.is_new) == (
        SEVEN + HOUR_MS,
        run["plugin_run_id"],
        False,
    )


async def test_a_plugin_that_is_gone_is_said_and_the_schedule_goes_on(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    name = await office.add(plan(plugin="weekly"))
    assert await office.at(SEVEN)
    schedule = await office.get(name)
    assert schedule.last is not None
    assert schedule.last.plugin_run_id is None
    assert "no connected agent offers it" in str(schedule.last.error)
    assert schedule.next_due_wall_ms == SEVEN + 24 * HOUR_MS
    await v2(running_hub, plugins=["weekly"])
    assert await office.at(SEVEN + 24 * HOUR_MS)
    assert len(await office.runs()) == 1


async def test_settings_that_fit_no_longer_are_said_by_their_name(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    name = await office.add(plan(settings={}))
    assert await office.at(SEVEN)
    last = (await office.get(name)).last
    assert last is not None
    assert last.error == "settings.topics: is missing"


async def test_right_after_its_start_a_hub_waits_for_agents_that_are_dialling(
    running_hub: RunningHub,
) -> None:
    office = Office(running_hub, settle_ms=HOUR_MS)
    await office.add(plan(plugin="weekly"))
    assert not await office.at(SEVEN)
    await v2(running_hub, plugins=["weekly"])
    assert await office.at(SEVEN + MINUTE_MS)
    assert len(await office.runs()) == 1


@pytest.mark.parametrize("trouble", [Overloaded("full"), StorageFull()])
async def test_what_passes_is_tried_again(running_hub: RunningHub, trouble: Exception) -> None:
    office = Office(running_hub)
    name = await office.add()
    office.trouble.append(trouble)
    assert not await office.at(SEVEN)
    assert (await office.get(name)).last is None
    assert await office.at(SEVEN + 5_000)
    assert len(await office.runs()) == 1


async def test_who_pauses_is_not_overruled_by_a_run_that_begins(running_hub: RunningHub) -> None:
    office = Office(running_hub)
    name = await office.add()
    due = await office.get(name)
    await office.scheduler.pause(name)
    assert not await office.kept.keep(due, SEVEN)
    assert await office.at(SEVEN)
    paused = await office.get(name)
    assert (paused.is_paused, paused.next_due_wall_ms) == (True, None)
    assert await office.runs() == []
    assert await office.scheduler.resume(paused)
    assert not await office.scheduler.resume(paused)
    assert (await office.get(name)).next_due_wall_ms == SEVEN + 24 * HOUR_MS


async def test_there_is_room_for_so_many_and_no_more(running_hub: RunningHub) -> None:
    office = Office(running_hub, most=2)
    names = [await office.add(plan(user_id=user)) for user in (1, 2)]
    with pytest.raises(TooManySchedules):
        await office.add(plan(user_id=3))
    assert await office.add(plan(user_id=2)) == names[1]
    assert await office.scheduler.delete(names[0])
    assert not await office.scheduler.delete(names[0])
    await office.add(plan(user_id=3))


async def test_many_that_are_due_at_once_all_begin(running_hub: RunningHub) -> None:
    office = Office(running_hub, most=200)
    for user in range(120):
        await office.add(plan(user_id=user))
    await office.at(SEVEN)
    await office.at(SEVEN + 1_000)
    async with running_hub.http() as http:
        runs = (await http.get("/api/runs", params={"limit": 500})).json()["runs"]
    assert len(runs) == 120
    assert {run["user_id"] for run in runs} == set(range(120))


async def test_a_zone_that_this_machine_has_lost_is_said_and_keeps_nobody_else_waiting(
    running_hub: RunningHub,
) -> None:
    office = Office(running_hub)
    lost = plan(zone="Mars/Olympus")
    await office.kept.add(
        Schedule(
            schedule_id=schedule_id_of(lost), plan=lost, by="t", created_wall_ms=SIX, next_due_wall_ms=SIX
        )
    )
    await office.add()
    assert await office.at(SEVEN)
    schedule = await office.get(schedule_id_of(lost))
    assert schedule.last is not None
    assert "'Mars/Olympus' is not a time zone" in str(schedule.last.error)
    assert (schedule.next_due_wall_ms, schedule.is_paused) == (None, False)
    assert len(await office.runs()) == 1
    async with running_hub.http() as http:
        resumed = await http.post(f"/api/schedules/{schedule.schedule_id}/resume")
    assert (resumed.status_code, resumed.json()["errors"][0]["field"]) == (422, "zone")
