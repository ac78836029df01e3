"""What the hub says to a holder about one task: the order, its recall, and the answers of people.

Owns the contents of these frames, always as a v2 peer hears them; `v1.py` translates for older ones. Never
sends one.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from hub.core.happenings import Moment
from hub.core.task import Task
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
        inputs=spec.inputs,
        deadline_ms=spec.timeout_ms or at.policy.run_ms,
        done=Raw(msgspec.json.encode(task.done)) if task.done else None,
        answers=answers_given(task) if task.answers else None,
        trace=spec.trace,
    )


def answers_given(task: Task) -> Raw:
    """What people have answered so far, oldest first."""
    given = [{"request_id": question.request_id, "value": question.answer} for question in task.answers]
    return Raw(msgspec.json.encode(given))


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
