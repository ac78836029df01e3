"""Moves out of somebody's hands: to the end, or back into the queue because it was not the end.

Owns attempts, strikes, what an ending says, and who is to blame. Terminal is for ever: no move here starts
from a final state.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from hub.core.happenings import (
    CancelAsked,
    Completed,
    Decision,
    DependencyFailed,
    Failed,
    GraceOver,
    HolderBack,
    HolderBackWithout,
    HolderGivenUp,
    HolderInReach,
    HolderLost,
    HolderMovedOn,
    InputOverdue,
    Moment,
    ProgressOverdue,
    ProofOverdue,
    PublisherMissing,
    Rejected,
    RunOverdue,
    StartOverdue,
    Stopped,
)
from hub.core.orders import cancel_word, revoke, with_answer
from hub.core.policy import backoff_ms
from hub.core.runs import NOT_CONFIGURED
from hub.core.task import Ending, Fault, State, Task, Timer, TimerKind, Usage
from hub.core.timers import grace_timer
from protocol.frames import AckStatus, HubFrame, StopProof

EVENT_OF: Final = {
    State.COMPLETED: "task_complete",
    State.FAILED: "task_failed",
    State.DEAD_LETTER: "task_failed",
    State.CANCELLED: "task_cancelled",
}
"""The feed's word for each end: exactly one of these closes a task's story."""

UNPROVEN: Final = "unproven"


# --- to the end -------------------------------------------------------------------------------------------


def complete(task: Task, completed: Completed, at: Moment) -> Decision:
    """T14, T21: a result of the current generation counts, late or not, and wins over a cancel that it
    overtakes.
    """
    usage = task.usage
    if usage is None and completed.tokens_used is not None:
        usage = Usage(tokens_out=completed.tokens_used)
    finished = replace(task, result=completed.result, usage=usage, error=None, progress=100.0)
    row = "T21" if task.state is State.CANCELLING else "T14"
    ending = Ending(how="completed", tokens_wasted=task.tokens_wasted)
    return finish(finished, State.COMPLETED, ending, row=row, status="complete")


def fail(task: Task, failed: Failed, at: Moment) -> Decision:
    """T15, T16: an attempt is spent, or a strike when the machine died and not the work."""
    task = replace(task, error=failed.error)
    pause_ms = min(failed.retry_after_ms, at.policy.retry_after_max_ms)
    if failed.is_crash:
        return strike(task, at, row="T15", cause=failed.error)
    if failed.fault is Fault.INFRASTRUCTURE and failed.is_retryable:
        return strike(task, at, row="T15", cause="infrastructure", reason=failed.error, pause_ms=pause_ms)
    task = replace(task, attempt=task.attempt + 1)
    how, fault = ("timeout", Fault.TIME) if failed.is_timeout else ("failed", failed.fault)
    if not failed.is_retryable or task.spec.attempts_max == 1:
        return finish(task, State.FAILED, ending(task, how, fault), row="T16", status="failed")
    if task.attempt >= task.spec.attempts_max:
        return bury(task, ending(task, "attempts", fault), row="T15")
    return requeue(
        task, at, row="T15", cause="failed", reason=failed.error, delay_ms=max(backoff(task, at), pause_ms)
    )


def overrun(task: Task, _: RunOverdue, at: Moment) -> Decision:
    """T17: the run took too long. It is called back, and that was an attempt."""
    return call_back(task, at, how="timeout", cause="run_timeout", error="the run took longer than its time")


def miss_progress(task: Task, _: ProgressOverdue, at: Moment) -> Decision:
    """T17: the run lives and says nothing. It is called back, and that was an attempt."""
    silent_s = (task.spec.progress_ms or 0) / 1_000
    error = f"no sign of progress for {silent_s:g} s"
    return call_back(task, at, how="no_progress", cause="no_progress", error=error)


def call_back(task: Task, at: Moment, *, how: str, cause: str, error: str) -> Decision:
    """An attempt is spent on time, and the run is told to stop: its seat stays taken until it has."""
    task = replace(task, attempt=task.attempt + 1, error=error)
    says: tuple[HubFrame, ...] = (revoke(task, cause.replace("_", " ")),)
    if task.attempt < task.spec.attempts_max:
        return requeue(
            task, at, row="T17", cause=cause, delay_ms=backoff(task, at), says=says, keeps_seat=True
        )
    if task.spec.attempts_max == 1:
        over = ending(task, how, Fault.TIME)
        return finish(task, State.FAILED, over, row="T17", status="failed", says=says, keeps_seat=True)
    return bury(task, ending(task, "attempts", Fault.TIME), row="T17", says=says, keeps_seat=True)


def expire_input(task: Task, _: InputOverdue, at: Moment) -> Decision:
    """T22: nobody answered. The run is told to stop."""
    task = replace(task, error="nobody answered in time")
    says = (cancel_word(task, "input_timeout", at),)
    return bury(task, ending(task, "input_timeout", Fault.PERSON), row="T22", says=says, keeps_seat=True)


def expire_start(task: Task, _: StartOverdue, at: Moment) -> Decision:
    """T23: it was to start by a time that has passed."""
    task = replace(task, error="it could not start in time")
    return bury(task, ending(task, "deadline", Fault.TIME), row="T23")


def take_stop(task: Task, stopped: Stopped, at: Moment) -> Decision:
    """T13: it stopped, and nobody had asked for that."""
    return strike(task, at, row="T13", cause="stopped", status="stopped")


def fail_unpublished(task: Task, _: PublisherMissing, at: Moment) -> Decision:
    """T16 before anything: there is no way to those who would do it, and trying again makes none."""
    task = replace(task, error=NOT_CONFIGURED)
    over = ending(task, "unpublished", Fault.POLICY)
    return finish(task, State.FAILED, over, row="T16", status="failed")


def fail_dependant(task: Task, failed: DependencyFailed, at: Moment) -> Decision:
    """T29: what it waits for will never complete, so it will never begin (L19)."""
    outcome = failed.outcome
    how, fault = "dependency_failed", outcome.whose_fault or Fault.POLICY
    said = f"{outcome.state.value} ({outcome.how})" if outcome.state is not None else "gone"
    if outcome.state is None:
        how = "dependency_gone"
    task = replace(task, error=f"it depends on {outcome.task_id}, which is {said}")
    return finish(task, State.FAILED, ending(task, how, fault), row="T29", status="failed")


# --- cancelling -------------------------------------------------------------------------------------------


def cancel_waiting(task: Task, asked: CancelAsked, at: Moment) -> Decision:
    """T18: nobody has it in hand, so it is over at once."""
    task = replace(task, cancel_reason=asked.reason, cancelled_by=asked.by)
    return finish(task, State.CANCELLED, ending(task, "cancelled", Fault.PERSON), row="T18")


def cancel_held(task: Task, asked: CancelAsked, at: Moment) -> Decision:
    """T19: a cancel is a claim until it is proven."""
    asked_to_stop = replace(
        task,
        state=State.CANCELLING,
        cancel_reason=asked.reason,
        cancelled_by=asked.by,
        timer=proof_timer(at) if asked.is_reachable else grace_left(task, at),
        run_due_ms=None,
        run_left_ms=None,
        progress_due_ms=None,
        recovering_from=None,
    )
    payload = {"reason": asked.reason, "by": asked.by}
    says = (cancel_word(task, asked.reason, at),)
    return Decision(task=asked_to_stop, row="T19", event="task_cancel", payload=payload, says=says)


def cancel_again(task: Task, _: ProofOverdue | HolderBack | HolderInReach, at: Moment) -> Decision:
    """The cancel timer changes nothing: the cancel is said again; likewise when the holder is back."""
    assert task.cancel_reason is not None
    says = (cancel_word(task, task.cancel_reason, at),)
    return Decision(task=replace(task, timer=proof_timer(at)), row="T20", says=says, is_saved=False)


def prove(task: Task, stopped: Stopped, at: Moment) -> Decision:
    """T20 with its proof."""
    return cancelled(task, stopped.how, proof=stopped.proof, status="stopped")


def prove_by_absence(task: Task, _: HolderBackWithout, at: Moment) -> Decision:
    """T20: its holder is back without it."""
    return cancelled(task, "was_not_running")


def prove_by_rejection(task: Task, _: Rejected, at: Moment) -> Decision:
    """T20: it never began."""
    return cancelled(task, "was_not_running", status="rejected")


def prove_by_failure(task: Task, failed: Failed, at: Moment) -> Decision:
    """T20: the run is over by itself."""
    return cancelled(replace(task, error=failed.error), "cooperative", status="failed")


def give_up_proof(task: Task, _: GraceOver | HolderGivenUp, at: Moment) -> Decision:
    """T20: the holder is given up, and with it the proof."""
    return cancelled(task, UNPROVEN, keeps_seat=True)


def accept_no_proof(task: Task, _: ProofOverdue | HolderMovedOn, at: Moment) -> Decision:
    """T20 with a v1 holder, which knows no proof: its next frame about something else, or the time,
    must do.
    """
    return cancelled(task, UNPROVEN)


def miss_proof(task: Task, overdue: ProofOverdue, at: Moment) -> Decision:
    """T20, or patience: a v2 holder owes the proof, a v1 holder has none to give."""
    assert task.holder is not None, "a held task has a holder"
    return accept_no_proof(task, overdue, at) if task.holder.is_v1 else cancel_again(task, overdue, at)


def await_holder(task: Task, lost: HolderLost, at: Moment) -> Decision:
    """T10 for a cancel: it survives the loss of the link, and is said again when the holder is back."""
    timer = grace_timer(at) if lost.is_fresh else grace_left(task, at)
    return Decision(task=replace(task, timer=timer), row="T10", is_saved=timer is not task.timer)


def cancelled(
    task: Task,
    stopped: str,
    *,
    proof: StopProof | None = None,
    status: AckStatus = "stopped",
    keeps_seat: bool = False,
) -> Decision:
    over = ending(task, "cancelled", Fault.PERSON)
    over = replace(over, stopped=stopped, proof=proof)
    return finish(task, State.CANCELLED, over, row="T20", status=status, keeps_seat=keeps_seat)


def grace_left(task: Task, at: Moment) -> Timer:
    """The grace that runs goes on; any other timer spoke of a run that is not wanted any more."""
    assert task.timer is not None, "a held task has a timer"
    return task.timer if task.timer.kind is TimerKind.GRACE else grace_timer(at)


def proof_timer(at: Moment) -> Timer:
    return Timer(TimerKind.CANCEL, at.now.ms + at.policy.cancel_confirm_ms)


# --- what all of them share -------------------------------------------------------------------------------


def finish(
    task: Task,
    state: State,
    over: Ending,
    *,
    row: str,
    status: AckStatus = "stale",
    says: tuple[HubFrame, ...] = (),
    keeps_seat: bool = False,
) -> Decision:
    """Terminal is for ever: no timer, no holder, an ending, and nothing that anybody could still answer."""
    done = replace(let_go(task), state=state, ending=over, start_by_ms=None, question=None, waits_for=())
    payload: dict[str, object] = {"state": state.value, "how": over.how, "attempt": task.attempt}
    if over.whose_fault is not None:
        payload |= {"whose_fault": over.whose_fault.value, "error": task.error, "stopped": over.stopped}
    return Decision(
        task=done,
        row=row,
        event=EVENT_OF[state],
        payload=payload,
        says=says,
        status=status,
        keeps_seat=keeps_seat,
    )


def bury(
    task: Task, over: Ending, *, row: str, says: tuple[HubFrame, ...] = (), keeps_seat: bool = False
) -> Decision:
    """The hub gives up: kept, listed, and started again only by a person, as a new task."""
    return finish(
        task, State.DEAD_LETTER, over, row=row, status="dead_letter", says=says, keeps_seat=keeps_seat
    )


def requeue(
    task: Task,
    at: Moment,
    *,
    row: str,
    cause: str,
    reason: str | None = None,
    delay_ms: int = 0,
    says: tuple[HubFrame, ...] = (),
    keeps_seat: bool = False,
    status: AckStatus = "retried",
) -> Decision:
    """Back into the queue, unless twenty generations in a row found nobody who would accept it."""
    if task.unaccepted >= at.policy.unaccepted_max:
        task = replace(task, error="nobody would accept it")
        return bury(
            task, ending(task, "undeliverable", Fault.POLICY), row=row, says=says, keeps_seat=keeps_seat
        )
    back = replace(
        let_go(task),
        state=State.QUEUED,
        not_before_ms=at.now.ms + delay_ms if delay_ms else 0,
        tokens_wasted=task.tokens_wasted + spent(task),
        usage=None,
    )
    payload = {
        "cause": cause,
        "reason": reason,
        "attempt": task.attempt,
        "strikes": task.strikes,
        "delay_ms": delay_ms,
    }
    return Decision(
        task=back,
        row=row,
        event="task_requeued",
        payload=payload,
        says=says,
        status=status,
        keeps_seat=keeps_seat,
    )


def strike(
    task: Task,
    at: Moment,
    *,
    row: str,
    cause: str,
    reason: str | None = None,
    pause_ms: int = 0,
    says: tuple[HubFrame, ...] = (),
    keeps_seat: bool = False,
    status: AckStatus = "retried",
) -> Decision:
    """A generation was lost, and that was not the work's fault. `pause_ms` is what was asked for at least."""
    task = replace(count_unaccepted(task), strikes=task.strikes + 1)
    if task.strikes >= at.policy.strikes_max:
        task = replace(task, error=task.error or cause)
        return bury(
            task, ending(task, "strikes", Fault.INFRASTRUCTURE), row=row, says=says, keeps_seat=keeps_seat
        )
    return requeue(
        task,
        at,
        row=row,
        cause=cause,
        reason=reason,
        delay_ms=max(backoff(task, at), pause_ms),
        says=says,
        keeps_seat=keeps_seat,
        status=status,
    )


def count_unaccepted(task: Task) -> Task:
    return task if task.is_accepted else replace(task, unaccepted=task.unaccepted + 1)


def let_go(task: Task) -> Task:
    """Nobody's any more. An answer that no run has taken yet rides in the next assign; a question without one
    stays open.
    """
    question, answers = task.question, task.answers
    if question is not None and question.answer is not None:
        answers, question = with_answer(task, question), None
    return replace(
        task,
        holder=None,
        last_holder=task.holder or task.last_holder,
        timer=None,
        run_due_ms=None,
        run_left_ms=None,
        progress_due_ms=None,
        recovering_from=None,
        question=question,
        answers=answers,
    )


def ending(task: Task, how: str, fault: Fault) -> Ending:
    return Ending(how=how, whose_fault=fault, tokens_wasted=task.tokens_wasted + spent(task))


def spent(task: Task) -> int:
    return 0 if task.usage is None else task.usage.tokens_in + task.usage.tokens_out


def backoff(task: Task, at: Moment) -> int:
    return backoff_ms(at.policy, task.attempt + task.strikes, at.roll, task.spec.backoff)
