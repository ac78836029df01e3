"""The life of a task is a table: `MOVES[state][what happened] = move`.

A task waits in the queue, is assigned to a holder under a new generation, runs once that holder has accepted
it, and ends. Three states stand beside the road: `recovering` (the holder is out of reach), `input_required`
(a person is asked) and `cancelling` (a stop is asked for and not yet proven). From every held state a fact
of the holder may end it; from the queue only a late result of the last generation may, and a step that it
has finished is kept. A question stays with its task when the run that asked is over, and can be answered in
any state but a final one and `cancelling`. Final states have no moves.

What is not in the table is refused and changes nothing. Who may cause what (the live link, the holder, the
current generation) is checked before the table is asked; what a move does to seats, deadlines and the feed
comes after it. `docs/lifecycle.md` is drawn from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hub.core.asking import answer, answer_ahead, ask, ask_again, keep_step, take_answer
from hub.core.endings import (
    accept_no_proof,
    await_holder,
    cancel_again,
    cancel_held,
    cancel_waiting,
    complete,
    expire_input,
    expire_start,
    fail,
    fail_dependant,
    fail_unpublished,
    give_up_proof,
    miss_progress,
    miss_proof,
    overrun,
    prove,
    prove_by_absence,
    prove_by_failure,
    prove_by_rejection,
    take_stop,
)
from hub.core.happenings import (
    Accepted,
    AcceptOverdue,
    AnswerGiven,
    AnswerTaken,
    Asked,
    CancelAsked,
    Completed,
    Decision,
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
from hub.core.moves import (
    assign,
    await_result,
    await_word,
    give_up,
    lose_holder,
    lose_lease,
    offer_again,
    orphan,
    put_back,
    release,
    renew,
    resume,
    start,
    stay_lost,
    withdraw,
)
from hub.core.task import State, Task

Move = Callable[[Task, Any, Moment], Decision]

MOVES: Final[dict[State, dict[type[Happening], Move]]] = {
    State.QUEUED: {
        Matched: assign,
        Completed: complete,
        StepDone: keep_step,
        AnswerGiven: answer_ahead,
        CancelAsked: cancel_waiting,
        StartOverdue: expire_start,
        HolderBack: await_result,
        PublisherMissing: fail_unpublished,
        DependencyCompleted: release,
        DependencyFailed: fail_dependant,
    },
    State.ASSIGNED: {
        Accepted: start,
        Rejected: put_back,
        Completed: complete,
        Failed: fail,
        Stopped: take_stop,
        AnswerGiven: answer_ahead,
        AcceptOverdue: withdraw,
        HolderLost: lose_holder,
        CancelAsked: cancel_held,
    },
    State.RUNNING: {
        Rejected: put_back,
        Completed: complete,
        Failed: fail,
        Stopped: take_stop,
        StepDone: keep_step,
        Asked: ask,
        AnswerGiven: answer_ahead,
        SignOfLife: renew,
        HolderLost: lose_holder,
        HolderGivenUp: orphan,
        LeaseExpired: lose_lease,
        RunOverdue: overrun,
        ProgressOverdue: miss_progress,
        CancelAsked: cancel_held,
    },
    State.INPUT_REQUIRED: {
        Rejected: put_back,
        Completed: complete,
        Failed: fail,
        Stopped: take_stop,
        StepDone: keep_step,
        Asked: ask_again,
        AnswerGiven: answer,
        AnswerTaken: take_answer,
        SignOfLife: renew,
        HolderLost: lose_holder,
        HolderGivenUp: orphan,
        InputOverdue: expire_input,
        CancelAsked: cancel_held,
    },
    State.RECOVERING: {
        Accepted: start,
        Rejected: put_back,
        Completed: complete,
        Failed: fail,
        Stopped: take_stop,
        StepDone: keep_step,
        AnswerGiven: answer,
        HolderBack: resume,
        HolderBackWithout: offer_again,
        HolderInReach: await_word,
        HolderLost: stay_lost,
        HolderGivenUp: orphan,
        AcceptOverdue: offer_again,
        GraceOver: give_up,
        RunOverdue: overrun,
        InputOverdue: expire_input,
        CancelAsked: cancel_held,
    },
    State.CANCELLING: {
        Rejected: prove_by_rejection,
        Completed: complete,
        Failed: prove_by_failure,
        Stopped: prove,
        ProofOverdue: miss_proof,
        HolderBack: cancel_again,
        HolderBackWithout: prove_by_absence,
        HolderInReach: cancel_again,
        HolderLost: await_holder,
        HolderGivenUp: give_up_proof,
        HolderMovedOn: accept_no_proof,
        GraceOver: give_up_proof,
    },
    State.COMPLETED: {},
    State.FAILED: {},
    State.CANCELLED: {},
    State.DEAD_LETTER: {},
}

assert set(MOVES) == set(State), "every state has its moves, or says that it has none"


def move_of(state: State, happening: Happening) -> Move | None:
    """The legal move, or None: then nothing changes."""
    return MOVES[state].get(type(happening))
