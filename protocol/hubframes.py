"""Every frame that the hub says, frozen and tagged with the wire's own name.

Owns what an agent may be told, v1 and v2; `versions.py` says which is which. Never touches bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol import limits
from protocol.ids import AgentId, MessageId, Seq, TaskId
from protocol.members import (
    AgentCard,
    AnyGeneration,
    AnyRequestId,
    AnySeq,
    AnyTaskId,
    Count,
    FieldError,
    Frame,
    Held,
    Json,
    JsonObject,
    OptionalDone,
    OptionalInputs,
    OptionalJson,
    empty_object,
)

# --- said by the hub ---


class Identified(Frame, frozen=True, kw_only=True, tag="identified"):
    agent_id: AgentId
    # v2
    protocol_version: Count | None = None
    features: tuple[str, ...] | None = None
    session_id: str | None = None
    hub_epoch: str | None = None
    heartbeat_ms: Count | None = None
    lease_ms: Count | None = None
    accept_ms: Count | None = None
    frame_bytes_max: Count | None = None
    seq_received: Annotated[Seq, Meta(ge=0, le=limits.INTEGER_MAX)] | None = None
    keep: tuple[Held, ...] | None = None
    drop: tuple[Held, ...] | None = None
    adopted: tuple[Held, ...] | None = None


class ErrorFrame(Frame, frozen=True, kw_only=True, tag="error"):
    error: str
    task_id: AnyTaskId | None = None
    message_type: str | None = None
    index: Count | None = None
    retry_after_ms: Count | None = None
    errors: tuple[FieldError, ...] | None = None


class Pong(Frame, frozen=True, kw_only=True, tag="pong"):
    timestamp: Count


class StatusUpdated(Frame, frozen=True, kw_only=True, tag="status_updated"):
    pass


class StatusChanged(Frame, frozen=True, kw_only=True, tag="status_changed"):
    agent: AgentCard


class Agents(Frame, frozen=True, kw_only=True, tag="agents"):
    agents: tuple[AgentCard, ...]


class AgentJoined(Frame, frozen=True, kw_only=True, tag="agent_joined"):
    agent: AgentCard


class AgentLeft(Frame, frozen=True, kw_only=True, tag="agent_left"):
    agent_id: AgentId


class MessageSent(Frame, frozen=True, kw_only=True, tag="message_sent"):
    id: MessageId


class MessageDelivered(Frame, frozen=True, kw_only=True, tag="message"):
    id: MessageId
    from_: str = field(name="from")
    message_type: str
    payload: JsonObject
    timestamp: Count
    reply_to: str | None = None


class TaskAssign(Frame, frozen=True, kw_only=True, tag="task_assign"):
    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    assigned_at: Count | None = None
    description: str = field(default_factory=str)
    metadata: JsonObject = field(default_factory=empty_object)
    # v2
    attempt: Count | None = None
    attempts_max: Count | None = None
    plugin: str | None = None
    slot: str | None = None
    """The kind of slot that it takes; absent means an ordinary one."""
    inputs: OptionalInputs = None
    deadline_ms: Count | None = None
    done: OptionalDone = None
    answers: OptionalJson = None
    trace: str | None = None


AckStatus = Literal[
    "accepted",
    "complete",
    "failed",
    "retried",
    "dead_letter",
    "rejected",
    "stopped",
    "kept",
    "asked",
    "answered",
    "stale",
    "refused",
    "duplicate",
]


class TaskAck(Frame, frozen=True, kw_only=True, tag="task_ack"):
    """A receipt. `task_id` is empty where the fact was so bad that only its number could be read."""

    task_id: Annotated[TaskId, Meta(max_length=limits.TASK_ID_LENGTH_MAX)]
    status: AckStatus
    seq: AnySeq | None = None
    generation: AnyGeneration | None = None


class TaskContinue(Frame, frozen=True, kw_only=True, tag="task_continue"):
    task_id: AnyTaskId
    generation: AnyGeneration


class TaskReassign(Frame, frozen=True, kw_only=True, tag="task_reassign"):
    task_id: AnyTaskId


class TaskCancelled(Frame, frozen=True, kw_only=True, tag="task_cancelled"):
    """How a v1 client learns that it must forget a task."""

    task_id: AnyTaskId
    timestamp: Count


class StateReportAck(Frame, frozen=True, kw_only=True, tag="state_report_ack"):
    task_id: AnyTaskId
    action: Literal["continue", "abort"]


class TaskRevoke(Frame, frozen=True, kw_only=True, tag="task_revoke"):
    task_id: AnyTaskId
    generation: AnyGeneration
    reason: str


class TaskCancel(Frame, frozen=True, kw_only=True, tag="task_cancel"):
    task_id: AnyTaskId
    generation: AnyGeneration
    reason: str
    grace_ms: Count = field(default_factory=lambda: limits.CANCEL_GRACE_MS)


class TaskInput(Frame, frozen=True, kw_only=True, tag="task_input"):
    task_id: AnyTaskId
    request_id: AnyRequestId
    value: Json


class Goaway(Frame, frozen=True, kw_only=True, tag="goaway"):
    reason: str
    retry_in_ms: Count
