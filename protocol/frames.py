"""Every frame of the wire, frozen and tagged with the wire's own name.

Owns the two unions `AgentFrame` (said to the hub) and `HubFrame` (said by the hub) and which frames are facts.
Never touches bytes: `codec.py` does. Unknown members are ignored; optional members may be absent or null.
A free-form member is `msgspec.Raw`: always JSON text here, whatever the wire, and never built into objects.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Raw, Struct, field

from protocol import limits
from protocol.ids import AgentId, Generation, InstanceId, MessageId, RequestId, Seq, TaskId

Count = Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]
Word = Annotated[str, Meta(max_length=limits.NAME_LENGTH_MAX)]
Text = Annotated[str, Meta(max_length=limits.TEXT_LENGTH_MAX)]
Percent = Annotated[int, Meta(ge=0, le=100)] | Annotated[float, Meta(ge=0, le=100)]
Words = Annotated[tuple[Word, ...], Meta(max_length=limits.CAPABILITIES_MAX)]
Amount = Annotated[float, Meta(ge=0, le=limits.INTEGER_MAX)]
"""A bound on both sides also refuses NaN and the infinities that MessagePack could carry."""

AnyTaskId = Annotated[TaskId, Meta(min_length=1, max_length=limits.TASK_ID_LENGTH_MAX)]
"""Ours have a pattern; v1 clients were recorded with others, so hearing asks for a length only."""

AnyRequestId = Annotated[RequestId, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
AnyGeneration = Annotated[Generation, Meta(ge=0, le=limits.INTEGER_MAX)]
AnySeq = Annotated[Seq, Meta(ge=1, le=limits.INTEGER_MAX)]
AgentName = Annotated[
    AgentId,
    Meta(
        min_length=1,
        max_length=limits.AGENT_ID_LENGTH_MAX,
        pattern=r"^(?!broadcast$)[^\x00-\x1f\x7f-\x9f]+$",
        description="no control characters; `broadcast` is taken: it is the address of everybody",
    ),
]

# Free-form members. The bound is kept by the codec, which finds it here.
Json = Annotated[Raw, Meta(extra={"bytes_max": limits.RESULT_BYTES_MAX})]
JsonObject = Annotated[
    Raw, Meta(extra={"bytes_max": limits.METADATA_BYTES_MAX}, extra_json_schema={"type": "object"})
]
AnyInputs = Annotated[Raw, Meta(extra={"bytes_max": limits.METADATA_BYTES_MAX})]
DoneJson = Annotated[Raw, Meta(extra={"bytes_max": limits.DONE_BYTES_MAX})]


NULL: Final = Raw(b"null")
EMPTY_OBJECT: Final = Raw(b"{}")
"""Shared, so that the codec knows a default from something said."""


def null() -> Raw:
    return NULL


def empty_object() -> Raw:
    return EMPTY_OBJECT


def no_tuple() -> tuple[()]:
    """An empty list that is said all the same: `tuple` itself as a factory would be omitted."""
    return ()


class Frame(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """One thing said. A default that must be visible on the wire has a factory, because those are never omitted."""


# --- parts of frames -------------------------------------------------------------------------------------------


class Holding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One generation with a live run, or with a fact that has no receipt yet."""

    task_id: AnyTaskId
    generation: AnyGeneration
    state: Literal["accepted", "running", "asking", "result_pending"] = field(
        default_factory=lambda: "running"
    )


class Held(Struct, frozen=True, kw_only=True):
    task_id: AnyTaskId
    generation: AnyGeneration


class AgentCard(Struct, frozen=True, kw_only=True):
    """The five fields by which agents see each other."""

    agent_id: AgentId
    name: str
    status: str
    capabilities: tuple[str, ...]
    connected_at: Count


class FieldError(Struct, frozen=True, kw_only=True):
    field: str
    error: str
    detail: str


class StopProof(Struct, frozen=True, kw_only=True):
    """How the process group of a run ended: signals sent, processes reaped, processes still alive (0 when proven)."""

    signals: tuple[str, ...] = ()
    reaped: Count = 0
    survivors: Count = 0


Holdings = Annotated[tuple[Holding, ...], Meta(max_length=limits.HOLDING_MAX)]
HeldList = Annotated[tuple[Held, ...], Meta(max_length=limits.HOLDING_MAX)]

# --- said to the hub: the session ------------------------------------------------------------------------------


class Identify(Frame, frozen=True, kw_only=True, tag="identify"):
    agent_id: AgentName
    token: Text | None = None
    name: Word | None = None
    status: Word = "connected"
    capabilities: Words = ()
    protocol_version: Count = 1
    client_type: Word | None = None
    # v2
    instance_id: Annotated[InstanceId, Meta(min_length=1, max_length=limits.AGENT_ID_LENGTH_MAX)] | None = (
        None
    )
    boot_id: Word | None = None
    connection: Count = field(default_factory=int)
    seq_next: AnySeq = field(default_factory=lambda: Seq(1))
    hub_epoch: Word | None = None
    slots: Annotated[int, Meta(ge=1, le=limits.SLOTS_MAX)] = field(default_factory=lambda: 1)
    labels: Annotated[dict[Word, Word], Meta(max_length=limits.CAPABILITIES_MAX)] = field(
        default_factory=dict
    )
    plugins: Words = ()
    sdk: Word | None = None
    features: Words = ()
    holding: Holdings = field(default_factory=no_tuple)


