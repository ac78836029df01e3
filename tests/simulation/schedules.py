"""Schedules in a seeded world: the shipped loop, while its hub dies, its disk is full, and its wall jumps.

Owns invariant 52, the troubles that are drawn, and the doubles of what surrounds the loop: the wall's time,
who begins runs, and rows in memory that the shipped store must agree with. Never decides what is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from hub.core.runs import RunStatus
from hub.core.task import Now
from hub.errors import Overloaded
from hub.ports import StorageFull
from hub.runs import cron
from hub.runs.schedule import LATE_MS, Missed, Plan, Schedule, next_due
from hub.runs.scheduler import Scheduler
from hub.runs.starting import Asked, RunStarted
from protocol.ids import TaskId
from tests.simulation.invariants import demand, invariant

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
NOON_MS: Final = 2_208_945_600_000
"""Some noon in winter."""

CRONS: Final = ("*/5 * * * *", "*/20 * * * *", "0 * * * *", "30 2 * * *", "0 6,7 * * 1-5")
ZONES: Final = ("UTC", "Europe/Berlin", "America/Sao_Paulo")
STEPS: Final = 60


class Died(BaseException):
    """The hub is gone: whatever was under way goes no further."""


class Point(StrEnum):
    """Where a hub can die around a due time."""

    BEFORE_START = "before the run begins"
    AFTER_START = "after the run has begun"
    BEFORE_KEEP = "before the schedule moves on"
    AFTER_KEEP = "after the schedule has moved on"


class Trouble(StrEnum):
    NONE = "none"
    AWAY = "away"
    DIES = "dies"
    IS_FULL = "disk full"
    IS_BUSY = "too much in hand"
    WALL_BACK = "wall put back"
    PAUSED = "paused"


class Begun(NamedTuple):
    """A run that was begun by the clock."""

    schedule_id: str
    due_ms: int
    at_ms: int


@invariant(52)
def a_schedule_fires_once(plans: dict[str, Plan], begun: Iterable[Begun]) -> None:
    """One run at the most for one due time, however often the hub dies around it, and for nothing else; after
    any time away one run at the most for all that went by.
    """
    seen: set[tuple[str, int]] = set()
    for run in begun:
        plan = plans[run.schedule_id]
        demand(52, (run.schedule_id, run.due_ms) not in seen, f"{run} has begun a second time")
        seen.add((run.schedule_id, run.due_ms))
        demand(52, due_after(plan, run.due_ms - 1) == run.due_ms, f"{run}: nothing was due then")
        demand(52, run.due_ms <= run.at_ms, f"{run} has begun ahead of its time")


def nothing_due_is_forgotten(plan: Plan, since_ms: int, now_ms: int, begun: Iterable[Begun]) -> None:
    """Also 52: a look that went well has begun the last due time, unless that was long ago or before this
    schedule was there.
    """
    due_ms = last_due(plan, max(since_ms, now_ms - LATE_MS), now_ms)
    if due_ms is not None:
        known = {run.due_ms for run in begun}
        demand(52, due_ms in known, f"{plan.cron} was due at {due_ms}, it is {now_ms}, and no run has begun")


def due_after(plan: Plan, wall_ms: int) -> int | None:
    return cron.next_after(cron.parse(plan.cron), cron.zone_of(plan.zone), wall_ms)


def last_due(plan: Plan, after_ms: int, until_ms: int) -> int | None:
    """The last due time after the one moment and not after the other."""
    found, look_ms = None, after_ms
    while (due_ms := due_after(plan, look_ms)) is not None and due_ms <= until_ms:
        found = look_ms = due_ms
    return found


class Rows(Protocol):
    """What the loop asks of the store of schedules."""

    async def earliest(self) -> int | None: ...

    async def due(self, wall_ms: int, limit: int) -> tuple[Schedule, ...]: ...

    async def keep(self, schedule: Schedule, due_wall_ms: int) -> bool: ...

    async def add(self, schedule: Schedule) -> tuple[Schedule, bool]: ...

    async def pause(self, schedule_id: str) -> bool: ...

    async def resume(self, schedule_id: str, next_due_wall_ms: int | None) -> bool: ...

    async def delete(self, schedule_id: str) -> bool: ...

    async def get(self, schedule_id: str) -> Schedule | None: ...


class MemoryRows:
    """The rows of schedules without a disk."""

    def __init__(self) -> None:
        self.rows: dict[str, Schedule] = {}

    async def earliest(self) -> int | None:
        dues = (row.next_due_wall_ms for row in self.rows.values())
        return min((due_ms for due_ms in dues if due_ms is not None), default=None)

    async def due(self, wall_ms: int, limit: int) -> tuple[Schedule, ...]:
        late = [(row.next_due_wall_ms, row) for row in self.rows.values() if row.next_due_wall_ms is not None]
        rows = sorted((one for one in late if one[0] <= wall_ms), key=lambda one: one[0])
        return tuple(row for _, row in rows[:limit])

    async def keep(self, schedule: Schedule, due_wall_ms: int) -> bool:
        row = self.rows.get(schedule.schedule_id)
        if row is None or row.next_due_wall_ms != due_wall_ms:
            return False
        self.rows[schedule.schedule_id] = replace(schedule, is_paused=row.is_paused)
        return True

    async def add(self, schedule: Schedule) -> tuple[Schedule, bool]:
        is_new = schedule.schedule_id not in self.rows
        return self.rows.setdefault(schedule.schedule_id, schedule), is_new

    async def pause(self, schedule_id: str) -> bool:
        self.rows[schedule_id] = replace(self.rows[schedule_id], is_paused=True, next_due_wall_ms=None)
        return True

    async def resume(self, schedule_id: str, next_due_wall_ms: int | None) -> bool:
        row = self.rows[schedule_id]
        if row.next_due_wall_ms is not None:
            return False
        self.rows[schedule_id] = replace(row, is_paused=False, next_due_wall_ms=next_due_wall_ms)
        return True

    async def delete(self, schedule_id: str) -> bool:
        return self.rows.pop(schedule_id, None) is not None

    async def get(self, schedule_id: str) -> Schedule | None:
        return self.rows.get(schedule_id)


class Shaky:
    """Rows behind a hub that may die, and a disk that may be full: everything else is theirs."""

    def __init__(self, rows: Rows, world: Years) -> None:
        self._rows = rows
        self._world = world
        self.earliest, self.due, self.add = rows.earliest, rows.due, rows.add
        self.pause, self.resume, self.delete, self.get = rows.pause, rows.resume, rows.delete, rows.get

    async def keep(self, schedule: Schedule, due_wall_ms: int) -> bool:
        self._world.come_to(Point.BEFORE_KEEP)
        self._world.fail_with(StorageFull, Trouble.IS_FULL)
        kept = await self._rows.keep(schedule, due_wall_ms)
        self._world.come_to(Point.AFTER_KEEP)
        return kept


class Years:
    """A long time in the life of some schedules."""

    def __init__(self, seed: int, rows: Rows, loop: Callable[..., Scheduler] = Scheduler) -> None:
        self.die = Random(f"{seed}/schedules")
        self.wall_ms = NOON_MS + self.die.randrange(0, 365 * DAY_MS, SECOND_MS)
        self.begun: list[Begun] = []
        self.deaths = 0
        self.plans: dict[str, Plan] = {}
        self._once: dict[str, str] = {}
        self._since_ms: dict[str, int | None] = {}
        """From when on each schedule counts; None while it is paused."""
        self._seen_ms = self._top_ms = 0
        """The wall's latest time at which a look went well, and that of any look."""
        self._dies_at: Point | None = None
        self._trouble = Trouble.NONE
        self._rows = Shaky(rows, self)
        self._make = loop
        self._loop = self._new_life()

    def _new_life(self) -> Scheduler:
        return self._make(self, self._rows, self._start, settle_ms=0)

    def now(self) -> Now:
        return Now(self.wall_ms, self.wall_ms)

    async def sleep_until(self, due_ms: int) -> None:
        raise AssertionError("time is passed by hand here")

    # --- what surrounds the loop ---------------------------------------------------------------------------

    async def _start(self, asked: Asked) -> RunStarted:
        """As `hub/runs/starting.py` begins runs: one for each `once`, durable before it is answered."""
        self.come_to(Point.BEFORE_START)
        self.fail_with(Overloaded, Trouble.IS_BUSY)
        is_new = asked.once not in self._once
        if is_new:
            self._once[asked.once] = f"run-{len(self._once)}"
            self.begun.append(Begun(asked.by, int(asked.once.split()[-1]), self.wall_ms))
        self.come_to(Point.AFTER_START)
        run_id = self._once[asked.once]
        return RunStarted(
            plugin_run_id=run_id, task_id=TaskId(run_id), status=RunStatus.PENDING, is_new=is_new
        )

    def come_to(self, point: Point) -> None:
        if self._dies_at is point:
            self._dies_at = None
            raise Died(point)

    def fail_with(self, error: type[Exception], trouble: Trouble) -> None:
        if self._trouble is trouble:
            self._trouble = Trouble.NONE
            raise error(trouble.value)

    # --- one run -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Some schedules, many due times, and all that can happen around them."""
        for user in range(self.die.randint(1, 3)):
            plan = Plan(
                plugin="digest",
                user_id=user,
                settings={},
                cron=self.die.choice(CRONS),
                zone=self.die.choice(ZONES),
                missed=self.die.choice(tuple(Missed)),
            )
            schedule, _ = await self._loop.add(plan, "somebody")
            self.plans[schedule.schedule_id] = plan
            self._since_ms[schedule.schedule_id] = self.wall_ms
        for _ in range(STEPS):
            await self._step(self.die.choice((Trouble.NONE, *Trouble)))
            a_schedule_fires_once(self.plans, self.begun)

    async def _step(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.AWAY:
                self.wall_ms += self.die.choice((MINUTE_MS, LATE_MS, 3 * HOUR_MS, 3 * DAY_MS))
                self._loop = self._new_life()
            case Trouble.DIES:
                self._dies_at = self.die.choice(tuple(Point))
            case Trouble.IS_FULL | Trouble.IS_BUSY:
                self._trouble = trouble
            case Trouble.WALL_BACK:
                self.wall_ms -= self.die.choice((SECOND_MS, MINUTE_MS, HOUR_MS))
            case Trouble.PAUSED:
                await self._pause_or_resume()
            case Trouble.NONE:
                pass
        await self._pass_a_due_time()

    async def _pause_or_resume(self) -> None:
        schedule_id = self.die.choice(sorted(self.plans))
        if self._since_ms[schedule_id] is not None:
            await self._loop.pause(schedule_id)
            self._since_ms[schedule_id] = None
            return
        schedule = await self._rows.get(schedule_id)
        assert schedule is not None, "it was never deleted"
        await self._loop.resume(schedule)
        self._since_ms[schedule_id] = self.wall_ms

    async def _pass_a_due_time(self) -> None:
        """Look a little before something is due, or when it is, or a little after."""
        dues = [next_due(plan, self.wall_ms) for plan in self.plans.values()]
        due_ms = min(due for due in dues if due is not None)
        self.wall_ms = max(self.wall_ms, due_ms + self.die.choice((-1, 0, 1, 900, 30_000)))
        for _ in range(self.die.randint(1, 3)):
            await self._look()
            self.wall_ms += self.die.choice((0, SECOND_MS, 5 * SECOND_MS))

    async def _look(self) -> None:
        is_latest, self._top_ms = self.wall_ms >= self._top_ms, max(self.wall_ms, self._top_ms)
        try:
            went_well = await self._loop.look()
        except Died:
            self.deaths += 1
            self._loop = self._new_life()
            return
        if went_well and is_latest:
            self._judge_due_times()

    def _judge_due_times(self) -> None:
        """Not while the wall is put back: what was let go at a later time stays so."""
        for schedule_id, since_ms in self._since_ms.items():
            if since_ms is not None:
                begun = [run for run in self.begun if run.schedule_id == schedule_id]
                after_ms = max(since_ms, self._seen_ms)
                nothing_due_is_forgotten(self.plans[schedule_id], after_ms, self.wall_ms, begun)
        self._seen_ms = self.wall_ms
