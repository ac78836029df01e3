"""Looking at tasks and steering them: list, get, events, log, explain, cancel, retry, answer.

Owns the pages of lists and the answer of each row. Reads what is committed, never what a turn
still has in hand, except for the live progress of a running task, which is no fact.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hub.api import problems
from hub.api.bodies import ANSWER_BYTES_MAX, CancelBody, InputBody, judged, task_id_of
from hub.api.endpoint import PAGE_ROWS_MAX, Call, Endpoint, Told
from hub.api.filters import LIST_FILTERS, filter_of, is_brief
from hub.api.problems import Problem
from hub.api.schemas import fault_of
from hub.api.submit import TASK_ID_BYTES
from hub.api.views import (
    EventPage,
    ExplanationView,
    LogPage,
    StatsView,
    StatusView,
    view_event,
    view_explanation,
    view_log_line,
)
from hub.api.views_tasks import TaskPage, TaskView, view_task
from hub.auth import Scope
from hub.core.events import CancelRequested, InputAnswered, RetryRequested
from hub.core.task import State, Task
from hub.store.task_filters import TaskFilter
from protocol.ids import TaskId


def no_such_task(task_id: str) -> Problem:
    return Problem(
        404,
        "task_not_found",
        "There is no task with that id. GET /api/tasks lists them.",
        members={"task_id": task_id},
    )


async def read_task(call: Call) -> Task:
    """The committed row, with the live progress of the run that it speaks of."""
    task_id = TaskId(call.path("task_id"))
    task = await call.parts.queries.task(task_id)
    if task is None:
        raise no_such_task(task_id)
    return await with_live_progress(call, task)


async def with_live_progress(call: Call, task: Task) -> Task:
    """What its run last said of itself is no fact, and may be newer than the row."""
    live = live_run(call, task)
    if live is None:
        return task
    if live.progress is None and live.message is None:
        return await with_kept_progress(call, task)
    return with_talk_of(live, task)


def live_run(call: Call, task: Task) -> Task | None:
    """What the board has of the run that this row speaks of; None when that is over."""
    live = call.parts.board.view_task(task.task_id)
    return None if task.is_final or live is None or live.generation != task.generation else live


def with_talk_of(live: Task | None, task: Task) -> Task:
    if live is None or (live.progress is None and live.message is None):
        return task
    return replace(task, progress=live.progress, message=live.message, usage=live.usage)


async def with_kept_progress(call: Call, task: Task) -> Task:
    """After a restart the board has heard no progress yet; what was kept of this run is shown instead."""
    kept = await call.parts.queries.progress(task.task_id)
    if kept is None or kept.generation != task.generation:
        return task
    return replace(task, progress=kept.progress, message=kept.message)


async def list_tasks(call: Call) -> Told:
    return await page_of(call, filter_of(call))


async def page_of(call: Call, wanted: TaskFilter) -> Told:
    page = await call.parts.queries.tasks(
        wanted,
        cursor=call.request.query_params.get("cursor") or None,
        limit=call.page_rows(),
        is_brief=is_brief(call),
    )
    if page is None:
        raise problems.invalid_field("cursor", "invalid", "That cursor is not one of ours; start without it.")
    views = tuple(view_task(with_talk_of(live_run(call, task), task)) for task in page.tasks)
    return Told(200, TaskPage(tasks=views, count=len(views), next=page.next))


async def get_task(call: Call) -> Told:
    return Told(200, view_task(await read_task(call)))


async def task_events(call: Call) -> Told:
    """The task's own history, oldest first."""
    task = await read_task(call)
    events = await call.parts.queries.task_events(
        task.task_id, after=call.integer("after", 0), limit=call.page_rows()
    )
    views = tuple(view_event(event, call.parts.board.epoch) for event in events)
    return Told(200, EventPage(events=views, count=len(views), next=events[-1].offset if events else None))


async def task_log(call: Call) -> Told:
    """The kept lines of the activity stream, up to the task's cap. The last page has those too that are on
    their way to the disk; `next` is the last that is there, so that they come once more with the next page.
    """
    task = await read_task(call)
    limit = call.integer("limit", 200, least=1, most=PAGE_ROWS_MAX)
    waiting = call.parts.passing.waiting(
        task.task_id, limit
    )  # first: whatever is written meanwhile is in both
    lines = await call.parts.queries.task_log(task.task_id, after=call.integer("after", 0), limit=limit)
    known = {(line.generation, line.n) for line in lines}
    fresh = [line for line in waiting if (line.generation, line.n) not in known]
    views = tuple(view_log_line(line) for line in (*lines, *fresh[: max(0, limit - 1 - len(lines))]))
    return Told(200, LogPage(lines=views, count=len(views), next=lines[-1].line_id if lines else None))


