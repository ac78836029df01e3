"""The loop that begins runs by the clock, and the four things a person may do with a schedule.

Owns when to look and what is written down afterwards. A run begins first, under a name made of its schedule
and its due time, and then its schedule moves on: a hub that dies in between begins the same run again, which
is the one that is there. Never begins two for one due time, nor more than one for all that were missed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from hub.core.effects import RefusalKind
from hub.errors import Closing, Overloaded
from hub.ports import StorageFull
from hub.runs.cron import CronError, ZoneError
from hub.runs.schedule import LastDue, Plan, Schedule, next_due, once_of, schedule_id_of, step
from hub.runs.starting import Asked, RunRefused, RunStarted, UnfitRun, UnknownPlugin

if TYPE_CHECKING:
    from hub.ports import Clock
    from hub.store.schedules import Schedules

LOOK_EVERY_MS: Final = 1_000
"""How late a run may begin. The wall's time may jump, so it is looked at and never slept to."""

RETRY_MS: Final = 5_000
"""After a full disk or a hub with too much in hand."""

SETTLE_MS: Final = 30_000
"""After the start of the hub: agents that offer a plugin are still dialling, and it is not unknown yet."""

DUE_MAX: Final = 100
"""Read at once; their runs begin one after the other, so that a common hour is no stampede."""

logger = logging.getLogger(__name__)

Start = Callable[[Asked], Awaitable[RunStarted]]


class Scheduler:
    def __init__(
        self, clock: Clock, schedules: Schedules, start: Start, *, settle_ms: int = SETTLE_MS
    ) -> None:
        self.schedules = schedules
        self._clock = clock
        self._start = start
        self._settled_ms = clock.now().ms + settle_ms
        self._has_changed = True
        self._earliest_ms: int | None = None

    async def add(self, plan: Plan, by: str) -> tuple[Schedule, bool]:
        """The schedule, durable, and whether it is new. Raises CronError, ZoneError and TooManySchedules."""
        wall_ms = self._clock.now().wall_ms
        schedule = Schedule(
            schedule_id=schedule_id_of(plan),
            plan=plan,
            by=by,
            created_wall_ms=wall_ms,
            next_due_wall_ms=next_due(plan, wall_ms),
        )
        added = await self.schedules.add(schedule)
        self._has_changed = True
        return added

    async def pause(self, schedule_id: str) -> bool:
        return await self.schedules.pause(schedule_id)

    async def resume(self, schedule: Schedule) -> bool:
        """From now on: what went by while it was paused was not missed. Raises ZoneError."""
        due_ms = next_due(schedule.plan, self._clock.now().wall_ms)
        has_resumed = await self.schedules.resume(schedule.schedule_id, due_ms)
        self._has_changed = True
        return has_resumed

    async def delete(self, schedule_id: str) -> bool:
        return await self.schedules.delete(schedule_id)

    async def run(self) -> None:
        """Begin what is due, for ever."""
        while True:
            pause_ms = LOOK_EVERY_MS if await self.look() else RETRY_MS
            await self._clock.sleep_until(self._clock.now().ms + pause_ms)

    async def look(self) -> bool:
        """Begin all that is due now; False if something of it has to be tried again."""
        wall_ms = self._clock.now().wall_ms
        if self._has_changed:
            self._has_changed = False  # before the read: a change during it is seen the next time
            self._earliest_ms = await self.schedules.earliest()
        if self._earliest_ms is None or self._earliest_ms > wall_ms:
            return True
        self._has_changed = True
        kept = [await self._keep(schedule) for schedule in await self.schedules.due(wall_ms, DUE_MAX)]
        return all(kept)

    async def _keep(self, schedule: Schedule) -> bool:
        """What is due of one schedule, and its next due time; False if that has to be tried again."""
        wall_ms, due_ms = self._clock.now().wall_ms, schedule.next_due_wall_ms
        if due_ms is None or due_ms > wall_ms:
            return True  # the wall's time was put back since it was read
        try:
            kept = await self._stepped(schedule, due_ms, wall_ms)
            await self.schedules.keep(kept, due_ms)
        except (StorageFull, Overloaded, Closing, NotYet) as error:
            logger.warning(
                "! a schedule waits", extra={"schedule_id": schedule.schedule_id, "error": str(error)}
            )
            return False
        return True

    async def _stepped(self, schedule: Schedule, due_ms: int, wall_ms: int) -> Schedule:
        """The schedule after this due time, its run begun."""
        try:
            now = step(schedule.plan, due_ms, wall_ms)
        except (CronError, ZoneError) as error:
            last = LastDue(due_wall_ms=due_ms, at_wall_ms=wall_ms, error=str(error))
            return msgspec.structs.replace(schedule, last=last, next_due_wall_ms=None)
        last_kept = schedule.last
        if now.due_wall_ms is not None:
            last_kept = await self._begun(schedule, now.due_wall_ms, wall_ms)
        if now.missed_wall_ms is not None:
            logger.warning("! due times were missed", extra={"schedule_id": schedule.schedule_id})
        return msgspec.structs.replace(
            schedule,
            last=last_kept,
            missed_wall_ms=now.missed_wall_ms or schedule.missed_wall_ms,
            next_due_wall_ms=now.next_due_wall_ms,
        )

    async def _begun(self, schedule: Schedule, due_ms: int, wall_ms: int) -> LastDue:
        plan = schedule.plan
        asked = Asked(
            plugin=plan.plugin,
            plugin_id=plan.plugin_id,
            user_id=plan.user_id,
            settings=plan.settings,
            origin="schedule",
            by=schedule.schedule_id,
            once=once_of(schedule.schedule_id, due_ms),
        )
        last = LastDue(due_wall_ms=due_ms, at_wall_ms=wall_ms)
        try:
            started = await self._start(asked)
        except (UnknownPlugin, UnfitRun, RunRefused) as error:
            if self._may_pass(error):
                raise NotYet(str(error)) from error
            logger.warning(
                "! a schedule began no run", extra={"schedule_id": schedule.schedule_id, "error": str(error)}
            )
            return msgspec.structs.replace(last, error=str(error))
        return msgspec.structs.replace(last, plugin_run_id=started.plugin_run_id, is_new=started.is_new)

    def _may_pass(self, error: Exception) -> bool:
        if isinstance(error, RunRefused):
            return error.refusal.kind is RefusalKind.OVERLOADED
        return isinstance(error, UnknownPlugin) and self._clock.now().ms < self._settled_ms


class NotYet(Exception):
    """It may be possible a little later."""
