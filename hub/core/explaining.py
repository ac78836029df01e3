"""Why is it not running, and why does it idle: the rules of the scheduler, asked by a person.

Owns the explanations of one task and of the fleet. Never decides: `first_rule` and `Rations.why_not` do, for
the scheduler as for these.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from msgspec import Struct

from hub.core.demands import (
    DEPENDENCY,
    KEY_AT_LIMIT,
    KEY_AT_RATE,
    LATER,
    Demand,
    Scene,
    demand_of,
    first_rule,
)
from hub.core.fleet import Fleet
from hub.core.line import Line
from hub.core.seats import Agent
from hub.core.task import State, Task
from hub.core.waiting import Waiting
from protocol.ids import AgentId, TaskId

LINES_EXPLAINED_MAX: Final = 100
"""Lines that an idle agent is held against, the best ones."""

AGENTS_EXPLAINED_MAX: Final = 100
"""Idle agents in one answer: with the lines that is 10,000 rules, a few milliseconds of the hub."""

NO_TASK_WAITS: Final = "no_task_waits"

REASONS: Final = {
    DEPENDENCY: "it waits for other tasks",
    KEY_AT_LIMIT: "as many tasks of its key are at work as may be",
    KEY_AT_RATE: "as many tasks of its key have begun lately as may",
}


class Exclusion(Struct, frozen=True):
    """One agent, and the first rule that keeps the task from it."""

    agent_id: AgentId
    rule: str


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a task is not running: a sentence about the task, and a reason for each agent."""

    task_id: TaskId
    state: str
    reason: str
    rule: str | None = None
    """What keeps it from everybody, if something does."""
    wait_ms: int | None = None
    """How long that lasts, if time alone ends it."""
    waits_for: tuple[TaskId, ...] = ()
    agents: tuple[Exclusion, ...] = ()


class Bar(Struct, frozen=True):
    rule: str
    wait_ms: int | None = None


def bar_of(task: Task, waiting: Waiting, now_ms: int) -> Bar | None:
    """What keeps a queued task from everybody."""
    wait_ms = task.not_before_ms - now_ms if task.not_before_ms > now_ms else None
    if task.waits_for:
        return Bar(DEPENDENCY, wait_ms)
    if wait_ms is not None:
        return Bar(LATER, wait_ms)
    barred = waiting.rations.why_not(task.spec, now_ms)
    if barred is None:
        return None
    return Bar(barred.rule, None if barred.opens_ms is None else barred.opens_ms - now_ms)


def explain(task: Task, waiting: Waiting, fleet: Fleet, now_ms: int, *, is_hub_draining: bool) -> Explanation:
    """The same rules as the pass. A waiting task with an agent that no rule excludes is taken in the next
    pass.
    """
    if task.state is not State.QUEUED:
        return Explanation(task_id=task.task_id, state=task.state.value, reason=f"it is {task.state.value}")
    bar = bar_of(task, waiting, now_ms)
    rule = None if bar is None else bar.rule
    demand, scene = demand_of(task.spec), Scene(task.task_id, now_ms, is_hub_draining, rule)
    rules = [(agent.agent_id, first_rule(demand, agent, scene)) for agent in fleet.agents.values()]
    return Explanation(
        task_id=task.task_id,
        state=task.state.value,
        reason=reason_of_wait(task, demand, fleet, rule, [rule for _, rule in rules]),
        rule=rule,
        wait_ms=None if bar is None else bar.wait_ms,
        waits_for=task.waits_for,
        agents=tuple(Exclusion(agent_id, rule) for agent_id, rule in rules if rule is not None),
    )


def reason_of_wait(
    task: Task, demand: Demand, fleet: Fleet, barred_by: str | None, rules: list[str | None]
) -> str:
    """One sentence over all agents."""
    if barred_by == LATER:
        return "it waits before it is tried again" if task.generation else "it is to start later"
    if barred_by is not None:
        return REASONS[barred_by]
    if not rules:
        return "no agent has ever connected"
    if demand.agent_id is not None and demand.agent_id not in fleet.agents:
        return "the agent that is meant has never connected"
    return "an agent is free and it is next" if None in rules else "no agent can take it now"


# --- why does it idle? --------------------------------------------------------------------------------------


class LineExplained(Struct, frozen=True, kw_only=True):
    """One line of waiting tasks, and why its first one does not go to this agent."""

    task_id: TaskId
    """The one at the front."""
    waiting: int
    slot: str
    rule: str | None
    """None: it goes to this agent in the next pass, or to one that is as good."""


class IdleAgent(Struct, frozen=True, kw_only=True):
    """An agent with a free slot."""

    agent_id: AgentId
    free: dict[str, int]
    reason: str
    """`no_task_waits`, or the rule that keeps most of the lines from it."""
    lines: tuple[LineExplained, ...] = ()


class FleetExplanation(Struct, frozen=True, kw_only=True):
    agents: tuple[IdleAgent, ...]
    agents_left_out: int
    lines_left_out: int
    waiting: dict[str, int]
    """Queued tasks: `in_line`, and by what keeps the others from a line."""


def explain_fleet(
    agents: Iterable[Agent], waiting: Waiting, now_ms: int, counts: dict[str, int], *, is_hub_draining: bool
) -> FleetExplanation:
    """Each of these agents that has a free slot, held against the best lines."""
    lines = list(islice(waiting.best_lines(), LINES_EXPLAINED_MAX))
    idle = [agent for agent in agents if agent.is_connected and free_of(agent)]
    found = (explain_agent(agent, lines, now_ms, is_hub_draining) for agent in idle[:AGENTS_EXPLAINED_MAX])
    return FleetExplanation(
        agents=tuple(found),
        agents_left_out=max(0, len(idle) - AGENTS_EXPLAINED_MAX),
        lines_left_out=waiting.lines - len(lines),
        waiting=counts,
    )


def free_of(agent: Agent) -> dict[str, int]:
    return {kind: free for kind in agent.kinds() if (free := agent.free_of(kind)) > 0}


def explain_agent(agent: Agent, lines: list[Line], now_ms: int, is_hub_draining: bool) -> IdleAgent:
    found = []
    for line in lines:
        front = line.first()
        assert front is not None, "a line in a group has a front"
        rule = first_rule(line.demand, agent, Scene(front.task_id, now_ms, is_hub_draining))
        found.append(
            LineExplained(task_id=front.task_id, waiting=line.live, slot=line.demand.slot, rule=rule)
        )
    rules = [one.rule or "next" for one in found]
    return IdleAgent(
        agent_id=agent.agent_id,
        free=free_of(agent),
        reason=max(rules, key=rules.count, default=NO_TASK_WAITS),
        lines=tuple(found),
    )
