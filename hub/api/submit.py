"""Pushing work: POST /api/admin/push-task and /api/tasks; many at once are in `batch.py`.

Owns the way from a body to a `TaskSubmitted` and from its receipt to an answer. Never answers 2xx before
the receipt.
"""

from __future__ import annotations

import secrets
from typing import Final

from starlette.requests import Request

from hub.api import problems
from hub.api.bodies import KEY_LENGTH_MAX, task_id_of
from hub.api.bodies_tasks import PushTaskBody, TaskBody, spec_of_push, spec_of_task
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.problems import Problem
from hub.api.views_tasks import PushedView, QueuedView
from hub.auth import Scope
from hub.core.effects import Granted
from hub.core.events import TaskSubmitted
from hub.core.runs import INNER_PREFIX
from hub.core.task import Spec, State, Task
from hub.webhooks.calls import CALLS_AGENT

TASK_ID_BYTES: Final = 8


def key_of(request: Request, in_body: str | None) -> str | None:
    """The idempotency key, from the header or the body; two different ones are a mistake."""
    in_header = request.headers.get("idempotency-key")
    if in_header is not None and not 0 < len(in_header) <= KEY_LENGTH_MAX:
        raise problems.invalid_field(
            "Idempotency-Key", "invalid", f"Expected 1 to {KEY_LENGTH_MAX} characters."
        )
    if in_header is not None and in_body is not None and in_header != in_body:
        raise problems.invalid_field("idempotency_key", "conflict", "The header names another key.")
    return in_header if in_header is not None else in_body


def refuse_push(call: Call, agent_id: str | None, plugin: str | None) -> None:
    """Raise what keeps this caller from pushing this now: its token may be limited by patterns, and all are
    by their number."""
    if not call.identity.may_push_to(agent_id, plugin):
        raise problems.forbidden("a token that may push to this agent and plugin")
    wait_ms = call.parts.throttle.pushed(call.identity.token_id, call.parts.clock.now().ms)
    if wait_ms is not None:
        raise problems.rate_limited(wait_ms)


def refuse_inner(call: Call, agent_id: str | None, field: str) -> None:
    """Raise what keeps a task from waiting for ever for an agent inside the hub: the one that hands out runs
    takes nothing else, and the one that calls webhooks is only there when there are calls.
    """
    if agent_id is None or not agent_id.startswith(INNER_PREFIX):
        return
    if agent_id != CALLS_AGENT or not call.parts.webhooks.calls.places:
        raise problems.invalid_field(field, "invalid", "No agent inside this hub takes tasks by that name.")


def event_of(call: Call, spec: Spec, *, must_be_connected: bool, field: str = "assign_to") -> TaskSubmitted:
    """The letter to the board, if this caller may send it. `field` is where the agent was named."""
    refuse_push(call, spec.assign_to, spec.plugin)
    if not must_be_connected:
        refuse_inner(call, spec.assign_to, field)
    task_id = task_id_of(secrets.token_bytes(TASK_ID_BYTES))
    return TaskSubmitted(task_id=task_id, spec=spec, must_be_connected=must_be_connected)


def task_of(pushed: Granted) -> Task:
    assert pushed.task is not None, "a granted push names its task"
    return pushed.task


async def push_task(call: Call) -> Told:
    """One task for one named agent, whose link is live unless `queue` says that it may wait."""
    body = await call.body(PushTaskBody)
    if not body.agent_id or not body.description:
        raise Problem(
            400,
            "missing required fields: agent_id, description",
            "Send both as strings: who shall do it, and what.",
        )
    spec = spec_of_push(
        body,
        key=key_of(call.request, body.idempotency_key),
        by=call.by,
        wall_ms=call.parts.clock.now().wall_ms,
        trace=call.request.headers.get("traceparent"),
    )
    event = event_of(call, spec, must_be_connected=not body.queue, field="agent_id")
    task = task_of(await call.ask(event))
    call.jot("task_pushed", f"{task.task_id} {body.agent_id}")
    waits_for_agent = task.state is State.QUEUED and not call.parts.board.is_connected(spec.assign_to)
    status, word = (202, "queued") if waits_for_agent else (200, "pushed")
    return Told(
        status, PushedView(status=word, task_id=task.task_id, agent_id=body.agent_id, state=task.state.value)
    )


def task_event(
    call: Call, body: TaskBody, key: str | None, depends_on: tuple[str, ...] | None = None
) -> TaskSubmitted:
    """The letter for one task. `depends_on` takes the place of the body's own."""
    spec = spec_of_task(
        body,
        key=key,
        by=call.by,
        wall_ms=call.parts.clock.now().wall_ms,
        trace=call.request.headers.get("traceparent"),
        depends_on=depends_on,
    )
    return event_of(call, spec, must_be_connected=False)


def queued_view(task: Task) -> QueuedView:
    return QueuedView(
        status="queued",
        task_id=task.task_id,
        priority=task.spec.priority.word,
        created_at=task.created_wall_ms,
    )


async def create_task(call: Call) -> Told:
    """One task for whoever can do it."""
    body = await call.body(TaskBody)
    event = task_event(call, body, key_of(call.request, body.idempotency_key))
    task = task_of(await call.ask(event))
    call.jot("task_pushed", task.task_id)
    return Told(201, queued_view(task))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/admin/push-task",
        "Push a task to an agent",
        push_task,
        Scope.TASKS_PUSH,
        reply=PushedView,
        body=PushTaskBody,
        refusals=(400, 404, 409, 413, 422, 503),
    ),
    Endpoint(
        "POST",
        "/api/tasks",
        "Queue a task for whoever can do it",
        create_task,
        Scope.TASKS_PUSH,
        reply=QueuedView,
        status=201,
        body=TaskBody,
        refusals=(400, 409, 413, 422, 503),
    ),
)
