"""What the hub says to a holder about one task: the order, its recall, and the answers of people.

Owns the contents of these frames, always as a v2 peer hears them, and that an order always fits into one
frame; `v1.py` translates for older ones. Never sends one.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from hub.core.happenings import Moment
from hub.core.task import Question, StepKept, Task
from protocol import limits, rawjson
from protocol.frames import HubFrame, TaskAssign, TaskCancel, TaskInput, TaskRevoke


def offer(task: Task, at: Moment) -> TaskAssign:
    """The order, with all that earlier attempts have left behind."""
    spec = task.spec
    return TaskAssign(
        task_id=task.task_id,
        generation=task.generation,
        assigned_at=at.now.wall_ms,
        description=spec.description,
        metadata=spec.metadata,
        attempt=task.attempt + 1,
        attempts_max=spec.attempts_max,
        plugin=spec.plugin,
        slot=spec.slot or None,
        inputs=spec.inputs,
        deadline_ms=spec.timeout_ms or at.policy.run_ms,
        done=Raw(msgspec.json.encode(task.done)) if task.done else None,
        answers=answers_given(task.answers) if task.answers else None,
        trace=spec.trace,
    )


def answers_given(answers: Iterable[Question]) -> Raw:
    """What people have answered so far, oldest first."""
    given = [{"request_id": question.request_id, "value": question.answer} for question in answers]
    return Raw(msgspec.json.encode(given))


def with_answer(task: Task, answered: Question) -> tuple[Question, ...]:
    """The task's answers and this one: one for each question."""
    others = (given for given in task.answers if given.request_id != answered.request_id)
    return (*others, answered)


def has_room_for(task: Task, answered: Question) -> bool:
    """Whether all answers together could still be handed to a later attempt."""
    text = bytes(answers_given(with_answer(task, answered)))
    return rawjson.flaw_in(text, bytes_max=limits.ANSWERS_BYTES_MAX) is None


def with_step(task: Task, step: StepKept) -> tuple[StepKept, ...] | None:
    """The task's kept steps and this one; None when no later attempt could be told of all of them.

    A step that was done again with another outcome takes those after it away: they were made from the first.
    """
    is_redone = any(kept.index == step.index and kept.output != step.output for kept in task.done)
    others = [
        kept for kept in task.done if kept.index < step.index or (kept.index > step.index and not is_redone)
    ]
    done = tuple(sorted((*others, step), key=lambda kept: kept.index))
    flaw = rawjson.flaw_in(msgspec.json.encode(done), bytes_max=step_bytes_max(task))
    return done if flaw is None else None


def step_bytes_max(task: Task) -> int:
    """What an assign of this task has left for kept steps, with room for every answer that may come."""
    spec = task.spec
    said = len(msgspec.json.encode(spec.description)) + len(bytes(spec.metadata))
    said += len(bytes(spec.inputs)) if spec.inputs is not None else 0
    left = limits.FRAME_BYTES_MAX - limits.ASSIGN_REST_BYTES - limits.ANSWERS_BYTES_MAX - said
    return min(limits.DONE_BYTES_MAX, left)


def answer_again(task: Task) -> tuple[HubFrame, ...]:
    question = task.question
    if question is None or question.answer is None:
        return ()
    return (TaskInput(task_id=task.task_id, request_id=question.request_id, value=question.answer),)


def revoke(task: Task, reason: str) -> TaskRevoke:
    return TaskRevoke(task_id=task.task_id, generation=task.generation, reason=reason)


def cancel_word(task: Task, reason: str, at: Moment) -> TaskCancel:
    return TaskCancel(
        task_id=task.task_id, generation=task.generation, reason=reason, grace_ms=at.policy.cancel_grace_ms
    )