class Ping(Frame, frozen=True, kw_only=True, tag="ping"):
    pass


class Status(Frame, frozen=True, kw_only=True, tag="status"):
    status: Word


class ListAgents(Frame, frozen=True, kw_only=True, tag="list_agents"):
    pass


class Message(Frame, frozen=True, kw_only=True, tag="message"):
    payload: JsonObject
    to: Annotated[AgentId, Meta(max_length=limits.AGENT_ID_LENGTH_MAX)] | None = None
    message_type: Word = "chat"
    reply_to: Word | None = None


# --- said to the hub: facts (numbered by v2 clients) -----------------------------------------------------------


class Fact(Frame, frozen=True, kw_only=True):
    """Something that is on the sidecar's disk before it is said, and on the hub's before it is acknowledged."""

    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    seq: AnySeq | None = None


class TaskAccepted(Fact, frozen=True, kw_only=True, tag="task_accepted"):
    pass


class TaskRejected(Fact, frozen=True, kw_only=True, tag="task_rejected"):
    reason: Word = field(default_factory=lambda: "busy")


class TaskComplete(Fact, frozen=True, kw_only=True, tag="task_complete"):
    result: Json = field(default_factory=null)
    tokens_used: Count | None = None


class TaskFailed(Fact, frozen=True, kw_only=True, tag="task_failed"):
    error: Text | None = None
    reason: Text | None = None
    retryable: bool = field(default_factory=lambda: True)
    retry_after_ms: Count | None = None


class TaskStopped(Fact, frozen=True, kw_only=True, tag="task_stopped"):
    how: Literal["cooperative", "terminated", "killed", "was_not_running"]
    proof: StopProof = field(default_factory=StopProof)


class TaskDone(Fact, frozen=True, kw_only=True, tag="task_done"):
    """One step of a crew is finished and kept. No ending: the run goes on."""

    index: Count
    output: Json


class InputRequired(Fact, frozen=True, kw_only=True, tag="input_required"):
    request_id: AnyRequestId
    prompt: Text
    schema: JsonObject | None = None


class InputAck(Fact, frozen=True, kw_only=True, tag="input_ack"):
    request_id: AnyRequestId


# --- said to the hub: passing talk -----------------------------------------------------------------------------


class TaskProgress(Frame, frozen=True, kw_only=True, tag="task_progress"):
    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    progress: Percent | None = None
    message: Text | None = None
    execution_event: JsonObject | None = None
    dropped: Count = 0
    """Progress that was merged into this one or left out, since the last one that was said."""


class TaskLog(Frame, frozen=True, kw_only=True, tag="task_log"):
    task_id: AnyTaskId
    generation: AnyGeneration
    n: Count = field(default_factory=int)
    level: Word = field(default_factory=lambda: "info")
    kind: Word = field(default_factory=lambda: "output")
    text: Text = field(default_factory=str)
    data: Json | None = None


class TaskUsage(Frame, frozen=True, kw_only=True, tag="task_usage"):
    """Cumulative for the generation, so that a lost one costs nothing."""

    task_id: AnyTaskId
    generation: AnyGeneration
    tokens_in: Count = field(default_factory=int)
    tokens_out: Count = field(default_factory=int)
    model: Word | None = None
    cost: Amount | None = None


class Heartbeat(Frame, frozen=True, kw_only=True, tag="heartbeat"):
    as_of_seq: Annotated[Seq, Meta(ge=0, le=limits.INTEGER_MAX)]
    tasks: HeldList = field(default_factory=no_tuple)
    load: Amount | None = None


class Draining(Frame, frozen=True, kw_only=True, tag="draining"):
    """The sidecar wants to leave: it takes nothing new and finishes what it has."""


# --- said to the hub: as v1 clients say it ---------------------------------------------------------------------


class TaskRecovering(Frame, frozen=True, kw_only=True, tag="task_recovering"):
    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    last_status: Word | None = None
    description: Text | None = None
    metadata: Json | None = None


class StateReport(Frame, frozen=True, kw_only=True, tag="state_report"):
    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    status: Word | None = None


class WakeResult(Frame, frozen=True, kw_only=True, tag="wake_result"):
    task_id: AnyTaskId | None = None
    status: Word | None = None
    attempt: Count | None = None


class ResourceReport(Frame, frozen=True, kw_only=True, tag="resource_report"):
    """What a machine says about itself."""

    cpu_percent: Amount | None = None
    ram_used_bytes: Count | None = None
    ram_total_bytes: Count | None = None


class AgentRestarting(Frame, frozen=True, kw_only=True, tag="agent_restarting"):
    reason: Word | None = None


# --- said by the hub -------------------------------------------------------------------------------------------


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
    inputs: AnyInputs | None = None
    deadline_ms: Count | None = None
    done: DoneJson | None = None
    answers: Json | None = None
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


# --- the unions ------------------------------------------------------------------------------------------------

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

V2_FEATURES: Final = ("arrays", "input", "done", "usage")


def frame_type(frame: Frame | type[Frame]) -> str:
    """The wire's own name of a frame."""
    kind = frame if isinstance(frame, type) else type(frame)
    name = kind.__struct_config__.tag
    assert isinstance(name, str), f"{kind.__name__} has no tag"
    return name
