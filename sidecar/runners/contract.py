"""What a runner is: it takes an order and turns it into exactly one outcome.

Owns the words between the agent's loop and whatever does the work: `Order` in, `Report`s on the way, one
`Outcome` at the end, `StopSignal` and `Answers` from the loop to a run. A runner never raises, never says two
endings (L73), and never returns while a process of its run is alive (L74, L75).
This module does no work itself; a runner knows neither journal nor link nor hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from protocol.frames import StopProof
from protocol.ids import Generation, RequestId, TaskId

REPORT_TEXT_LENGTH_MAX: Final = 8 * 1024
"""Characters of one line of output or one message: enough for a stack trace's line, far below a progress
frame.
"""

ERROR_LENGTH_MAX: Final = 4 * 1024
"""Characters of `Failed.error`: a sentence and the last lines of output."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to be made. Free-form members stay JSON text: only who needs them reads them."""

    task_id: TaskId
    generation: Generation
    attempt: int = 1
    attempts_max: int = 1
    description: str = ""
    metadata: bytes = b"{}"
    plugin: str | None = None
    slot: str = ""
    """The kind of slot that it takes; empty: an ordinary one."""
    inputs: bytes | None = None
    time_left_ms: int | None = None
    is_cut_by_owner: bool = False
    """Whether `time_left_ms` is what the sidecar's owner allows, which is less than the hub does."""
    done: bytes | None = None
    answers: bytes | None = None
    trace: str | None = None


# ---- on the way: passing news, may be lost -----------------------------------------------------------------

Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the work is. `progress` never falls within a run; `execution_event` is a JSON object."""

    progress: float | None = None
    message: str | None = None
    execution_event: bytes | None = None


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the activity stream. `kind` is `output` for a line the work printed, `data` is JSON."""

    text: str
    level: Level = "info"
    kind: str = "log"
    data: bytes | None = None


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What the run has used so far: cumulative, so a lost one costs nothing."""

    tokens_in: int = 0
    tokens_out: int = 0
    model: str | None = None
    cost: float | None = None


# ---- on the way: facts, must not be lost -------------------------------------------------------------------


class StepDone(msgspec.Struct, frozen=True, kw_only=True):
    """A step whose output is kept, so that a later attempt need not repeat it. `output` is JSON."""

    index: int
    output: bytes


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a person. The run waits for `Answers.wait(request_id)`; `schema` is a JSON Schema."""

    request_id: RequestId
    prompt: str
    schema: bytes | None = None


Report: TypeAlias = Progress | Logged | Used | StepDone | Asked
Reporter: TypeAlias = Callable[[Report], None]

# ---- the end -----------------------------------------------------------------------------------------------


Proof: TypeAlias = StopProof
"""The wire's own proof: signals sent, in order; processes reaped; processes still alive (0 is what proves).
"""

How: TypeAlias = Literal["cooperative", "terminated", "killed"]

Cause: TypeAlias = Literal["work", "crash", "timeout", "memory", "result_too_big", "setup", "machine"]
"""`work` said so, or a command exited non-zero · `crash` ended by a signal, or a crew without a word of it ·
`timeout` · `memory`: took more than it may · `result_too_big` · `setup`: the order cannot be begun here or
anywhere · `machine`: this machine had no room or no process for it; the work is not to blame.
"""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The work is done. `result` is JSON text within `RESULT_BYTES_MAX`."""

    result: bytes
    tokens_used: int | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The work ended without a result. `error` is a sentence for a person and names the cause (L92)."""

    error: str
    retryable: bool = True
    retry_after_ms: int | None = None
    cause: Cause = "work"
    proof: Proof | None = None


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The run was told to stop and nothing of it is left. Whatever it had made until then is not its
    result.
    """

    how: How
    proof: Proof


Outcome: TypeAlias = Finished | Failed | Stopped


def how_it_stopped(proof: Proof) -> How:
    """The strongest signal that was needed tells how a run ended."""
    if "KILL" in proof.signals:
        return "killed"
    return "terminated" if proof.signals else "cooperative"


# ---- from the loop to a run --------------------------------------------------------------------------------

StopReason: TypeAlias = Literal["cancel", "revoke", "timeout", "shutdown"]


class StopSignal:
    """Tells one run to end. Asking again is allowed (a cancel is sent again, L76) and may only shorten the
    grace.
    """

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.grace_ms = 0
        self._asked = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        return self.reason is not None

    def set(self, reason: StopReason, grace_ms: int) -> None:
        """Ask for the end: TERM now, KILL after `grace_ms`. The first reason stays."""
        if self.reason is None:
            self.reason, self.grace_ms = reason, max(0, grace_ms)
        else:
            self.grace_ms = max(0, min(self.grace_ms, grace_ms))
        self._asked.set()
        for listener in tuple(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` each time the end is asked for; at once when it already was. It must not wait or
        raise.
        """
        self._listeners.append(listener)
        if self.is_set:
            listener()

    async def wait(self) -> None:
        """Return when the end has been asked for."""
        await self._asked.wait()


class Answers:
    """What people answered to the questions of one run, by request id; the first answer to a question is
    the answer.
    """

    def __init__(self) -> None:
        self._given: dict[RequestId, bytes] = {}
        self._arrived = asyncio.Event()
        self._listeners: list[Callable[[RequestId, bytes], None]] = []

    def put(self, request_id: RequestId, value: bytes) -> None:
        """Hand over the JSON text of an answer."""
        if request_id in self._given:
            return
        self._given[request_id] = value
        self._arrived.set()
        for listener in tuple(self._listeners):
            listener(request_id, value)

    def subscribe(self, listener: Callable[[RequestId, bytes], None]) -> None:
        """Call `listener` with each answer, those that are here already included. It must not wait or
        raise.
        """
        self._listeners.append(listener)
        for request_id, value in self._given.items():
            listener(request_id, value)

    async def wait(self, request_id: RequestId) -> bytes:
        """The answer to `request_id`, as soon as there is one."""
        while request_id not in self._given:
            self._arrived.clear()
            await self._arrived.wait()
        return self._given[request_id]


# ---- the port ----------------------------------------------------------------------------------------------


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why this runner will not take an order; `reason` is the wire's word."""

    reason: Literal["unknown_plugin", "policy", "missing_capability"]
    sentence: str = ""


@runtime_checkable
class AnswersAtOnce(Protocol):
    """A runner that has the outcome of some orders without waiting for anything: no task is needed."""

    def at_once(self, order: Order) -> Outcome | None:
        """The outcome, or None when `run` is needed after all."""
        ...


class Runner(Protocol):
    """Does the work of one kind. It serves many runs at once; what belongs to a run lives in `run`."""

    @property
    def name(self) -> str:
        """The word in settings and reports: `echo`, `command`, …"""
        ...

    def accepts(self, order: Order) -> Rejection | None:
        """Say at once, without waiting for anything, whether `run` could begin with this order."""
        ...

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        """Do it. Returns exactly one outcome, and only when no process of the run is left; never raises."""
        ...
