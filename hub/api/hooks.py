"""Webhooks: POST /api/hooks/{name} starts a task, POST /api/callbacks/{task_id} reports on one.

Owns who is believed (a signature, or the token of this very call) and the way from a body to a letter. Never
answers 2xx before the receipt, and never says why a signature was not believed.
"""

from __future__ import annotations

import logging
import secrets
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from hub.api import problems
from hub.api.bodies import OptionalRaw, judged, task_id_of
from hub.api.bodies_tasks import TaskBody, spec_of_task
from hub.api.endpoint import Call, Endpoint, Told, address_of, bearer_of, decode, read_body
from hub.api.problems import Problem
from hub.api.submit import TASK_ID_BYTES, task_of
from hub.audit import NOBODY
from hub.core.events import TaskSubmitted
from hub.core.task import State, Task
from hub.inner.job import Undelivered
from hub.webhooks import signing
from hub.webhooks.config import Hook
from hub.webhooks.signing import Unsigned
from hub.webhooks.template import MemberMissing, filled
from protocol import limits
from protocol.frames import AckStatus
from protocol.ids import Generation, TaskId

HOOK_BYTES_MAX: Final = 256 * limits.KIB
"""Of a call that starts a task: its inputs come out of it."""

CALLBACK_BYTES_MAX: Final = limits.RESULT_BYTES_MAX + 16 * limits.KIB
"""A result, and what is around it."""

RETRY_AFTER_MS_MAX: Final = 3_600_000

logger = logging.getLogger(__name__)


class HookView(Struct, frozen=True, kw_only=True):
    status: str
    task_id: TaskId


class CallbackBody(Struct, frozen=True, kw_only=True):
    """One of `result`, `error`, or how far it is."""

    result: OptionalRaw = None
    error: Annotated[str, Meta(max_length=limits.TEXT_LENGTH_MAX)] | None = None
    retryable: bool | None = None
    retry_after_ms: Annotated[int, Meta(ge=0, le=RETRY_AFTER_MS_MAX)] | None = None
    progress: Annotated[float, Meta(ge=0, le=100)] | None = None
    message: Annotated[str, Meta(max_length=limits.TEXT_LENGTH_MAX)] | None = None
    generation: int | None = None


class CallbackView(Struct, frozen=True, kw_only=True):
    status: str
    task_id: TaskId


# --- in: a call starts a task -------------------------------------------------------------------------------


async def start_by_hook(call: Call) -> Told:
    """A signed call from outside. Its id is the key: sent again, it is the task of the first time."""
    hook = call.parts.webhooks.hooks.get(call.path("name"))
    if hook is None:
        raise Problem(404, "not_found", "This hub has no webhook of that name.")
    raw = await read_body(call.request, call.endpoint.body_bytes_max)
    call_id = signing.check(hook.keys, call.request.headers, raw, now_s(call))
    if isinstance(call_id, Unsigned):
        raise not_believed(call, f"hook {hook.name}", call_id)
    by = f"hook:{hook.name}"
    now = call.parts.clock.now()
    wait_ms = call.parts.throttle.pushed(by, now.ms)
    if wait_ms is not None:
        raise problems.rate_limited(wait_ms)
    spec = spec_of_task(
        body_of_hook(hook, decode(raw, object)),
        key=f"{by}:{call_id}",
        by=by,
        wall_ms=now.wall_ms,
        trace=call.request.headers.get("traceparent"),
    )
    event = TaskSubmitted(task_id=task_id_of(secrets.token_bytes(TASK_ID_BYTES)), spec=spec)
    task = task_of(await call.ask(event))
    call.parts.audit.jot("task_pushed", by, task.task_id, address=address_of(call.request))
    return Told(202, HookView(status="queued", task_id=task.task_id))


def body_of_hook(hook: Hook, body: Any) -> TaskBody:
    """What the hook asks for, as if somebody had pushed it."""
    table = hook.table
    try:
        description = filled(table.description, body)
        inputs = body if table.inputs is None else filled(table.inputs, body)
    except MemberMissing as missing:
        raise problems.invalid_field(
            missing.path, "missing", "This webhook takes its task from it."
        ) from None
    return TaskBody(
        description=description
        if isinstance(description, str)
        else msgspec.json.encode(description).decode(),
        inputs=Raw(msgspec.json.encode(inputs)),
        plugin=table.plugin or None,
        assign_to=table.agent_id or None,
        needed_capabilities=(table.capability,) if table.capability else None,
        timeout_ms=table.timeout_ms,
    )


# --- back: whoever was called reports -----------------------------------------------------------------------


async def call_back(call: Call) -> Told:
    """Progress, the result, or an error, from whoever was called for this task."""
    raw = await read_body(call.request, call.endpoint.body_bytes_max)
    task_id = TaskId(call.path("task_id"))
    task = call.parts.board.view_task(task_id) or await call.parts.queries.task(task_id)
    why_not = why_not_believed(call, task, raw)
    if task is None or why_not is not None:
        raise not_believed(call, f"callback {task_id}", why_not or Unsigned("there is no such task"))
    body = decode(raw, CallbackBody)
    if body.generation not in (None, task.generation):
        raise wrong_state(task)
    result = none_for_null(body.result)
    if (result is not None) + (body.error is not None) + is_progress(body) != 1:
        raise problems.invalid_field("result", "invalid", "Expected one of result, error, and progress.")
    if not call.parts.webhooks.agent.is_running:
        raise problems.overloaded()
    if result is not None:
        return await take_result(
            call, task, judged(bytes(result), "result", bytes_max=limits.RESULT_BYTES_MAX)
        )
    if body.error is not None:
        return await take_error(call, task, body, body.error)
    return take_progress(call, task, body)


