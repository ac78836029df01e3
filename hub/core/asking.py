"""Moves of a run that asks a person, and of one that keeps a finished step.

Owns questions, answers and kept steps. An answer is stored before it is sent, sent again at every resume
until the run has taken it, and kept for later attempts. A run asks one thing at a time. A question outlives
its run: it is answered by whoever answers first, and taken by the next attempt that asks the same.
"""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.happenings import AnswerGiven, AnswerTaken, Asked, Decision, Moment, StepDone
from hub.core.orders import answer_again, with_answer, with_step
from hub.core.task import Question, State, StepKept, Task, Timer, TimerKind
from hub.core.timers import lease_timer, progress_due_ms


def ask(task: Task, asked: Asked, at: Moment) -> Decision:
    """T8: the clock of the run stops and the wait for a person begins. What was answered before is answered
    again; what an earlier attempt has asked and nobody answered is asked no more.
    """
    assert task.run_due_ms is not None, "a run has an end"
    kept = next((given for given in task.answers if given.request_id == asked.request_id), None)
    question = kept or Question(request_id=asked.request_id, prompt=asked.prompt, schema=asked.schema)
    until_ms = at.now.ms + at.policy.input_ms
    waiting = replace(
        task,
        state=State.INPUT_REQUIRED,
        question=question,
        run_left_ms=max(0, task.run_due_ms - at.now.ms),
        run_due_ms=until_ms,
        progress_due_ms=None,
        timer=Timer(TimerKind.INPUT, until_ms),
    )
    payload: dict[str, object] = {
        "request_id": asked.request_id,
        "prompt": asked.prompt,
        "schema": asked.schema,
    }
    return Decision(
        task=waiting,
        row="T8",
        event="input_required",
        payload=payload,
        says=answer_again(waiting),
        status="asked",
    )


def ask_again(task: Task, asked: Asked, at: Moment) -> Decision:
    """The same question twice is one; a second one beside it is refused."""
    assert task.question is not None, "a run that waits has asked"
    is_same = task.question.request_id == asked.request_id
    return Decision(task=task, row="T8", status="asked" if is_same else "refused", is_saved=False)


def answer(task: Task, given: AnswerGiven, at: Moment) -> Decision:
    """T9, first half: stored now, sent after the commit, and at every resume until it is taken."""
    if not task.is_asking:
        return answer_ahead(task, given, at)
    assert task.question is not None, "only a question can be answered"
    question = replace(task.question, answer=given.value, answered_by=given.by)
    answered = replace(task, question=question)
    payload: dict[str, object] = {"request_id": question.request_id, "by": given.by}
    return Decision(task=answered, row="T9", event="task_input", payload=payload, says=answer_again(answered))


def answer_ahead(task: Task, given: AnswerGiven, at: Moment) -> Decision:
    """T9 ahead of time: the run that asked is over, so the answer is kept for the one that asks it again."""
    assert task.question is not None, "only a question can be answered"
    question = replace(task.question, answer=given.value, answered_by=given.by)
    payload: dict[str, object] = {"request_id": question.request_id, "by": given.by, "kept": True}
    return Decision(
        task=replace(task, question=None, answers=with_answer(task, question)),
        row="T9",
        event="task_input",
        payload=payload,
    )


def take_answer(task: Task, taken: AnswerTaken, at: Moment) -> Decision:
    """T9, second half: the run goes on, and so does its clock."""
    assert task.question is not None, "a run that waits has asked"
    if task.question.answer is None or task.question.request_id != taken.request_id:
        return Decision(task=task, row="", status="refused", is_saved=False)
    going_on = replace(
        task,
        state=State.RUNNING,
        question=None,
        answers=with_answer(task, replace(task.question, is_acked=True)),
        run_due_ms=at.now.ms + (task.run_left_ms or 0),
        run_left_ms=None,
        progress_due_ms=progress_due_ms(task, at),
    )
    payload: dict[str, object] = {"request_id": task.question.request_id}
    return Decision(
        task=replace(going_on, timer=lease_timer(going_on, at)),
        row="T9",
        event="input_ack",
        payload=payload,
        status="answered",
    )


def keep_step(task: Task, step: StepDone, at: Moment) -> Decision:
    """One step of a crew is on disk, also when that is heard after the run was given up: it is paid for.

    What would not fit into a later assign is receipted `refused`, and the run goes on without.
    """
    done = with_step(task, StepKept(index=step.index, output=step.output))
    if done is None:
        payload: dict[str, object] = {"index": step.index, "kept": False, "reason": "done_too_big"}
        return Decision(
            task=task, row="", event="task_done", payload=payload, status="refused", is_saved=False
        )
    return Decision(
        task=replace(task, done=done),
        row="",
        event="task_done",
        payload={"index": step.index, "kept": True},
        status="kept",
    )
