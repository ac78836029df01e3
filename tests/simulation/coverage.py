"""What a set of runs has reached: transitions T1 to T27 and fault kinds, counted (invariant 34).

Owns the names of the transitions and the tally that runs in several processes add up to. Never decides
whether a count is enough: `cli.py` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from hub.core.effects import Answer, TaskSaved, Tell
from hub.core.events import (
    AgentIdentified,
    CancelRequested,
    Event,
    FrameHeard,
    HubStarted,
    LinkLost,
    TimePassed,
)
from hub.core.task import State, Task, TimerKind
from protocol.frames import (
    Heartbeat,
    HubFrame,
    Identified,
    InputAck,
    InputRequired,
    TaskAccepted,
    TaskAck,
    TaskComplete,
    TaskFailed,
    TaskProgress,
    TaskRejected,
    TaskRevoke,
    TaskStopped,
)
from protocol.ids import TaskId
from tests.simulation.faults import Fault
from tests.simulation.reasons import SAID
from tests.simulation.sometimes import REACHED

TRANSITIONS: Final = tuple(f"T{number}" for number in range(1, 28))
"""The rows of reliability §3.2."""


class Tally:
    """How often each thing happened."""

    __slots__ = ("commits", "counts", "events", "runs", "starts", "virtual_ms")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.runs = 0
        self.events = 0
        self.commits = 0
        self.starts = 0
        self.virtual_ms = 0

    def hit(self, what: str) -> None:
        self.counts[what] += 1

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.runs += other.runs
        self.events += other.events
        self.commits += other.commits
        self.starts += other.starts
        self.virtual_ms += other.virtual_ms

    def missed(self) -> tuple[str, ...]:
        """Transitions, fault kinds, wishes and happenings of the queue that no run has hit."""
        every = (*TRANSITIONS, *(fault.value for fault in Fault), *REACHED, *SAID)
        return tuple(what for what in every if not self.counts[what])

    def report(self) -> str:
        """Two tables, transitions and faults, each with its count."""
        return "\n".join(
            (
                "transitions  " + _columns(((name, self.counts[name]) for name in TRANSITIONS), 9),
                *(f"  {self.counts[fault.value]:9,}  {fault.value}" for fault in Fault),
                "of the queue",
                *(f"  {self.counts[what]:9,}  {what}" for what in (*REACHED, *SAID)),
            )
        )


def _columns(pairs: Iterable[tuple[str, int]], a_row: int) -> str:
    cells = [f"{name:>3} {count:<9,}" for name, count in pairs]
    rows = ("".join(cells[at : at + a_row]) for at in range(0, len(cells), a_row))
    return ("\n" + " " * 13).join(rows)


# --- which row of the table was that? ---------------------------------------------------------------------

EITHER_WAY: Final = (State.QUEUED, State.DEAD_LETTER)

OF_FRAME: Final[dict[tuple[type, State], str]] = {
    (TaskAccepted, State.RUNNING): "T3",
    (TaskRejected, State.QUEUED): "T4",
    (InputRequired, State.INPUT_REQUIRED): "T8",
    (InputAck, State.RUNNING): "T9",
    (TaskComplete, State.COMPLETED): "T14",
    (TaskFailed, State.FAILED): "T16",
    **{(TaskFailed, state): "T15" for state in EITHER_WAY},
    **{(Heartbeat, state): "T13" for state in EITHER_WAY},
    **{(TaskStopped, state): "T13" for state in EITHER_WAY},
}
OF_RETURN: Final[dict[State, str]] = {
    State.RUNNING: "T11",
    State.INPUT_REQUIRED: "T11",
    State.ASSIGNED: "T12",
    **dict.fromkeys(EITHER_WAY, "T13"),
}


def transitions(event: Event, answer: Answer, known: dict[TaskId, Task]) -> list[str]:
    """The rows of §3.2 that one answer shows, from outside: the board is not asked what it thinks it did.

    `known` has the tasks as they were before it, and is brought up to date.
    """
    names = _said(event, answer, known)
    for change in answer.changes:
        if isinstance(change, TaskSaved):
            before, after = known.get(change.task.task_id), change.task
            known[after.task_id] = after
            name = _of_row(event, before, after)
            if name is not None:
                names.append(name)
    return names


def _of_row(event: Event, before: Task | None, after: Task) -> str | None:
    if before is None:
        return "T1"
    if before.state is State.CANCELLING and after.is_final:
        return "T20" if after.state is State.CANCELLED else "T21"
    if after.state is State.ASSIGNED and before.state is State.QUEUED:
        return "T2"
    match event:
        case FrameHeard(frame=TaskRejected(reason="draining")):
            return "T24"
        case FrameHeard(frame=frame):
            return OF_FRAME.get((type(frame), after.state))
        case TimePassed():
            return _of_time(before, after)
        case AgentIdentified() if before.is_held:
            return OF_RETURN.get(after.state)
        case _:
            return _of_others(event, after)


def _of_others(event: Event, after: Task) -> str | None:
    if isinstance(event, CancelRequested):
        return "T18" if after.is_final else "T19"
    is_loss = isinstance(event, LinkLost | HubStarted)
    return "T10" if is_loss and after.state is State.RECOVERING else None


def _of_time(before: Task, after: Task) -> str | None:
    if before.state is State.QUEUED:
        return "T23" if after.is_final else None
    if before.timer is None or after.is_held:
        return None
    if before.timer.kind is TimerKind.ACCEPT and before.state is State.ASSIGNED:
        return "T5"
    if before.timer.kind is TimerKind.INPUT:
        return "T22"
    return "T17" if after.attempt > before.attempt else "T13"


def _said(event: Event, answer: Answer, known: dict[TaskId, Task]) -> list[str]:
    """What renews, refuses or revokes changes no row (T6, T7, T25, T26, T27)."""
    names = []
    match event:
        case FrameHeard(frame=TaskProgress(task_id=task_id)) if _is_held(known.get(task_id)):
            names.append("T6")
        case FrameHeard(frame=Heartbeat(tasks=tasks)) if any(
            _is_held(known.get(one.task_id)) for one in tasks
        ):
            names.append("T7")
        case _:
            pass
    return names + [
        name
        for effect in answer.effects
        if isinstance(effect, Tell) and (name := _of_frame_told(event, effect.frame, known)) is not None
    ]


def _of_frame_told(event: Event, frame: HubFrame, known: dict[TaskId, Task]) -> str | None:
    match frame:
        case TaskAck(status="stale", task_id=task_id):
            row = known.get(task_id)
            return "T25" if row is None or row.is_final else "T26"
        case TaskRevoke() if isinstance(event, FrameHeard):
            return "T27"
        case Identified(drop=drop) if drop:
            return "T27"
        case _:
            return None


def _is_held(row: Task | None) -> bool:
    return row is not None and row.is_held
