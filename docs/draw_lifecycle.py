"""Draws `docs/lifecycle.md` from `MOVES`: `python -m docs.draw_lifecycle`.

Owns the page and nothing of what it says: each move is made on sample tasks, and where it leads is what it
did. A house test holds that the page is current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from hub.core.dependencies import Outcome
from hub.core.happenings import (
    Accepted,
    AcceptOverdue,
    AnswerGiven,
    AnswerTaken,
    Asked,
    CancelAsked,
    Completed,
    DependencyCompleted,
    DependencyFailed,
    Failed,
    GraceOver,
    Happening,
    HolderBack,
    HolderBackWithout,
    HolderGivenUp,
    HolderInReach,
    HolderLost,
    HolderMovedOn,
    InputOverdue,
    LeaseExpired,
    Matched,
    Moment,
    ProgressOverdue,
    ProofOverdue,
    PublisherMissing,
    Rejected,
    RunOverdue,
    SignOfLife,
    StartOverdue,
    StepDone,
    Stopped,
)
from hub.core.lifecycle import MOVES
from hub.core.policy import Policy
from hub.core.task import FINAL, Holder, Now, Question, Spec, State, Task, Timer, TimerKind
from protocol.frames import StopProof
from protocol.ids import AgentId, Generation, InstanceId, RequestId, TaskId

PAGE: Final = Path(__file__).with_name("lifecycle.md")
QUESTION: Final = RequestId("task-1")
HOLDER: Final = Holder(AgentId("a"), InstanceId("a/1"))
V1_HOLDER: Final = Holder(AgentId("a"), InstanceId("v1:a"))
AT: Final = Moment(Now(0, 0), Policy(), 0.5, 0)

HAPPENINGS: Final[dict[type[Happening], tuple[Happening, ...]]] = {
    Matched: (Matched(HOLDER),),
    CancelAsked: (CancelAsked("somebody", "no need", True),),
    AnswerGiven: (AnswerGiven(Raw(b"1"), "somebody"),),
    PublisherMissing: (PublisherMissing(),),
    DependencyCompleted: (DependencyCompleted(TaskId("first")),),
    DependencyFailed: (DependencyFailed(Outcome(task_id=TaskId("first"), state=State.FAILED)),),
    Accepted: (Accepted(),),
    Rejected: (Rejected("busy"),),
    Completed: (Completed(Raw(b"1")),),
    Failed: (Failed("broken"), Failed("broken", is_retryable=False), Failed("crash", is_crash=True)),
    Stopped: (Stopped("killed", StopProof()),),
    StepDone: (StepDone(0, Raw(b"1")),),
    Asked: (Asked(QUESTION, "Which?"),),
    AnswerTaken: (AnswerTaken(QUESTION),),
    SignOfLife: (SignOfLife(),),
    HolderLost: (HolderLost(),),
    HolderBack: (HolderBack(),),
    HolderBackWithout: (HolderBackWithout(),),
    HolderInReach: (HolderInReach(),),
    HolderGivenUp: (HolderGivenUp("orphaned"),),
    HolderMovedOn: (HolderMovedOn(),),
    AcceptOverdue: (AcceptOverdue(),),
    LeaseExpired: (LeaseExpired(),),
    GraceOver: (GraceOver(),),
    ProofOverdue: (ProofOverdue(),),
    InputOverdue: (InputOverdue(),),
    RunOverdue: (RunOverdue(),),
    ProgressOverdue: (ProgressOverdue(),),
    StartOverdue: (StartOverdue(),),
}
"""One or more samples of everything that can happen to a task."""


def samples(state: State) -> Iterator[Task]:
    """Tasks in this state: fresh, begun, asking, and with nothing left to lose."""
    question = Question(request_id=QUESTION, prompt="Which?", answer=Raw(b"1"))
    is_asking = state is State.INPUT_REQUIRED
    is_held = state not in FINAL and state is not State.QUEUED
    base = Task(
        task_id=TaskId("task"),
        spec=Spec(),
        state=state,
        generation=Generation(1),
        holder=HOLDER if is_held else None,
        timer=Timer(TimerKind.GRACE, 1) if is_held else None,
        run_due_ms=1 if is_held else None,
        run_left_ms=1 if is_asking else None,
        question=question if is_asking else None,
        cancel_reason="no need" if state is State.CANCELLING else None,
        start_by_ms=0,
    )
    yield base
    yield replace(base, is_accepted=True)
    if state is State.RECOVERING:
        yield replace(base, is_accepted=True, question=question, run_left_ms=1)
    if state not in FINAL and not is_asking:
        yield replace(base, question=replace(question, answer=None))
    yield replace(base, attempt=2, strikes=4, unaccepted=19, spec=Spec(attempts_max=3))
    if is_held:
        yield replace(base, holder=V1_HOLDER)


def leads_to(state: State, kind: type[Happening]) -> list[State]:
    """Where this move goes, from every sample."""
    move = MOVES[state][kind]
    tasks = [task for task in samples(state) if kind is not AnswerGiven or task.question is not None]
    ends = {move(task, happening, AT).task.state for task in tasks for happening in HAPPENINGS[kind]}
    return [end for end in State if end in ends]


def words(kind: type[Happening]) -> str:
    """`HolderBackWithout` reads as "holder back without"."""
    return "".join(" " + letter.lower() if letter.isupper() else letter for letter in kind.__name__).strip()


def sentence(state: State, kind: type[Happening]) -> str:
    """What the move says of itself, up to its first full stop."""
    doc = " ".join((MOVES[state][kind].__doc__ or "").split())
    return doc.partition(". ")[0].rstrip(".") + "."


def arrows() -> Iterator[str]:
    """One line for each pair of states, with everything that leads from one to the other."""
    for state, moves in MOVES.items():
        ways: dict[State, list[str]] = {}
        for kind in moves:
            for end in leads_to(state, kind):
                if end is not state:
                    ways.setdefault(end, []).append(words(kind))
        for end, causes in ways.items():
            yield f"    {state.value} --> {end.value}: {', '.join(causes)}"


def rows() -> Iterator[str]:
    for state, moves in MOVES.items():
        for kind in moves:
            ends = ", ".join(f"`{end.value}`" for end in leads_to(state, kind))
            yield f"| `{state.value}` | {words(kind)} | {ends} | {sentence(state, kind)} |"


def draw() -> str:
    """The whole page."""
    return "\n".join(
        (
            "# The life of a task",
            "",
            "Drawn from `MOVES` in `hub/core/lifecycle.py` by `python -m docs.draw_lifecycle`; do not",
            "edit. What is not here is refused and changes nothing. Final states have no way out: a retry",
            "by hand is a new task with `retry_of`. T1 to T24 name the transitions; tests named as",
            "sentences stand for each of them in `tests/core/`.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> queued",
            *arrows(),
            *(f"    {state.value} --> [*]" for state in State if state in FINAL),
            "```",
            "",
            "| state | what happened | may lead to | the move |",
            "|---|---|---|---|",
            *rows(),
            "",
        )
    )


if __name__ == "__main__":
    PAGE.write_text(draw(), encoding="utf-8")
