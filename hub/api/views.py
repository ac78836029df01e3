"""What callers get to see of agents, events, tokens and the rest; of tasks: `views_tasks.py`.

Owns the shapes of answers and the one function each that makes them. Never reads a table and never decides.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from hub.api.words import StateWord
from hub.core.explaining import Explanation
from hub.core.task import Task
from hub.ports import CommittedEvent
from hub.store.queries import LogLine
from protocol.frames import Resting


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
    state: StateWord
    reason: str
    rule: str | None = None
    """What keeps it from every agent, if something does."""
    wait_ms: int | None
    waits_for: tuple[str, ...] = ()
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
        rule=found.rule,
        wait_ms=found.wait_ms,
        waits_for=found.waits_for,
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
    slot_kinds: dict[str, int]
    free_slot_kinds: dict[str, int]
    resting: Resting | None
    """Why it takes no new work, by its owner's own rules, and until when as far as that is known."""
    quarantine_reason: str | None
    quarantine_left_ms: int
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
    next: str | None = None
    """The cursor of the page after it, where a limit was asked for."""


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
    next: str | None = None
    """The cursor of the page after it, where a limit was asked for."""


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
