"""Every frame that is said to the hub, frozen and tagged with the wire's own name.

Owns what an agent may say, v1 and v2. Never touches bytes. Unknown members are ignored; optional ones may be
absent or null.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol import limits
from protocol.ids import AgentId, InstanceId, Seq
from protocol.members import (
    AgentName,
    Amount,
    AnyGeneration,
    AnyRequestId,
    AnySeq,
    AnyTaskId,
    Count,
    Frame,
    HeldList,
    Holdings,
    Json,
    JsonObject,
    OptionalJson,
    OptionalObject,
    OptionalSchemas,
    Percent,
    PluginVersions,
    Resting,
    SlotKinds,
    StopProof,
    Text,
    Word,
    Words,
    no_tuple,
    null,
)

# --- said to the hub: the session ---


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
    slot_kinds: SlotKinds = field(default_factory=dict)
    """Slots of a kind, beside the ordinary ones: a task that names the kind takes one of these."""
    resting: Resting | None = None
    labels: Annotated[dict[Word, Word], Meta(max_length=limits.CAPABILITIES_MAX)] = field(
        default_factory=dict
    )
    plugins: Words = ()
    plugin_versions: PluginVersions = field(default_factory=dict)
    """What version each of the plugins is, where they have one."""
    plugin_schemas: OptionalSchemas = None
    """What settings each of them takes, as JSON Schema 2020-12, for the forms that people fill in."""
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


# --- said to the hub: facts (numbered by v2 clients) ---


class Fact(Frame, frozen=True, kw_only=True):
    """Something that is on the sidecar's disk before it is said, and on the hub's before it is
    acknowledged."""

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
    fault: Word | None = None
    """`infrastructure`, `policy`, `time` or `person`, as far as the sidecar can tell; else the work's."""


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
    schema: OptionalObject = None


class InputAck(Fact, frozen=True, kw_only=True, tag="input_ack"):
    request_id: AnyRequestId


# --- said to the hub: passing talk ---


class TaskProgress(Frame, frozen=True, kw_only=True, tag="task_progress"):
    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    progress: Percent | None = None
    message: Text | None = None
    execution_event: OptionalObject = None
    dropped: Count = 0
    """Progress that was merged into this one or left out, since the last one that was said."""


class TaskLog(Frame, frozen=True, kw_only=True, tag="task_log"):
    task_id: AnyTaskId
    generation: AnyGeneration
    n: Count = field(default_factory=int)
    level: Word = field(default_factory=lambda: "info")
    kind: Word = field(default_factory=lambda: "output")
    text: Text = field(default_factory=str)
    data: OptionalJson = None


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
    resting: Resting | None = None
    """Why it takes no new work now, by its owner's own rules; absent means that it does."""


class Draining(Frame, frozen=True, kw_only=True, tag="draining"):
    """The sidecar wants to leave: it takes nothing new and finishes what it has."""


# --- said to the hub: as v1 clients say it ---


class TaskRecovering(Frame, frozen=True, kw_only=True, tag="task_recovering"):
    task_id: AnyTaskId
    generation: AnyGeneration | None = None
    last_status: Word | None = None
    description: Text | None = None
    metadata: OptionalObject = None


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
