"""Schedules over HTTP: make one, list them, pause, resume and delete.

Owns the body, what callers get to see, and which refusal is which status. When one is due is the business of
`runs/schedule.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from hub.api import problems
from hub.api.bodies import Name
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.problems import FieldProblem, Problem
from hub.api.runs import PluginNumber, UserId, checked_user, no_such_plugin, settings_of, user_of
from hub.api.submit import refuse_push
from hub.auth import Scope
from hub.ports import StorageFull
from hub.runs.cron import CRON_LENGTH_MAX, CronError, ZoneError
from hub.runs.schedule import SCHEDULES_MAX, LastDue, Missed, Plan, Schedule
from hub.runs.starting import SETTINGS, UnfitRun, UnknownPlugin
from hub.runs.vault import MARK
from hub.store.schedules import TooManySchedules
from protocol.limits import NAME_LENGTH_MAX

SCHEDULES_QUERY: Final = ("plugin", "user_id", "cursor", "limit")

CronText = Annotated[str, Meta(min_length=1, max_length=CRON_LENGTH_MAX)]
ZoneText = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]


class ScheduleBody(Struct, frozen=True, kw_only=True):
    """POST /api/plugins/{name}/schedules: what a run takes, and when. `missed` says what becomes of due times
    that go by while the hub is away: `skip` them, or run `once` for all of them.
    """

    user_id: UserId
    settings: Raw
    cron: CronText
    zone: ZoneText = "UTC"
    missed: Missed = Missed.SKIP
    plugin_id: Name | PluginNumber | None = None


class LastView(Struct, frozen=True, kw_only=True):
    """What came of the last due time: a run, or why there is none."""

    due_at: int
    at: int
    plugin_run_id: str | None
    is_new: bool
    error: str | None


class ScheduleView(Struct, frozen=True, kw_only=True):
    """Times are unix milliseconds. `next_due_at` is null while it is paused."""

    schedule_id: str
    status: str
    plugin_name: str
    plugin_id: str | int
    user_id: int
    settings: dict[str, Any]
    cron: str
    zone: str
    missed: str
    next_due_at: int | None
    last: LastView | None
    missed_at: int | None
    """The first of the due times that were last let go."""
    created_by: str
    created_at: int


class ScheduleListView(Struct, frozen=True, kw_only=True):
    schedules: tuple[ScheduleView, ...]
    count: int
    next: str | None


class DeletedView(Struct, frozen=True, kw_only=True):
    status: str
    schedule_id: str


def view_schedule(schedule: Schedule) -> ScheduleView:
    plan, last = schedule.plan, schedule.last
    return ScheduleView(
        schedule_id=schedule.schedule_id,
        status="paused" if schedule.is_paused else "active",
        plugin_name=plan.plugin,
        plugin_id=plan.plugin if plan.plugin_id == "" else plan.plugin_id,
        user_id=plan.user_id,
        settings=plan.settings,
        cron=plan.cron,
        zone=plan.zone,
        missed=plan.missed.value,
        next_due_at=schedule.next_due_wall_ms,
        last=None if last is None else view_last(last),
        missed_at=schedule.missed_wall_ms,
        created_by=schedule.by,
        created_at=schedule.created_wall_ms,
    )


def view_last(last: LastDue) -> LastView:
    return LastView(
        due_at=last.due_wall_ms,
        at=last.at_wall_ms,
        plugin_run_id=last.plugin_run_id,
        is_new=last.is_new,
        error=last.error,
    )


async def make_schedule(call: Call) -> Told:
    """The same asked for again is the same schedule, paused or not."""
    body = await call.body(ScheduleBody)
    refuse_push(call, None, call.path("name"))
    plan = Plan(
        plugin=call.path("name"),
        user_id=checked_user(body.user_id),
        settings=lasting(settings_of(body.settings)),
        cron=body.cron,
        zone=body.zone,
        missed=body.missed,
        plugin_id="" if body.plugin_id is None else body.plugin_id,
    )
    schedule, is_new = await added(call, plan)
    if is_new:
        await call.note("schedule_made", f"{schedule.schedule_id} {plan.plugin}")
    return Told(201 if is_new else 200, view_schedule(schedule))


def lasting(settings: dict[str, Any]) -> dict[str, Any]:
    """A schedule is kept, and credentials are not."""
    keys = [name for name in settings if name.startswith(MARK)]
    if keys:
        raise problems.invalid(
            [
                FieldProblem(
                    f"{SETTINGS}.{name}",
                    "invalid",
                    "A schedule keeps no credentials; give them to the sidecars.",
                )
                for name in keys
            ]
        )
    return settings


async def added(call: Call, plan: Plan) -> tuple[Schedule, bool]:
    problem: Problem
    try:
        await call.parts.starting.judged(plan.plugin, plan.settings)
        return await call.parts.scheduler.add(plan, call.by)
    except UnknownPlugin as unknown:
        problem = no_such_plugin(plan.plugin, str(unknown))
    except UnfitRun as unfit:
        problem = problems.invalid([FieldProblem(at, "invalid", what) for at, what in unfit.mistakes])
    except CronError as error:
        problem = problems.invalid_field("cron", "invalid", f"{error}.")
    except ZoneError as error:
        problem = problems.invalid_field("zone", "invalid", f"{error}.")
    except TooManySchedules:
        problem = Problem(409, "too_many_schedules", f"A hub keeps {SCHEDULES_MAX}. Delete one first.")
    except StorageFull:
        problem = problems.storage_full()
    raise problem


async def list_schedules(call: Call) -> Told:
    query = call.request.query_params
    page = await call.parts.scheduler.schedules.page(
        plugin=query.get("plugin") or None,
        user_id=user_of(call),
        cursor=query.get("cursor") or None,
        limit=call.page_rows(),
    )
    if page is None:
        raise problems.invalid_field("cursor", "invalid", "That cursor is not one of ours; start without it.")
    views = tuple(map(view_schedule, page.schedules))
    return Told(200, ScheduleListView(schedules=views, count=len(views), next=page.next))


async def known(call: Call) -> Schedule:
    schedule_id = call.path("schedule_id")
    schedule = await call.parts.scheduler.schedules.get(schedule_id)
    if schedule is None:
        raise Problem(
            404,
            "schedule_not_found",
            "There is no schedule with that id. GET /api/schedules lists them.",
            members={"schedule_id": schedule_id[:NAME_LENGTH_MAX]},
        )
    return schedule


async def steerable(call: Call) -> Schedule:
    """One that this caller could have made."""
    schedule = await known(call)
    if not call.identity.may_push_to(None, schedule.plan.plugin):
        raise problems.forbidden("a token that may push to this plugin")
    return schedule


async def get_schedule(call: Call) -> Told:
    return Told(200, view_schedule(await known(call)))


async def pause_schedule(call: Call) -> Told:
    """From now on no run begins; one that is at work goes on."""
    schedule = await steerable(call)
    if not schedule.is_paused:
        await stored(call, "schedule_paused", schedule)
    return Told(200, view_schedule(await known(call)))


async def resume_schedule(call: Call) -> Told:
    """The next due time is the first from now: what went by was not missed."""
    schedule = await steerable(call)
    if schedule.next_due_wall_ms is None:
        await stored(call, "schedule_resumed", schedule)
    return Told(200, view_schedule(await known(call)))


async def delete_schedule(call: Call) -> Told:
    schedule = await steerable(call)
    await stored(call, "schedule_deleted", schedule)
    return Told(200, DeletedView(status="deleted", schedule_id=schedule.schedule_id))


async def stored(call: Call, action: str, schedule: Schedule) -> None:
    scheduler = call.parts.scheduler
    problem: Problem
    try:
        match action:
            case "schedule_paused":
                await scheduler.pause(schedule.schedule_id)
            case "schedule_resumed":
                await scheduler.resume(schedule)
            case _:
                await scheduler.delete(schedule.schedule_id)
        return await call.note(action, f"{schedule.schedule_id} {schedule.plan.plugin}")
    except ZoneError as error:
        problem = problems.invalid_field("zone", "invalid", f"{error}.")
    except StorageFull:
        problem = problems.storage_full()
    raise problem


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/plugins/{name}/schedules",
        "Run a plugin for a user by the clock",
        make_schedule,
        Scope.TASKS_PUSH,
        reply=ScheduleView,
        status=201,
        body=ScheduleBody,
        refusals=(400, 404, 409, 413, 422, 429, 503),
        tag="schedules",
    ),
    Endpoint(
        "GET",
        "/api/schedules",
        "List schedules, newest first",
        list_schedules,
        Scope.TASKS_READ,
        reply=ScheduleListView,
        query=SCHEDULES_QUERY,
        refusals=(422,),
        tag="schedules",
    ),
    Endpoint(
        "GET",
        "/api/schedules/{schedule_id}",
        "Get a schedule",
        get_schedule,
        Scope.TASKS_READ,
        reply=ScheduleView,
        refusals=(404,),
        tag="schedules",
    ),
    Endpoint(
        "POST",
        "/api/schedules/{schedule_id}/pause",
        "Begin no more runs of it",
        pause_schedule,
        Scope.TASKS_PUSH,
        reply=ScheduleView,
        refusals=(404, 503),
        tag="schedules",
    ),
    Endpoint(
        "POST",
        "/api/schedules/{schedule_id}/resume",
        "Go on with it from now",
        resume_schedule,
        Scope.TASKS_PUSH,
        reply=ScheduleView,
        refusals=(404, 422, 503),
        tag="schedules",
    ),
    Endpoint(
        "DELETE",
        "/api/schedules/{schedule_id}",
        "Delete a schedule",
        delete_schedule,
        Scope.TASKS_PUSH,
        reply=DeletedView,
        refusals=(404, 503),
        tag="schedules",
    ),
)
