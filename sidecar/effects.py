"""What the desk wants done, in the imperative, and only after its records are on disk.

Owns `Effect` and `DeskAnswer`. Never performs one: `agent.py` does, in the order given.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from protocol.frames import AgentFrame
from protocol.ids import Generation, RequestId, TaskId
from sidecar.memory import Record
from sidecar.runners.contract import Order, StopReason


class Say(Struct, frozen=True):
    """Say a frame over this link. When it is gone by then, the next `identified` brings it up again."""

    link_id: int
    frame: AgentFrame


class StartRun(Struct, frozen=True):
    """Begin. No run of this task is alive, and none of this generation ever was."""

    order: Order


class StopRun(Struct, frozen=True):
    """Tell a run to end. May come again, with a shorter grace."""

    task_id: TaskId
    generation: Generation
    reason: StopReason
    grace_ms: int


class GiveAnswer(Struct, frozen=True):
    """Hand a person's answer to the run that asked. `value` is JSON text."""

    task_id: TaskId
    generation: Generation
    request_id: RequestId
    value: bytes


class HangUp(Struct, frozen=True):
    """Leave this link and dial again; with `retry_in_ms` the hub has named the time, or else backoff does."""

    link_id: int
    reason: str
    retry_in_ms: int | None = None


class Leave(Struct, frozen=True):
    """Nothing is left to do: the process may end."""

    reason: str


class Remark(Struct, frozen=True, kw_only=True):
    """A line for the log: something was ignored, or is unusual."""

    event: str
    task_id: TaskId | None = None
    generation: Generation | None = None
    detail: str = ""


Effect: TypeAlias = Say | StartRun | StopRun | GiveAnswer | HangUp | Leave | Remark


class DeskAnswer(Struct, frozen=True):
    """All that follows from one event: first the records, then, once they are durable, the effects."""

    records: list[Record]
    effects: list[Effect]
