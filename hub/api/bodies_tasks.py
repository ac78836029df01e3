"""What callers may send to have work done: a push, a task for whoever can, and many at once.

Owns the fields of a task and their limits, and turns a body into its `Spec`. What other bodies share with it
is in `bodies.py`. Never reads a request and never asks the board.
"""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from hub.api.bodies import (
    KEY_LENGTH_MAX,
    AgentName,
    AgentNameOrNothing,
    Key,
    Labels,
    Name,
    OptionalRaw,
    WallMs,
    checked_inputs,
    checked_json,
    checked_text,
    checked_trace,
)
from hub.api.problems import invalid_field
from hub.core import rations
from hub.core.policy import HOUR_MS, MINUTE_MS, SECOND_MS, Policy
from hub.core.task import Backoff, Jitter, Priority, Rate, Spec
from protocol import limits
from protocol.ids import AgentId, TaskId

ATTEMPTS_MAX: Final = 100

DAY_MS: Final = 24 * HOUR_MS
TIMEOUT_MS_MAX: Final = 7 * DAY_MS
"""A run may take a week (reliability §3.3), and may be silent for as long."""

ACCEPT_MS_MIN: Final = 2 * SECOND_MS
ACCEPT_MS_MAX: Final = MINUTE_MS
LEASE_MS_MIN: Final = 3 * limits.HEARTBEAT_MS
"""Three heartbeats: one that is lost must not cost a run."""

LEASE_MS_MAX: Final = 10 * MINUTE_MS
PROGRESS_MS_MIN: Final = SECOND_MS
BACKOFF_MS_MAX: Final = DAY_MS

BATCH_TASKS_MAX: Final = 5_000
DEPENDENCIES_MAX: Final = 64
"""Each is looked up before the task is taken, and named in its row."""

CAPABILITIES_MAX: Final = limits.CAPABILITIES_MAX
DEMANDED_LABELS_MAX: Final = 16
"""Labels that an agent must carry, or had better: each is a word by which agents are found."""

SLOT_LENGTH_MAX: Final = 64
LIMIT_MAX: Final = 10_000
RATE_COUNT_MAX: Final = rations.RATE_COUNT_MAX
"""Starts of a key are remembered one by one, so that the rate holds in every window."""

RATE_PER_MS_MAX: Final = DAY_MS

REF_MARK: Final = "@"
"""How a dependency begins that is a `ref` of the same batch."""

PUSH_ATTEMPTS: Final = 1
TASK_ATTEMPTS: Final = 3

Attempts = Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)]
Milliseconds = Annotated[int, Meta(ge=1, le=TIMEOUT_MS_MAX)]
Capabilities = Annotated[tuple[Name, ...], Meta(max_length=CAPABILITIES_MAX)]
DemandedLabels = Annotated[dict[Name, Name], Meta(max_length=DEMANDED_LABELS_MAX)]


class PushTaskBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/push-task: to one named agent.

    `agent_id` and `description` are required; their absence has an answer of its own in the contract, so it
    is the endpoint that asks for them.
    """

    agent_id: AgentNameOrNothing | None = None
    description: str | None = None
    metadata: OptionalRaw = None
    plugin: Name | None = None
    inputs: OptionalRaw = None
    attempts_max: Attempts | None = None
    timeout_ms: Milliseconds | None = None
    idempotency_key: Key | None = None
    stream_id: Key | None = None
    queue: bool | None = None


class BackoffBody(Struct, frozen=True, kw_only=True):
    """How long to wait before another try: `first_ms`, then twice as long each time, at most `max_ms`.

    Of that a die takes a part: the upper `half` of it, or the `full` length.
    """

    first_ms: Annotated[int, Meta(ge=1, le=BACKOFF_MS_MAX)] | None = None
    max_ms: Annotated[int, Meta(ge=1, le=BACKOFF_MS_MAX)] | None = None
    jitter: Jitter | None = None


class RateBody(Struct, frozen=True, kw_only=True):
    """At most `count` tasks of the concurrency key begin within any `per_ms`."""

    count: Annotated[int, Meta(ge=1, le=RATE_COUNT_MAX)]
    per_ms: Annotated[int, Meta(ge=1, le=RATE_PER_MS_MAX)]


class TaskBody(Struct, frozen=True, kw_only=True):
    """POST /api/tasks: to whoever can. `description` is required (its absence is 400, not 422)."""

    description: str | None = None
    metadata: OptionalRaw = None
    priority: Literal["urgent", "high", "normal", "low"] | None = None
    assign_to: AgentName | None = None
    needed_capabilities: Capabilities | None = None
    plugin: Name | None = None
    inputs: OptionalRaw = None
    labels: Labels | None = None
    attempts_max: Attempts | None = None
    timeout_ms: Milliseconds | None = None
    start_by: WallMs | None = None
    run_at: WallMs | None = None
    stream_id: Key | None = None
    idempotency_key: Key | None = None
    backoff: BackoffBody | None = None
    unique_key: Key | None = None
    depends_on: Annotated[tuple[Key, ...], Meta(max_length=DEPENDENCIES_MAX)] | None = None
    needed_labels: DemandedLabels | None = None
    preferred_labels: DemandedLabels | None = None
    slot: Annotated[str, Meta(min_length=1, max_length=SLOT_LENGTH_MAX)] | None = None
    sticky_key: Key | None = None
    concurrency_key: Key | None = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] | None = None
    rate: RateBody | None = None
    accept_timeout_ms: Annotated[int, Meta(ge=ACCEPT_MS_MIN, le=ACCEPT_MS_MAX)] | None = None
    lease_ms: Annotated[int, Meta(ge=LEASE_MS_MIN, le=LEASE_MS_MAX)] | None = None
    progress_timeout_ms: Annotated[int, Meta(ge=PROGRESS_MS_MIN, le=TIMEOUT_MS_MAX)] | None = None


class BatchItemBody(TaskBody, frozen=True, kw_only=True):
    """A task of a batch. Others of the batch may depend on it as `@` and its `ref`."""

    ref: Annotated[str, Meta(min_length=1, max_length=SLOT_LENGTH_MAX)] | None = None


class BatchBody(Struct, frozen=True, kw_only=True):
    """POST /api/tasks/batch: each item stands alone."""

    tasks: Annotated[tuple[Raw, ...], Meta(max_length=BATCH_TASKS_MAX)]


# --- the key of a body --------------------------------------------------------------------------------------

FIRST_COUNT: Final = TaskBody.__struct_fields__.index("depends_on") + 1
FIRST_FIELDS: Final = TaskBody.__struct_fields__[:FIRST_COUNT]
LATER_FIELDS: Final = TaskBody.__struct_fields__[FIRST_COUNT:]
"""The first ones count also where they are absent. Later ones count where they are said: keys that an older
hub has taken stay good."""

first_of: Final = attrgetter(*FIRST_FIELDS)
later_of: Final = attrgetter(*LATER_FIELDS)


def fingerprint(body: PushTaskBody | TaskBody) -> str:
    """What tells the same request from another one under the same key. The key itself does not count, nor
    does the `ref` of a batch: who repeats a request may name it otherwise.
    """
    if isinstance(body, PushTaskBody):
        said = msgspec.json.encode(msgspec.structs.replace(body, idempotency_key=None))
        return hashlib.sha256(PushTaskBody.__name__.encode() + said).hexdigest()
    members = dict(zip(FIRST_FIELDS, first_of(body), strict=True))
    members["idempotency_key"] = None
    for name, value in zip(LATER_FIELDS, later_of(body), strict=True):
        if value is not None:
            members[name] = value
    return hashlib.sha256(TaskBody.__name__.encode() + msgspec.json.encode(members)).hexdigest()


# --- specs --------------------------------------------------------------------------------------------------


class Streaming(Struct):
    """What of a task's metadata names the channel on which its caller listens."""

    stream_id: Any = msgspec.field(name="streamId", default=None)


def checked_stream_id(field: str | None, metadata: Raw) -> str | None:
    """The channel of a task: the field, or else `metadata.streamId` when that is a text (contracts §4)."""
    if field is not None:
        return field
    named = msgspec.json.decode(metadata, type=Streaming).stream_id
    if not isinstance(named, str) or not named:
        return None
    if len(named) > KEY_LENGTH_MAX:
        raise invalid_field("metadata.streamId", "too_long", f"At most {KEY_LENGTH_MAX} characters.")
    return named