async def explain(call: Call) -> Told:
    """Why a task is not running: each agent and the first rule that excluded it."""
    task = await read_task(call)
    found = call.parts.board.explain(task.task_id, call.parts.clock.now())
    return Told(200, view_explanation(task, found))


async def stats(call: Call) -> Told:
    return Told(200, StatsView(states=await call.parts.queries.stats()))


async def check_reach(call: Call) -> None:
    """A dispatcher that is limited to agents or plugins steers only tasks that it might have pushed."""
    who = call.identity
    if who.agent_patterns or who.plugin_patterns:
        spec = (await read_task(call)).spec
        if not who.may_push_to(spec.assign_to, spec.plugin):
            raise problems.forbidden("a token that may push to this agent and plugin")


async def cancel(call: Call) -> Told:
    body = await call.body(CancelBody)
    await check_reach(call)
    granted = await call.ask(
        CancelRequested(
            task_id=TaskId(call.path("task_id")), by=call.by, reason=body.reason or "cancelled by a person"
        )
    )
    assert granted.task is not None
    call.jot("task_cancelled", granted.task.task_id)
    is_over = granted.task.state is State.CANCELLED
    word = "cancelled" if is_over else "cancelling"
    return Told(200 if is_over else 202, StatusView(status=word, task_id=granted.task.task_id))


async def retry(call: Call) -> Told:
    """A new task with `retry_of`: what is final stays final."""
    await check_reach(call)
    new_id = task_id_of(secrets.token_bytes(TASK_ID_BYTES))
    granted = await call.ask(
        RetryRequested(task_id=TaskId(call.path("task_id")), new_task_id=new_id, by=call.by)
    )
    assert granted.task is not None
    call.jot("task_retried", f"{call.path('task_id')} as {granted.task.task_id}")
    return Told(
        200,
        StatusView(status="requeued", task_id=granted.task.task_id, priority=granted.task.spec.priority.word),
    )


async def answer(call: Call) -> Told:
    """A person answers what a run asks; an answer that does not fit its schema never reaches the run."""
    body = await call.body(InputBody)
    await check_reach(call)
    task = await read_task(call)
    value = judged(bytes(body.value), "value", bytes_max=ANSWER_BYTES_MAX)
    question = task.question
    if question is not None and question.request_id == body.request_id and question.schema is not None:
        fault = fault_of(decoded(value), decoded(question.schema))
        if fault is not None:
            raise problems.invalid_field("value", "invalid", fault)
    await call.ask(InputAnswered(task_id=task.task_id, request_id=body.request_id, value=value, by=call.by))
    call.jot("task_answered", f"{task.task_id} {body.request_id}")
    return Told(200, StatusView(status="answered", task_id=task.task_id))


def decoded(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


READ: Final = Scope.TASKS_READ
ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/tasks",
        "List tasks, newest first",
        list_tasks,
        READ,
        reply=TaskPage,
        query=LIST_FILTERS,
        refusals=(422,),
    ),
    Endpoint("GET", "/api/tasks/stats", "Count tasks by state", stats, READ, reply=StatsView),
    Endpoint("GET", "/api/tasks/{task_id}", "Get a task", get_task, READ, reply=TaskView, refusals=(404,)),
    Endpoint(
        "GET",
        "/api/tasks/{task_id}/events",
        "Get a task's history",
        task_events,
        READ,
        reply=EventPage,
        query=("after", "limit"),
        refusals=(404, 422),
    ),
    Endpoint(
        "GET",
        "/api/tasks/{task_id}/log",
        "Get a task's log",
        task_log,
        READ,
        reply=LogPage,
        query=("after", "limit"),
        refusals=(404, 422),
    ),
    Endpoint(
        "GET",
        "/api/tasks/{task_id}/explain",
        "Say why a task is not running",
        explain,
        READ,
        reply=ExplanationView,
        refusals=(404,),
    ),
    Endpoint(
        "POST",
        "/api/tasks/{task_id}/cancel",
        "Cancel a task",
        cancel,
        Scope.TASKS_CANCEL,
        reply=StatusView,
        body=CancelBody,
        refusals=(404, 409, 422, 503),
    ),
    Endpoint(
        "POST",
        "/api/tasks/{task_id}/retry",
        "Run an ended task again, as a new one",
        retry,
        Scope.TASKS_PUSH,
        reply=StatusView,
        refusals=(404, 409, 503),
    ),
    Endpoint(
        "POST",
        "/api/tasks/{task_id}/input",
        "Answer a run's question",
        answer,
        Scope.TASKS_INPUT,
        reply=StatusView,
        body=InputBody,
        refusals=(404, 409, 422, 503),
    ),
)
