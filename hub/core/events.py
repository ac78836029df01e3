"""What can happen, in the past tense: everything the board is ever told.

Owns the values that links, the API and the clock turn into; never says what follows from them (`board.py`
does). An event that came over a link names its `Sender`, so that the board can tell the live link from a
ghost.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from hub.core.task import Spec
from protocol.frames import AgentFrame, Holding, Resting
from protocol.ids import AgentId, InstanceId, MessageId, RequestId, Seq, TaskId


class Sender(Struct, frozen=True):
    """Who said it, over which link. `link_id` is unique within one life of the hub."""

    link_id: int
    agent_id: AgentId
    instance_id: InstanceId
    version: int


# --- agents and links -------------------------------------------------------------------------------------


class AgentIdentified(Struct, frozen=True, kw_only=True):
    """An authenticated identify. For a v1 client `instance_id` is `v1:` and its token id, `holding` is
    None.
    """

    sender: Sender
    name: str
    status: str = "connected"
    capabilities: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    plugins: tuple[str, ...] = ()
    plugin_versions: dict[str, str] = {}
    features: tuple[str, ...] = ()
    client_type: str | None = None
    sdk: str | None = None
    slots: int = 1
    slot_kinds: dict[str, int] = {}
    resting: Resting | None = None
    boot_id: str = ""
    connection: int = 0
    seq_next: Seq = Seq(1)
    hub_epoch: str | None = None
    holding: tuple[Holding, ...] | None = None
    session_id: str = ""
    """Drawn by the shell; echoed in `identified`."""
    epoch_if_renewed: str = ""
    """Drawn by the shell: the new epoch, if this identify shows that the hub has lost history."""


class LinkLost(Struct, frozen=True, kw_only=True):
    """The socket is gone, for whatever reason; after this nothing more comes over it."""

    link_id: int
    reason: str = ""


class FrameHeard(Struct, frozen=True, kw_only=True):
    """Anything else an identified agent said: facts, passing talk, heartbeat, status, messages, v1 talk."""

    sender: Sender
    frame: AgentFrame
    message_id: MessageId | None = None
    """For `message` frames: drawn by the shell."""


class BadFactHeard(Struct, frozen=True, kw_only=True):
    """A fact with a readable number and an unreadable body: receipted `refused`, so that no gap blocks the
    instance.
    """

    sender: Sender
    seq: Seq
    task_id: TaskId | None


# --- people and programs over HTTP ------------------------------------------------------------------------


class TaskSubmitted(Struct, frozen=True, kw_only=True):
    task_id: TaskId
    spec: Spec
    must_be_connected: bool = False
    """True for push-task without `queue`: refused unless the agent's link is live and takes work."""


class CancelRequested(Struct, frozen=True, kw_only=True):
    task_id: TaskId
    by: str
    reason: str = "cancelled"


class RetryRequested(Struct, frozen=True, kw_only=True):
    task_id: TaskId
    new_task_id: TaskId
    by: str


class InputAnswered(Struct, frozen=True, kw_only=True):
    task_id: TaskId
    request_id: RequestId
    value: Raw
    by: str


class AgentPaused(Struct, frozen=True, kw_only=True):
    agent_id: AgentId
    by: str


class AgentUnpaused(Struct, frozen=True, kw_only=True):
    agent_id: AgentId
    by: str


class AgentDrainRequested(Struct, frozen=True, kw_only=True):
    """The hub wants the agent to finish and leave: no new work, `goaway` when its hands are empty."""

    agent_id: AgentId
    by: str


class AgentDisconnectRequested(Struct, frozen=True, kw_only=True):
    agent_id: AgentId
    by: str


class MessageSubmitted(Struct, frozen=True, kw_only=True):
    """A message to an agent, or to all (`to` None), that came over HTTP."""

    message_id: MessageId
    sender: str
    to: AgentId | None
    message_type: str
    payload: Raw
    reply_to: str | None = None


# --- the ledger ------------------------------------------------------------------------------------------


class TasksForgotten(Struct, frozen=True):
    """The rows of these ended tasks are gone: whoever asks for one, or repeats its key, hears of none."""

    task_ids: tuple[TaskId, ...]


# --- time -------------------------------------------------------------------------------------------------


class HubStarted(Struct, frozen=True):
    """The first letter of a hub's life: every held task becomes `recovering` with a fresh grace (T10)."""


class TimePassed(Struct, frozen=True):
    """`next_deadline()` has come; everything due is decided in one go."""


class HubDrained(Struct, frozen=True):
    """The operator stops this hub: no new assignments from now on; held work stays with its holders."""


Event = (
    AgentIdentified
    | LinkLost
    | FrameHeard
    | BadFactHeard
    | TaskSubmitted
    | CancelRequested
    | RetryRequested
    | InputAnswered
    | AgentPaused
    | AgentUnpaused
    | AgentDrainRequested
    | AgentDisconnectRequested
    | MessageSubmitted
    | HubStarted
    | TimePassed
    | HubDrained
    | TasksForgotten
)
