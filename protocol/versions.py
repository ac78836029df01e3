"""Who knows which frames: the two generations of client that share one endpoint.

Owns the tables of v1 frames and of the members that v2 added to them. Never translates a v2 frame into a v1
one: the hub decides what an old client is told instead.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from protocol.frames import (
    AgentJoined,
    AgentLeft,
    AgentRestarting,
    Agents,
    ErrorFrame,
    Frame,
    Identified,
    Identify,
    ListAgents,
    Message,
    MessageDelivered,
    MessageSent,
    Ping,
    Pong,
    ResourceReport,
    StateReport,
    StateReportAck,
    Status,
    StatusChanged,
    StatusUpdated,
    TaskAccepted,
    TaskAck,
    TaskAssign,
    TaskCancelled,
    TaskComplete,
    TaskContinue,
    TaskFailed,
    TaskProgress,
    TaskReassign,
    TaskRecovering,
    TaskRejected,
    WakeResult,
)

F = TypeVar("F", bound=Frame)

PROTOCOL_VERSION: Final = 2
"""What this code speaks; a peer that offers more is answered with this."""

V1_HUB_FRAMES: Final[frozenset[type[Frame]]] = frozenset(
    {
        Identified,
        ErrorFrame,
        Pong,
        StatusUpdated,
        StatusChanged,
        Agents,
        AgentJoined,
        AgentLeft,
        MessageSent,
        MessageDelivered,
        TaskAssign,
        TaskAck,
        TaskContinue,
        TaskReassign,
        TaskCancelled,
        StateReportAck,
    }
)
"""All that an old client may be told."""

V1_AGENT_FRAMES: Final[frozenset[type[Frame]]] = frozenset(
    {
        Identify,
        Ping,
        Status,
        ListAgents,
        Message,
        TaskAccepted,
        TaskRejected,
        TaskProgress,
        TaskComplete,
        TaskFailed,
        TaskRecovering,
        StateReport,
        WakeResult,
        ResourceReport,
        AgentRestarting,
    }
)
"""All that an old client says."""

V1_ACK_STATUSES: Final = frozenset({"accepted", "complete", "failed", "retried", "dead_letter"})

V2_MEMBERS: Final[dict[type[Frame], tuple[str, ...]]] = {
    Identified: tuple(name for name in Identified.__struct_fields__ if name != "agent_id"),
    TaskAck: ("seq", "generation"),
    TaskAssign: (
        "attempt",
        "attempts_max",
        "plugin",
        "slot",
        "inputs",
        "deadline_ms",
        "done",
        "answers",
        "trace",
    ),
}
"""Members of v1 frames that only a v2 peer is shown. All of them are optional."""


def as_v1(frame: F) -> F:
    """The frame as an old client may see it; the very same one when there is nothing to leave out."""
    hidden = {name: None for name in V2_MEMBERS.get(type(frame), ()) if getattr(frame, name) is not None}
    return msgspec.structs.replace(frame, **hidden) if hidden else frame
