"""What must be written and what must be told: the two halves of every answer of the board.

Owns `Change` (for the ledger), `Effect` (for the world, only after the commit) and `Answer`.
Never performs one. Order matters within each: changes are written, effects told, in the order given.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Raw, Struct

from hub.core.task import Task
from protocol.close import CloseCode
from protocol.frames import HubFrame
from protocol.ids import AgentId, InstanceId, MessageId, Seq, TaskId

# --- changes: rows of the ledger ---------------------------------------------------------------------------


class TaskSaved(Struct, frozen=True):
    """The whole task as it is now. The ledger writes it if the row still has `expected_version` (0: no row).

    One turn may move a task more than once; the batch then has one of these, with the first expectation.
    """

    task: Task
    expected_version: int


class EventLogged(Struct, frozen=True, kw_only=True):
    """A line of the feed. The ledger gives it its offset; `payload` is one JSON object."""

    event: str
    task_id: TaskId | None = None
    agent_id: AgentId | None = None
    generation: int | None = None
    timestamp: int
    payload: Raw = Raw(b"{}")


class MarkMoved(Struct, frozen=True):
    """The instance's highest applied fact is now `seq`. Dropped, with all later ones, when its task's change
    is.
    """

    instance_id: InstanceId
    seq: Seq
    task_id: TaskId | None


class Instance(Struct, frozen=True, kw_only=True):
    """What outlives the link of an instance."""

    instance_id: InstanceId
    agent_id: AgentId
    mark: Seq = Seq(0)
    boot_id: str = ""
    connection: int = 0
    seen_wall_ms: int = 0


class InstanceSaved(Struct, frozen=True):
    """Everything but the mark, which only `MarkMoved` raises, except at the first save and after a lost
    history.
    """

    instance: Instance


class AgentRecord(Struct, frozen=True, kw_only=True):
    """What the hub knows of a name across restarts."""

    agent_id: AgentId
    instance_id: InstanceId | None = None
    """The instance to which the name is bound."""
    name: str = ""
    capabilities: tuple[str, ...] = ()
    is_paused: bool = False
    first_seen_wall_ms: int = 0
    seen_wall_ms: int = 0


class AgentSaved(Struct, frozen=True):
    agent: AgentRecord


class StrayKept(Struct, frozen=True, kw_only=True):
    """A fact about a task that the hub does not know: kept and shown, never dropped."""

    agent_id: AgentId
    instance_id: InstanceId
    task_id: TaskId
    generation: int | None
    frame_type: str
    frame: Raw
    wall_ms: int


class MailKept(Struct, frozen=True, kw_only=True):
    """A message for an agent that is not there (or not known yet): at most MAILBOX_MAX a box, 7 days."""

    message_id: MessageId
    to: AgentId
    sender: str
    message_type: str
    payload: Raw
    reply_to: str | None
    wall_ms: int


LetterKind = Literal["final", "result"]
"""`final` is published on a channel, `result` is an entry of a stream."""


class LetterPosted(Struct, frozen=True, kw_only=True):
    """What Redis must hear, written down beside the end of its task: the outbox is emptied after the commit,
    by whichever life of the hub comes to it. Dropped when its task's change is.
    """

    kind: LetterKind
    key: str
    """Of the marker by which Redis knows that it has this one already."""
    target: str
    payload: Raw
    task_id: TaskId


class EpochRenewed(Struct, frozen=True):
    """The hub has found out that it lost history: cursors of the old epoch are answered with `reset`."""

    epoch: str
    reason: str
    generation_floor: int


Change = (
    TaskSaved
    | EventLogged
    | MarkMoved
    | InstanceSaved
    | AgentSaved
    | StrayKept
    | MailKept
    | LetterPosted
    | EpochRenewed
)

# --- effects: told after the commit ------------------------------------------------------------------------


class Tell(Struct, frozen=True):
    """Say a frame to one link. `about` names the task whose refused change takes this effect with it."""

    link_id: int
    frame: HubFrame
    about: TaskId | None = None


class TellOthers(Struct, frozen=True):
    """Say a frame to every identified link except this one (0: to all)."""

    link_id: int
    frame: HubFrame


class HangUp(Struct, frozen=True):
    """Close a link. Frames told to it before go out first. `hold` asks the link to wait before it closes,
    min(2^n, 60) s for a v1 client that redials for ever (contracts §1.1)."""

    link_id: int
    code: CloseCode
    reason: str
    hold: bool = False


class PassBy(Struct, frozen=True, kw_only=True):
    """Passing talk for the feed: no offset, may be lost. Progress, logs, usage, v1 reports."""

    event: str
    task_id: TaskId | None
    agent_id: AgentId | None
    generation: int | None
    timestamp: int
    payload: Raw


class AlertKind(StrEnum):
    CANCEL_OVERDUE = "cancel_overdue"
    AGENT_QUARANTINED = "agent_quarantined"
    HISTORY_LOST = "history_lost"
    STRAY_FACT = "stray_fact"


class RaiseAlert(Struct, frozen=True, kw_only=True):
    kind: AlertKind
    task_id: TaskId | None = None
    agent_id: AgentId | None = None
    detail: str = ""


Effect = Tell | TellOthers | HangUp | PassBy | RaiseAlert

# --- what the asker gets -----------------------------------------------------------------------------------


class RefusalKind(StrEnum):
    AGENT_NOT_CONNECTED = "agent_not_connected"
    AGENT_NOT_FOUND = "agent_not_found"
    TASK_NOT_FOUND = "task_not_found"
    INVALID_STATE = "invalid_state"
    KEY_REUSED = "key_reused"
    NO_SUCH_QUESTION = "no_such_question"
    ANSWER_CONFLICT = "answer_conflict"
    ANSWERS_TOO_BIG = "answers_too_big"
    OVERLOADED = "overloaded"
    UNIQUE_KEY_HELD = "unique_key_held"
    DEPENDENCY_NOT_FOUND = "dependency_not_found"


class Refusal(Struct, frozen=True, kw_only=True):
    """A value, not an exception: what a peer may do and we decline."""

    kind: RefusalKind
    task_id: TaskId | None = None
    agent_id: AgentId | None = None
    state: str | None = None
    reason: str | None = None


class Granted(Struct, frozen=True, kw_only=True):
    """Done, once it is durable. `note` is the word of the HTTP status member (`pushed`, `queued`,
    `cancelled`, …).
    """

    note: str
    task: Task | None = None
    agent_id: AgentId | None = None
    message_id: MessageId | None = None
    is_repeat: bool = False
    """The same idempotency key and body: this is the task of the first time."""


Reply = Granted | Refusal | None


class Answer(Struct, frozen=True):
    """All that follows from one event. `reply` is for whoever asked, and goes out after the commit."""

    changes: tuple[Change, ...] = ()
    effects: tuple[Effect, ...] = ()
    reply: Reply = None


class Wants(Struct, frozen=True):
    """Rows that are not on the board and that an event can only be decided with: the shell reads them
    first.
    """

    tasks: frozenset[TaskId] = frozenset()
    keys: frozenset[str] = frozenset()
    outcomes: frozenset[TaskId] = frozenset()
    """Tasks of which only must be known how they stand."""
