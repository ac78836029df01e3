"""What people answered: an answer that was acknowledged is never lost, and never given to another question.

Owns invariants 35 and 36, beside the 34 of reliability §3.5. Never answers anything: `clients.py` does.
"""

from __future__ import annotations

from hub.core.effects import Answer, TaskSaved
from hub.core.task import Question, Task
from protocol.frames import InputRequired
from protocol.ids import RequestId, TaskId
from tests.simulation.invariants import Truth, demand, invariant


def judge_answers(truth: Truth, row: Task) -> None:
    """What a row that has just become durable shows of questions and answers."""
    if row.answers or row.question is not None or row.task_id in truth.answered:
        an_answer_is_kept(truth, row)
        an_answered_question_waits_for_nobody(truth, row)


@invariant(35)
def an_answer_is_kept(truth: Truth, row: Task) -> None:
    """An answer that was acknowledged is with its task, also when the run that asked is over."""
    kept = {one.request_id for one in answered_in(row)}
    lost = truth.answered.get(row.task_id, set()) - kept
    demand(35, not lost, f"{row.task_id} is {row.state}, and the answers to {sorted(lost)} are gone")


def answered_in(row: Task) -> list[Question]:
    asked = (*row.answers, row.question) if row.question is not None else row.answers
    return [one for one in asked if one.answer is not None]


@invariant(36)
def an_answer_is_of_its_question(truth: Truth, task_id: TaskId, request_id: RequestId, value: bytes) -> None:
    """What was answered to one question is never told as the answer to another one. (What was told before a
    backup was restored may still be on its way.)
    """
    written = truth.given.get((task_id, request_id))
    demand(36, written == value or truth.era > 0, f"{request_id} is told {value!r}, written was {written!r}")


def an_answered_question_waits_for_nobody(truth: Truth, row: Task) -> None:
    """Also 36: an answer stands as it was given, and who asks again gets it."""
    for one in answered_in(row):
        value = bytes(one.answer or b"")
        first = truth.given.setdefault((row.task_id, one.request_id), value)
        demand(36, first == value, f"{one.request_id} was answered {first!r}, and now {value!r}")
    known = {one.request_id for one in row.answers}
    is_open = row.question is not None and row.question.answer is None
    if is_open and row.question is not None:
        demand(36, row.question.request_id not in known, f"{row.question.request_id} is open, and answered")


def a_run_is_told_what_it_asked(
    truth: Truth, task_id: TaskId, asked: RequestId | None, told: RequestId, value: bytes
) -> None:
    """36, at the run."""
    an_answer_is_of_its_question(truth, task_id, told, value)
    demand(36, asked in (None, told), f"{task_id} asks {asked} and is told {told}")


def the_open_question_is_the_one_asked(frame: InputRequired, answer: Answer) -> None:
    """36, on the way in: what a run asks is what its task waits for."""
    for change in answer.changes:
        if isinstance(change, TaskSaved) and change.task.question is not None:
            open_id = change.task.question.request_id
            demand(36, open_id == frame.request_id, f"asked was {frame.request_id}, open is {open_id}")


def after_restore(truth: Truth) -> None:
    """Yesterday's file: what was answered after it was copied is not there."""
    truth.given = {
        (row.task_id, one.request_id): bytes(one.answer or b"")
        for row in truth.rows.values()
        for one in answered_in(row)
    }
    truth.answered = {
        task_id: {request_id for request_id in asked if (task_id, request_id) in truth.given}
        for task_id, asked in truth.answered.items()
    }
