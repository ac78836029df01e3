"""Runs of plugins over HTTP: start one, list them, get one, and the briefings they have made.

Owns the body, the query strings and which refusal is which status. How a run begins is `runs/starting.py`'s
business, what it is `core/runs.py`'s.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from hub.api import problems
from hub.api.bodies import Name, checked_json, checked_trace
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.filters import chosen
from hub.api.problems import FieldProblem, Problem
from hub.api.submit import refuse_push
from hub.api.tasks import with_live_progress
from hub.api.views_runs import (
    BriefingPage,
    RunPage,
    RunView,
    StartedView,
    view_briefing,
    view_run,
)
from hub.auth import Scope
from hub.core.runs import RunStatus
from hub.errors import Closing, Overloaded
from hub.ports import StorageFull
from hub.runs.starting import SETTINGS, Asked, RunRefused, RunStarted, UnfitRun, UnknownPlugin
from hub.store.queries import TaskPage
from hub.store.runs import RunFilter
from protocol.limits import INTEGER_MAX, NAME_LENGTH_MAX
from streams.names import USER_ID_MAX

UserId = Annotated[int, Meta(ge=0)]
"""The upper bound is checked apart: msgspec (seen with 0.22) takes no bound above 63 bits."""

PluginNumber = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]

RUNS_QUERY: Final = ("status", "plugin", "user_id", "cursor", "limit")
BRIEFINGS_QUERY: Final = ("plugin", "user_id", "cursor", "limit")


class RunBody(Struct, frozen=True, kw_only=True):
    """POST /api/plugins/{name}/runs. `settings` are those of the plugin's schema; keys that begin with `_`
    are credentials, which go to the run and are kept nowhere.
    """

    user_id: UserId
    settings: Raw
    plugin_id: Name | PluginNumber | None = None


def settings_of(said: Raw) -> dict[str, Any]:
    raw = checked_json(said, SETTINGS, must_be_object=True)
    if raw is None:
        raise problems.invalid_field(SETTINGS, "invalid", "Expected a JSON object.")
    try:
        found: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise problems.invalid_field(SETTINGS, "invalid", f"{error}.") from error
    return found


def checked_user(user_id: int) -> int:
    if user_id > USER_ID_MAX:
        raise problems.invalid_field(
            "user_id", "invalid", f"Expected a whole number from 0 to {USER_ID_MAX}."
        )
    return user_id


async def start_run(call: Call) -> Told:
    """A run of a plugin for a user; the same one again while it is live, or has just succeeded."""
    plugin = call.path("name")
    body = await call.body(RunBody)
    refuse_push(call, None, plugin)
    asked = Asked(
        plugin=plugin,
        user_id=checked_user(body.user_id),
        settings=settings_of(body.settings),
        plugin_id="" if body.plugin_id is None else body.plugin_id,
        origin="api",
        by=call.by,
        trace=checked_trace(call.request.headers.get("traceparent")),
    )
    started = await begun(call, asked)
    if started.is_new:
        call.jot("run_started", f"{started.task_id} {started.plugin_run_id} {plugin}")
    # A new run is told as it was written down; what becomes of it at once is the next thing to ask for.
    status = RunStatus.PENDING if started.is_new else started.status
    view = StartedView(plugin_run_id=started.plugin_run_id, task_id=started.task_id, status=status.value)
    return Told(202 if started.is_new else 200, view)


async def begun(call: Call, asked: Asked) -> RunStarted:
    problem: Problem
    try:
        return await call.parts.starting.start(asked)
    except UnknownPlugin as unknown:
        problem = no_such_plugin(asked.plugin, str(unknown))
    except UnfitRun as unfit:
        problem = problems.invalid([FieldProblem(at, "invalid", what) for at, what in unfit.mistakes])
    except RunRefused as refused:
        problem = problems.from_refusal(refused.refusal)
    except StorageFull:
        problem = problems.storage_full()
    except (Overloaded, Closing):
        problem = problems.overloaded()
    raise problem


def no_such_plugin(name: str, why: str) -> Problem:
    return Problem(404, "plugin_not_found", why, members={"plugin": name[:NAME_LENGTH_MAX]})


def no_such_run(plugin_run_id: str) -> Problem:
    return Problem(
        404,
        "run_not_found",
        "There is no run with that id: it never was, or was not kept any longer. GET /api/runs lists them.",
        members={"plugin_run_id": plugin_run_id[:NAME_LENGTH_MAX]},
    )


def user_of(call: Call) -> int | None:
    said = call.request.query_params.get("user_id")
    if not said:
        return None
    is_number = said.isascii() and said.isdigit() and len(said) <= len(str(USER_ID_MAX))
    return checked_user(int(said) if is_number else USER_ID_MAX + 1)


def known(call: Call, page: TaskPage | None) -> TaskPage:
    if page is None:
        raise problems.invalid_field("cursor", "invalid", "That cursor is not one of ours; start without it.")
    return page


async def list_runs(call: Call) -> Told:
    status = chosen(call, "status", [one.value for one in RunStatus])
    query = call.request.query_params
    wanted = RunFilter(
        status=RunStatus(status) if status else None,
        plugin=query.get("plugin") or None,
        user_id=user_of(call),
    )
    cursor, limit = query.get("cursor") or None, call.page_rows()
    page = known(call, await call.parts.runs.runs(wanted, cursor=cursor, limit=limit))
    views = tuple(view_run(task) for task in page.tasks)
    return Told(200, RunPage(runs=views, count=len(views), next=page.next))


async def get_run(call: Call) -> Told:
    """As it stands: who came too late for its progress finds the latest here (L103)."""
    plugin_run_id = call.path("plugin_run_id")
    task = await call.parts.runs.run(plugin_run_id)
    if task is None:
        raise no_such_run(plugin_run_id)
    return Told(200, view_run(await with_live_progress(call, task)))


async def list_briefings(call: Call) -> Told:
    query = call.request.query_params
    page = known(
        call,
        await call.parts.runs.briefings(
            plugin=query.get("plugin") or None,
            user_id=user_of(call),
            cursor=query.get("cursor") or None,
            limit=call.page_rows(),
        ),
    )
    views = tuple(view for task in page.tasks if (view := view_briefing(task)) is not None)
    return Told(200, BriefingPage(briefings=views, count=len(views), next=page.next))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/plugins/{name}/runs",
        "Run a plugin for a user",
        start_run,
        Scope.TASKS_PUSH,
        reply=StartedView,
        status=202,
        body=RunBody,
        refusals=(400, 404, 413, 422, 429, 503),
        tag="runs",
    ),
    Endpoint(
        "GET",
        "/api/runs",
        "List runs, newest first",
        list_runs,
        Scope.TASKS_READ,
        reply=RunPage,
        query=RUNS_QUERY,
        refusals=(422,),
        tag="runs",
    ),
    Endpoint(
        "GET",
        "/api/runs/{plugin_run_id}",
        "Get a run",
        get_run,
        Scope.TASKS_READ,
        reply=RunView,
        refusals=(404,),
        tag="runs",
    ),
    Endpoint(
        "GET",
        "/api/briefings",
        "List briefings, newest first",
        list_briefings,
        Scope.TASKS_READ,
        reply=BriefingPage,
        query=BRIEFINGS_QUERY,
        refusals=(422,),
        tag="runs",
    ),
)