def none_for_null(raw: Raw | None) -> Raw | None:
    return None if raw is None or bytes(raw) == b"null" else raw


def is_progress(body: CallbackBody) -> bool:
    return body.progress is not None or body.message is not None


async def take_result(call: Call, task: Task, result: Raw) -> Told:
    if not task.is_final:
        agent = call.parts.webhooks.agent
        status = await agent.complete(task.task_id, Generation(task.generation), result)
        if status not in ("stale", "duplicate"):
            return Told(200, CallbackView(status=status, task_id=task.task_id))
    return said_again(call, task, "complete", State.COMPLETED)


async def take_error(call: Call, task: Task, body: CallbackBody, error: str) -> Told:
    failure = Undelivered(
        error=error or "it failed without a reason",
        is_retryable=body.retryable is not False,
        retry_after_ms=body.retry_after_ms or 0,
    )
    if not task.is_final:
        status = await call.parts.webhooks.agent.fail(task.task_id, task.generation, failure)
        if status not in ("stale", "duplicate"):
            return Told(200, CallbackView(status=status, task_id=task.task_id))
    return said_again(call, task, "failed", State.FAILED, State.DEAD_LETTER, State.QUEUED)


def take_progress(call: Call, task: Task, body: CallbackBody) -> Told:
    agent = call.parts.webhooks.agent
    job = agent.jobs.get(task.task_id)
    if task.is_final or job is None or job.generation != task.generation:
        raise wrong_state(task)
    message = None if body.message is None else body.message.replace("\0", "\N{REPLACEMENT CHARACTER}")
    agent.progress(job, body.progress, message)
    return Told(202, CallbackView(status="noted", task_id=task.task_id))


def said_again(call: Call, task: Task, status: AckStatus, *as_it_would_be: State) -> Told:
    """The same report once more is as good as the first; another one is too late."""
    now = call.parts.board.view_task(task.task_id) or task
    if now.state in as_it_would_be:
        return Told(200, CallbackView(status=status, task_id=task.task_id))
    raise wrong_state(now)


def wrong_state(task: Task) -> Problem:
    return Problem(
        409,
        "invalid_state",
        "This call is not waited for any more.",
        members={"task_id": task.task_id, "state": task.state.value, "generation": task.generation},
    )


# --- who is believed ----------------------------------------------------------------------------------------


def why_not_believed(call: Call, task: Task | None, raw: bytes) -> Unsigned | None:
    """The token of this call's generation, or a signature of the place that was called."""
    if task is None:
        return Unsigned("there is no such task")
    calls = call.parts.webhooks.calls
    holder = task.holder or task.last_holder
    if holder is None or holder.agent_id != call.parts.webhooks.agent.agent_id:
        return Unsigned("nobody was called for it")
    token = bearer_of(call.request)
    if token is not None:
        return None if calls.believes(task, token) else Unsigned("it is not the token of this call")
    place = calls.place_of(task)
    if place is None:
        return Unsigned("nobody is called for this plugin")
    checked = signing.check(place.keys, call.request.headers, raw, now_s(call))
    return checked if isinstance(checked, Unsigned) else None


def now_s(call: Call) -> int:
    return call.parts.clock.now().wall_ms // 1000


def not_believed(call: Call, what: str, why: Unsigned) -> Problem:
    """401, and after too many of them from one address 429."""
    parts, address = call.parts, address_of(call.request)
    logger.warning("! %s was not believed: %s", what, why.reason, extra={"address": address})
    wait_ms = parts.throttle.failed(address, parts.clock.now().ms)
    if wait_ms is not None:
        return problems.rate_limited(wait_ms)
    parts.audit.refused(NOBODY, f"{call.request.method} {call.request.url.path} unsigned", address=address)
    return Problem(
        401,
        "unauthorized",
        "The signature is missing, old, or of another secret.",
        members={"hint": "sign the request as Standard Webhooks: webhook-id, -timestamp and -signature"},
    )


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/hooks/{name}",
        "Start a task by a signed webhook",
        start_by_hook,
        None,
        reply=HookView,
        status=202,
        body_bytes_max=HOOK_BYTES_MAX,
        refusals=(400, 401, 404, 409, 413, 422, 429, 503),
        tag="webhooks",
    ),
    Endpoint(
        "POST",
        "/api/callbacks/{task_id}",
        "Report on a task that this hub has called a webhook for",
        call_back,
        None,
        reply=CallbackView,
        body=CallbackBody,
        body_bytes_max=CALLBACK_BYTES_MAX,
        refusals=(400, 401, 409, 413, 422, 429, 503),
        tag="webhooks",
    ),
)
