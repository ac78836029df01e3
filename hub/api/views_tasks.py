"""What callers get to see of a task: one structure in list, get, feed and notices.

Owns its shape and the one function that makes it. Never reads a table and never decides.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from hub.api.words import StateWord
from hub.core.task import Backoff, Ending, Question, Rate, Task, Usage


class EndingView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    how: str
    whose_fault: str | None = None
    tokens_wasted: int = msgspec.field(default_factory=int)
    stopped: str | None = None
    proof: dict[str, object] | None = None


class QuestionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    request_id: str
    prompt: str
    schema: Raw | None = None
    answered: bool = msgspec.field(default_factory=bool)


class UsageView(Struct, frozen=True, kw_only=True):
    tokens_in: int
    tokens_out: int
    model: str | None
    cost: float | None


class BackoffView(Struct, frozen=True, kw_only=True):
    first_ms: int
    max_ms: int
    jitter: str


class TaskView(Struct, frozen=True, kw_only=True):
    """A task as contracts §2 names it, older readers' `id` and `status` beside ours."""

    task_id: str
    id: str
    state: StateWord
    status: StateWord
    agent_id: str | None
    generation: int
    attempt: int
    attempts_max: int
    strikes: int
    priority: str
    description: str
    metadata: Raw
    plugin: str | None
    inputs: Raw | None
    labels: dict[str, str]
    result: Raw | None
    error: str | None
    progress: float | None
    message: str | None
    usage: UsageView | None
    submitted_by: str
    submitted_at: int
    created_at: int
    updated_at: int
    retry_of: str | None
    assign_to: str | None
    needed_capabilities: tuple[str, ...]
    steps_kept: int
    """Steps that a later attempt need not repeat; their outputs are its business."""
    answers_kept: int
    """Answers of people that a later attempt gets without asking."""
    needed_labels: dict[str, str]
    preferred_labels: dict[str, str]
    slot: str | None
    """The kind of slot that it takes; null is an ordinary one."""
    sticky_key: str | None
    concurrency_key: str | None
    limit: int | None
    rate: Rate | None
    unique_key: str | None
    depends_on: tuple[str, ...]
    waits_for: tuple[str, ...]
    """Of the tasks it depends on, those that have not completed."""
    backoff: BackoffView | None
    timeout_ms: int | None
    accept_timeout_ms: int | None
    lease_ms: int | None
    progress_timeout_ms: int | None
    start_by: int | None
    run_at: int | None
    stream_id: str | None
    question: QuestionView | None = None
    """The open one; in other states than `input_required` nothing waits for it, and it can be answered."""
    ending: EndingView | None = None


def view_ending(ending: Ending | None) -> EndingView | None:
    if ending is None:
        return None
    return EndingView(
        how=ending.how,
        whose_fault=ending.whose_fault.value if ending.whose_fault is not None else None,
        tokens_wasted=ending.tokens_wasted,
        stopped=ending.stopped,
        proof=msgspec.to_builtins(ending.proof) if ending.proof is not None else None,
    )


def view_question(question: Question | None) -> QuestionView | None:
    if question is None:
        return None
    return QuestionView(
        request_id=question.request_id,
        prompt=question.prompt,
        schema=question.schema,
        answered=question.answer is not None,
    )


def view_usage(usage: Usage | None) -> UsageView | None:
    if usage is None:
        return None
    return UsageView(
        tokens_in=usage.tokens_in, tokens_out=usage.tokens_out, model=usage.model, cost=usage.cost
    )


def view_backoff(backoff: Backoff | None) -> BackoffView | None:
    if backoff is None:
        return None
    return BackoffView(first_ms=backoff.first_ms, max_ms=backoff.max_ms, jitter=backoff.jitter)


def answers_kept(task: Task) -> int:
    """One for each question that was answered, taken or not."""
    answered = {given.request_id for given in task.answers}
    if task.question is not None and task.question.answer is not None:
        answered.add(task.question.request_id)
    return len(answered)


def view_task(task: Task) -> TaskView:
    """The one structure of a task."""
    spec = task.spec
    held_by = task.holder or task.last_holder
    return TaskView(
        task_id=task.task_id,
        id=task.task_id,
        state=task.state.value,
        status=task.state.value,
        agent_id=held_by.agent_id if held_by is not None else spec.assign_to,
        generation=task.generation,
        attempt=task.attempt,
        attempts_max=spec.attempts_max,
        strikes=task.strikes,
        priority=spec.priority.word,
        description=spec.description,
        metadata=spec.metadata,
        plugin=spec.plugin,
        inputs=spec.inputs,
        labels=spec.labels,
        result=task.result,
        error=task.error,
        progress=task.progress,
        message=task.message,
        usage=view_usage(task.usage),
        submitted_by=spec.submitted_by,
        submitted_at=spec.submitted_wall_ms,
        created_at=task.created_wall_ms,
        updated_at=task.updated_wall_ms,
        retry_of=spec.retry_of,
        assign_to=spec.assign_to,
        needed_capabilities=spec.needed_capabilities,
        needed_labels=spec.needed_labels,
        preferred_labels=spec.preferred_labels,
        slot=spec.slot or None,
        sticky_key=spec.sticky_key,
        concurrency_key=spec.concurrency_key,
        limit=spec.limit,
        rate=spec.rate,
        unique_key=spec.unique_key,
        depends_on=spec.depends_on,
        waits_for=task.waits_for,
        backoff=view_backoff(spec.backoff),
        timeout_ms=spec.timeout_ms,
        accept_timeout_ms=spec.accept_ms,
        lease_ms=spec.lease_ms,
        progress_timeout_ms=spec.progress_ms,
        start_by=spec.start_by_wall_ms,
        run_at=spec.run_at_wall_ms,
        stream_id=spec.stream_id,
        steps_kept=len(task.done),
        answers_kept=answers_kept(task),
        question=view_question(task.question),
        ending=view_ending(task.ending),
    )


class TaskPage(Struct, frozen=True, kw_only=True):
    tasks: tuple[TaskView, ...]
    count: int
    next: str | None


class PushedView(Struct, frozen=True, kw_only=True):
    status: str
    task_id: str
    agent_id: str
    state: StateWord


class QueuedView(Struct, frozen=True, kw_only=True):
    status: str
    task_id: str
    priority: str
    created_at: int


class BatchView(Struct, frozen=True, kw_only=True):
    items: tuple[dict[str, object], ...]
