"""All frames of the wire in one place: the unions, and which frames are facts.

Owns `AgentFrame` (said to the hub) and `HubFrame` (said by the hub). Import frames from here; the definitions
lie in `agentframes.py`, `hubframes.py` and `members.py`. Never touches bytes: `codec.py` does.
"""

from __future__ import annotations

from typing import Final, get_args

from protocol.agentframes import (
    AgentRestarting,
    Draining,
    Fact,
    Heartbeat,
    Identify,
    InputAck,
    InputRequired,
    ListAgents,
    Message,
    Ping,
    ResourceReport,
    StateReport,
    Status,
    TaskAccepted,
    TaskComplete,
    TaskDone,
    TaskFailed,
    TaskLog,
    TaskProgress,
    TaskRecovering,
    TaskRejected,
    TaskStopped,
    TaskUsage,
    WakeResult,
)
from protocol.hubframes import (
    AckStatus,
    AgentJoined,
    AgentLeft,
    Agents,
    ErrorFrame,
    Goaway,
    Identified,
    MessageDelivered,
    MessageSent,
    Pong,
    StateReportAck,
    StatusChanged,
    StatusUpdated,
    TaskAck,
    TaskAssign,
    TaskCancel,
    TaskCancelled,
    TaskContinue,
    TaskInput,
    TaskReassign,
    TaskRevoke,
)
from protocol.members import (
    EMPTY_OBJECT,
    NULL,
    AgentCard,
    FieldError,
    Frame,
    Held,
    Holding,
    Resting,
    StopProof,
)

__all__ = [
    "AGENT_FRAMES",
    "EMPTY_OBJECT",
    "FACT_TYPES",
    "HUB_FRAMES",
    "NULL",
    "V2_FEATURES",
    "AckStatus",
    "AgentCard",
    "AgentFrame",
    "AgentJoined",
    "AgentLeft",
    "AgentRestarting",
    "Agents",
    "Draining",
    "EndingFrame",
    "ErrorFrame",
    "Fact",
    "FactFrame",
    "FieldError",
    "Frame",
    "Goaway",
    "Heartbeat",
    "Held",
    "Holding",
    "HubFrame",
    "Identified",
    "Identify",
    "InputAck",
    "InputRequired",
    "ListAgents",
    "Message",
    "MessageDelivered",
    "MessageSent",
    "PassingFrame",
    "Ping",
    "Pong",
    "ResourceReport",
    "Resting",
    "StateReport",
    "StateReportAck",
    "Status",
    "StatusChanged",
    "StatusUpdated",
    "StopProof",
    "TaskAccepted",
    "TaskAck",
    "TaskAssign",
    "TaskCancel",
    "TaskCancelled",
    "TaskComplete",
    "TaskContinue",
    "TaskDone",
    "TaskFailed",
    "TaskInput",
    "TaskLog",
    "TaskProgress",
    "TaskReassign",
    "TaskRecovering",
    "TaskRejected",
    "TaskRevoke",
    "TaskStopped",
    "TaskUsage",
    "WakeResult",
    "frame_type",
]

FactFrame = (
    TaskAccepted
    | TaskRejected
    | TaskComplete
    | TaskFailed
    | TaskStopped
    | TaskDone
    | InputRequired
    | InputAck
)
"""What a v2 client numbers, journals and resends until it has a receipt."""

EndingFrame = TaskRejected | TaskComplete | TaskFailed | TaskStopped
"""The facts after which a generation is over: a sidecar journals exactly one of them a generation."""

PassingFrame = TaskProgress | TaskLog | TaskUsage
"""What may be lost, merged or dropped, with a gap said."""

AgentFrame = (
    Identify
    | Ping
    | Status
    | ListAgents
    | Message
    | TaskAccepted
    | TaskRejected
    | TaskComplete
    | TaskFailed
    | TaskStopped
    | TaskDone
    | InputRequired
    | InputAck
    | TaskProgress
    | TaskLog
    | TaskUsage
    | Heartbeat
    | Draining
    | TaskRecovering
    | StateReport
    | WakeResult
    | ResourceReport
    | AgentRestarting
)
"""Everything that may be said to the hub."""

HubFrame = (
    Identified
    | ErrorFrame
    | Pong
    | StatusUpdated
    | StatusChanged
    | Agents
    | AgentJoined
    | AgentLeft
    | MessageSent
    | MessageDelivered
    | TaskAssign
    | TaskAck
    | TaskContinue
    | TaskReassign
    | TaskCancelled
    | StateReportAck
    | TaskRevoke
    | TaskCancel
    | TaskInput
    | Goaway
)
"""Everything the hub may say to an agent."""

FACT_TYPES: Final[tuple[type[Fact], ...]] = get_args(FactFrame)
AGENT_FRAMES: Final[tuple[type[Frame], ...]] = get_args(AgentFrame)
HUB_FRAMES: Final[tuple[type[Frame], ...]] = get_args(HubFrame)

V2_FEATURES: Final = ("arrays", "input", "done", "usage", "slot_kinds", "resting", "fault")


def frame_type(frame: Frame | type[Frame]) -> str:
    """The wire's own name of a frame."""
    kind = frame if isinstance(frame, type) else type(frame)
    name = kind.__struct_config__.tag
    assert isinstance(name, str), f"{kind.__name__} has no tag"
    return name
