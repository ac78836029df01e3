"""What callers get to see: a task, an agent, a page of either, as one structure in list, get and feed.

Owns the shapes of answers and the one function each that makes them. Never reads a table and never decides.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from hub.core.matching import Explanation
from hub.core.task import Ending, Question, Task, Usage
from hub.ports import CommittedEvent
from hub.store.queries import LogLine


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


class TaskView(Struct, frozen=True, kw_only=True):
    """A task as contracts §2 names it, older readers' `id` and `status` beside ours."""

    task_id: str
    id: str
    state: str
    status: str
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
    state: str


class QueuedView(Struct, frozen=True, kw_only=True):
    status: str
    task_id: str
    priority: str
    created_at: int


class BatchView(Struct, frozen=True, kw_only=True):
    items: tuple[dict[str, object], ...]


class StatusView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The word for what was done, and to what."""

    status: str
    task_id: str | None = None
    agent_id: str | None = None
    priority: str | None = None
    id: str | None = None
    up_to: int | None = None


class EventView(Struct, frozen=True, kw_only=True):
    """A line of the feed. Passing ones have no cursor."""

    cursor: str | None
    event: str
    task_id: str | None
    agent_id: str | None
    generation: int | None
    timestamp: int
    payload: Raw


def view_event(event: CommittedEvent, epoch: str) -> EventView:
    return EventView(
        cursor=f"{epoch}:{event.offset}",
        event=event.event,
        task_id=event.task_id,
        agent_id=event.agent_id,
        generation=event.generation,
        timestamp=event.timestamp,
        payload=event.payload,
    )


class EventPage(Struct, frozen=True, kw_only=True):
    events: tuple[EventView, ...]
    count: int
    next: int | None


class LogLineView(Struct, frozen=True, kw_only=True):
    n: int
    generation: int
    timestamp: int
    level: str
    kind: str
    text: str
    data: Raw | None


def view_log_line(line: LogLine) -> LogLineView:
    return LogLineView(
        n=line.n,
        generation=line.generation,
        timestamp=line.wall_ms,
        level=line.level,
        kind=line.kind,
        text=line.text,
        data=line.data,
    )


class LogPage(Struct, frozen=True, kw_only=True):
    lines: tuple[LogLineView, ...]
    count: int
    next: int | None


class StatsView(Struct, frozen=True, kw_only=True):
    states: dict[str, int]


class ExclusionView(Struct, frozen=True, kw_only=True):
    """An agent, and the first rule that keeps the task from it."""

    agent_id: str
    rule: str


class ExplanationView(Struct, frozen=True, kw_only=True):
    """Why a task is not running, from the code that decides it."""

    task_id: str
    state: str
    reason: str
    wait_ms: int | None
    agents: tuple[ExclusionView, ...]


def view_explanation(task: Task, found: Explanation | None) -> ExplanationView:
    """An ended task is not on the board; what keeps it from running is that it is over."""
    if found is None:
        return ExplanationView(
            task_id=task.task_id,
            state=task.state.value,
            reason=f"it is {task.state.value}",
            wait_ms=None,
            agents=(),
        )
    return ExplanationView(
        task_id=found.task_id,
        state=found.state,
        reason=found.reason,
        wait_ms=found.wait_ms,
        agents=tuple(ExclusionView(agent_id=one.agent_id, rule=one.rule) for one in found.agents),
    )


class VisitView(Struct, frozen=True, kw_only=True):
    """One connection: when, and how it ended (nulls while it lasts): code, sentence, side, duration."""

    at: int
    version: int
    code: int | None
    reason: str | None
    side: str | None
    duration_ms: int | None


class AgentView(Struct, frozen=True, kw_only=True):
    agent_id: str
    name: str
    status: str
    state: str
    connected: bool
    instance_id: str | None
    version: int | None
    slots: int
    free_slots: int
    capabilities: tuple[str, ...]
    labels: dict[str, str]
    plugins: tuple[str, ...]
    plugin_versions: dict[str, str]
    client_type: str | None
    sdk: str | None
    running_tasks: tuple[str, ...]
    load: float | None
    connected_at: int | None
    last_seen: int
    last_dispatch: int | None
    connections: tuple[VisitView, ...] = ()


class AgentList(Struct, frozen=True, kw_only=True):
    agents: tuple[AgentView, ...]
    count: int


class MailView(Struct, frozen=True, kw_only=True):
    seq: int
    id: str
    from_: str = msgspec.field(name="from")
    message_type: str
    payload: Raw
    reply_to: str | None
    timestamp: int


class MailPage(Struct, frozen=True, kw_only=True):
    messages: tuple[MailView, ...]
    last_seq: int
    count: int


class TokenView(Struct, frozen=True, kw_only=True):
    token_id: str
    role: str
    agent_id: str | None
    label: str
    prefix: str
    created_at: int
    expires_at: int
    last_used_at: int | None
    agent_patterns: tuple[str, ...]
    plugin_patterns: tuple[str, ...]


class TokenList(Struct, frozen=True, kw_only=True):
    tokens: tuple[TokenView, ...]


class NewTokenView(Struct, frozen=True, kw_only=True):
    """The only time that the token itself is shown."""

    token_id: str
    token: str
    role: str
    agent_id: str | None
    expires_at: int


class OnboardView(Struct, frozen=True, kw_only=True):
    agent_id: str
    token: str
    hub_ws_url: str
    hub_api_url: str


class SessionView(Struct, frozen=True, kw_only=True):
    role: str
    label: str
    token_id: str


class HealthView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: str
    service: str | None = None
    agents_connected: int | None = None
    durability: str | None = None
    version: str | None = None
    redis: str | None = None
    """`up` or `down`, where one is configured. A hub whose Redis is down takes work as ever."""
    error: str | None = None
