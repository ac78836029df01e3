"""What can happen to one task, in the past tense, and what a move answers.

Owns the keys of `MOVES`, the `Moment` in which a move is made, and its `Decision`. The board translates
letters (`events.py`) into these; never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw, Struct

from hub.core.dependencies import Outcome
from hub.core.policy import Policy
from hub.core.task import Fault, Holder, Now, Task
from protocol.frames import AckStatus, HubFrame, StopProof
from protocol.ids import RequestId, TaskId


class Happening(Struct, frozen=True):
    """Something that has happened to one task."""


# --- on the hub's side of the wire ------------------------------------------------------------------------


class Matched(Happening, frozen=True):
    """A seat was found for it."""

    holder: Holder


class CancelAsked(Happening, frozen=True):
    by: str
    reason: str
    is_reachable: bool
    """Whether the holder's link is live, so that the proof can be waited for."""


class AnswerGiven(Happening, frozen=True):
    """A person has answered the run's question."""

    value: Raw
    by: str


class PublisherMissing(Happening, frozen=True):
    """It is to be done by workers behind a Redis, and this hub has none."""


class DependencyCompleted(Happening, frozen=True):
    """A task that it waits for has completed."""

    task_id: TaskId


class DependencyFailed(Happening, frozen=True):
    """A task that it waits for has ended otherwise, or is gone: it will never complete."""

    outcome: Outcome


# --- facts of its holder ----------------------------------------------------------------------------------


class Accepted(Happening, frozen=True):
    pass


class Rejected(Happening, frozen=True):
    reason: str


class Completed(Happening, frozen=True):
    result: Raw
    tokens_used: int | None = None


class Failed(Happening, frozen=True):
    """The run ended without a result."""

    error: str
    is_retryable: bool = True
    retry_after_ms: int = 0
    is_crash: bool = False
    """The sidecar died under it: infrastructure, not work."""
    is_timeout: bool = False
    """The sidecar ended it because its time was over."""
    fault: Fault = Fault.WORK
    """Whose fault that was, as far as the sidecar can tell."""


class Stopped(Happening, frozen=True):
    how: str
    proof: StopProof


class StepDone(Happening, frozen=True):
    index: int
    output: Raw


class Asked(Happening, frozen=True):
    request_id: RequestId
    prompt: str
    schema: Raw | None = None


class AnswerTaken(Happening, frozen=True):
    """The run has the answer."""

    request_id: RequestId


# --- the holder and its link ------------------------------------------------------------------------------


class SignOfLife(Happening, frozen=True):
    """A heartbeat that lists it, or talk of the run itself: progress, a log line, usage."""

    is_talk: bool = False


class HolderLost(Happening, frozen=True):
    """The link is gone, or the hub has just started and knows of no link."""

    is_fresh: bool = False
    """After a start of the hub every grace begins again: a timer never fires because the hub was away."""


class HolderBack(Happening, frozen=True):
    """The same instance is back and has this generation in hand."""

    has_result: bool = False
    """Its end is journaled and on its way: whether it ever ran will be said then."""


class HolderBackWithout(Happening, frozen=True):
    """The same instance is back, and this generation is not in its `holding`."""


class HolderInReach(Happening, frozen=True):
    """A v1 holder is back; what it has in hand is not known before it speaks of it."""


class HolderGivenUp(Happening, frozen=True):
    """The run is known to be gone: a heartbeat without it, or the name went to another instance."""

    cause: str


class HolderMovedOn(Happening, frozen=True):
    """A v1 holder that was told to forget the task spoke of something else."""


# --- timers -----------------------------------------------------------------------------------------------


class AcceptOverdue(Happening, frozen=True):
    is_agents_fault: bool = False
    """One of several in a row on one agent: the task is not blamed."""


class LeaseExpired(Happening, frozen=True):
    pass


class GraceOver(Happening, frozen=True):
    pass


class ProofOverdue(Happening, frozen=True):
    """The cancel timer: nobody has said yet that the run is over."""


class InputOverdue(Happening, frozen=True):
    pass


class RunOverdue(Happening, frozen=True):
    pass


class ProgressOverdue(Happening, frozen=True):
    """The run has said nothing of itself for as long as its task allows."""


class StartOverdue(Happening, frozen=True):
    pass


# --- the answer -------------------------------------------------------------------------------------------


class Moment(Struct, frozen=True):
    """When and under which rules a move is made."""

    now: Now
    policy: Policy
    roll: float
    generation_floor: int


class Decision(Struct, frozen=True, kw_only=True):
    """One move of one task: the task as it is now, and what follows."""

    task: Task
    row: str
    """The row of reliability §3.2."""
    event: str | None = None
    """The feed's word for it; None leaves no line."""
    payload: Mapping[str, object] = {}
    says: tuple[HubFrame, ...] = ()
    """To the link of its holder, old or new, if that is live."""
    status: AckStatus = "stale"
    """The receipt, if a fact caused it."""
    keeps_seat: bool = False
    """The seat stays taken until the stop is reported, the next `holding` is without it, or the grace is
    over.
    """
    is_saved: bool = True
    """False for what lives in memory only: renewed leases, reminders."""