def checked_backoff(body: BackoffBody | None) -> Backoff | None:
    """What is left out is as everywhere else."""
    if body is None:
        return None
    policy = Policy()
    backoff = Backoff(
        first_ms=body.first_ms or min(policy.backoff_first_ms, body.max_ms or policy.backoff_first_ms),
        max_ms=body.max_ms or max(policy.backoff_max_ms, body.first_ms or 0),
        jitter=body.jitter or "half",
    )
    if backoff.first_ms > backoff.max_ms:
        raise invalid_field("backoff.max_ms", "invalid", "It may not be less than first_ms.")
    return backoff


def checked_rate(body: TaskBody) -> Rate | None:
    """A limit and a rate are those of a key."""
    if body.limit is None and body.rate is None:
        return None
    if body.concurrency_key is None:
        field = "limit" if body.rate is None else "rate"
        raise invalid_field(field, "invalid", "It needs a concurrency_key: of what is this the limit?")
    return None if body.rate is None else Rate(count=body.rate.count, per_ms=body.rate.per_ms)


def checked_dependencies(named: tuple[str, ...] | None) -> tuple[TaskId, ...]:
    """Task ids, each once. References are for the items of a batch, and resolved by then."""
    if not named:
        return ()
    for name in named:
        if name.startswith(REF_MARK):
            raise invalid_field(
                "depends_on", "not_found", f"{name} names an item of a batch, and this is none."
            )
    return tuple(TaskId(name) for name in dict.fromkeys(named))


def spec_of_push(body: PushTaskBody, *, key: str | None, by: str, wall_ms: int, trace: str | None) -> Spec:
    metadata = checked_json(body.metadata, "metadata", must_be_object=True) or Raw(b"{}")
    return Spec(
        description=checked_text(body.description, "description"),
        metadata=metadata,
        plugin=body.plugin,
        inputs=checked_inputs(body.inputs),
        assign_to=AgentId(body.agent_id or ""),
        attempts_max=body.attempts_max or PUSH_ATTEMPTS,
        timeout_ms=body.timeout_ms,
        stream_id=checked_stream_id(body.stream_id, metadata),
        idempotency_key=key,
        fingerprint=fingerprint(body) if key is not None else "",
        trace=checked_trace(trace),
        submitted_by=by,
        submitted_wall_ms=wall_ms,
    )


def spec_of_task(
    body: TaskBody,
    *,
    key: str | None,
    by: str,
    wall_ms: int,
    trace: str | None,
    depends_on: tuple[str, ...] | None = None,
) -> Spec:
    """`depends_on` takes the place of the body's own, where that has references of a batch."""
    metadata = checked_json(body.metadata, "metadata", must_be_object=True) or Raw(b"{}")
    return Spec(
        description=checked_text(body.description, "description"),
        metadata=metadata,
        plugin=body.plugin,
        inputs=checked_inputs(body.inputs),
        labels=body.labels or {},
        priority=Priority[(body.priority or "normal").upper()],
        assign_to=AgentId(body.assign_to) if body.assign_to is not None else None,
        needed_capabilities=tuple(body.needed_capabilities or ()),
        needed_labels=body.needed_labels or {},
        preferred_labels=body.preferred_labels or {},
        slot=body.slot or "",
        sticky_key=body.sticky_key,
        concurrency_key=body.concurrency_key,
        limit=body.limit,
        rate=checked_rate(body),
        unique_key=body.unique_key,
        depends_on=checked_dependencies(body.depends_on if depends_on is None else depends_on),
        attempts_max=body.attempts_max or TASK_ATTEMPTS,
        backoff=checked_backoff(body.backoff),
        timeout_ms=body.timeout_ms,
        accept_ms=body.accept_timeout_ms,
        lease_ms=body.lease_ms,
        progress_ms=body.progress_timeout_ms,
        start_by_wall_ms=body.start_by,
        run_at_wall_ms=body.run_at,
        stream_id=checked_stream_id(body.stream_id, metadata),
        idempotency_key=key,
        fingerprint=fingerprint(body) if key is not None else "",
        trace=checked_trace(trace),
        submitted_by=by,
        submitted_wall_ms=wall_ms,
    )
