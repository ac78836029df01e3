"""Waiting tasks and free seats: who gets what, and for a task that is not running, why.

Owns the queue by demand, the rules, and one synchronous pass over both. `first_rule` decides for the
scheduler and for `explain` alike, so they cannot disagree. Never assigns: it names pairs.

A task that nobody can take stands in nobody's way (L16): a demand that finds no seat is left alone until an
agent that could serve it has one again, so a pass looks only at demands that something has stirred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import Struct

from hub.core.runs import INNER_PREFIX, STREAMS_AGENT
from hub.core.seats import Agent, Fleet, capability_word, plugin_word
from hub.core.task import Task
from protocol.ids import AgentId, TaskId

CANDIDATES_MAX: Final = 16
"""Fitting agents that are compared for one task: enough to spread the load, and a bound for the pass."""


class Demand(Struct, frozen=True):
    """What a task asks of an agent. Tasks with the same demand wait in one line."""

    agent_id: AgentId | None
    plugin: str | None
    capabilities: frozenset[str]

    @property
    def words(self) -> tuple[str, ...]:
        plugin = () if self.plugin is None else (plugin_word(self.plugin),)
        return (*plugin, *(capability_word(name) for name in self.capabilities))


def demand_of(task: Task) -> Demand:
    """A run that goes out by streams asks for the agent that sends it, which offers no plugin itself."""
    spec = task.spec
    if spec.run is not None and spec.run.route == "streams":
        return Demand(STREAMS_AGENT, None, frozenset())
    return Demand(spec.assign_to, spec.plugin, frozenset(spec.needed_capabilities))


def is_for_anybody(demand: Demand) -> bool:
    """Neither an agent is named nor a plugin: that is work for the fleet, and for no part of the hub."""
    return demand.agent_id is None and demand.plugin is None


class Scene(Struct, frozen=True):
    """What the rules may look at besides the demand and the agent."""

    task_id: TaskId
    now_ms: int
    is_hub_draining: bool


Rule = Callable[[Demand, Agent, Scene], bool]

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("another_agent_is_meant", lambda d, a, s: d.agent_id is not None and d.agent_id != a.agent_id),
    ("inner_agent", lambda d, a, s: is_for_anybody(d) and a.agent_id.startswith(INNER_PREFIX)),
    ("hub_is_draining", lambda d, a, s: s.is_hub_draining),
    ("not_connected", lambda d, a, s: a.link_id == 0),
    ("paused", lambda d, a, s: a.record.is_paused),
    ("draining", lambda d, a, s: a.is_draining),
    ("quarantined", lambda d, a, s: a.quarantined_until_ms > s.now_ms),
    ("missing_capability", lambda d, a, s: not d.capabilities <= a.capabilities),
    ("unknown_plugin", lambda d, a, s: d.plugin is not None and d.plugin not in a.plugins),
    ("declined_recently", lambda d, a, s: a.declined.get(s.task_id, 0) > s.now_ms),
    ("no_free_slot", lambda d, a, s: a.free_slots <= 0),
)
"""In the order in which they are asked: each names why this agent does not get this task."""

REACH_RULES: Final = frozenset({"hub_is_draining", "not_connected", "paused", "draining", "quarantined"})
"""Those that make a push for this agent a refusal, unless it may wait."""


def first_rule(demand: Demand, agent: Agent, scene: Scene) -> str | None:
    """The first rule that excludes this agent, or None: it may have the task."""
    for name, excludes in RULES:
        if excludes(demand, agent, scene):
            return name
    return None


Place = tuple[int, int, int, TaskId]
"""Where a task stands in its line: priority, age, arrival."""


class Waiting:
    """The queue: one line per demand, the most urgent and oldest first."""

    __slots__ = ("_arrivals", "_by_agent", "_lines", "_open", "_places", "stirred")

    def __init__(self) -> None:
        self._lines: dict[Demand, list[Place]] = {}
        self._places: dict[TaskId, tuple[Demand, Place]] = {}
        self._by_agent: dict[AgentId, set[Demand]] = {}
        self._open: set[Demand] = set()
        self._arrivals = 0
        self.stirred: set[Demand] = set()
        """Demands for which something has changed since the last pass."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._places

    def enter(self, task: Task) -> None:
        """Stand in line. Entering twice keeps the place."""
        if task.task_id in self._places:
            return
        demand = demand_of(task)
        self._arrivals += 1
        place = (int(task.spec.priority), task.created_wall_ms, self._arrivals, task.task_id)
        self._places[task.task_id] = (demand, place)
        self.put_back(demand, place)
        self.stirred.add(demand)

    def leave(self, task_id: TaskId) -> None:
        """Out of the line; its place is cleaned up when it comes to the front."""
        self._places.pop(task_id, None)

    def first(self, demand: Demand) -> Place | None:
        """Who is at the front of this line."""
        line = self._lines.get(demand)
        if line is None:
            return None
        while line:
            place = line[0]
            found = self._places.get(place[3])
            if found is not None and found[1] is place:
                return place
            heappop(line)
        del self._lines[demand]
        self._lists_of(demand).discard(demand)
        if demand.agent_id is not None and not self._by_agent[demand.agent_id]:
            del self._by_agent[demand.agent_id]
        return None

    def take_first(self, demand: Demand) -> Place:
        """Out of the heap, not out of the queue: `put_back` or `leave` follows."""
        return heappop(self._lines[demand])

    def put_back(self, demand: Demand, place: Place) -> None:
        """To the place it had, for a later pass."""
        line = self._lines.get(demand)
        if line is None:
            line = self._lines[demand] = []
            self._lists_of(demand).add(demand)
        heappush(line, place)

    def stir_for(self, agent: Agent) -> None:
        """This agent has a free seat: every line it could serve is worth a look."""
        self.stirred |= self._by_agent.get(agent.agent_id, set())
        for demand in self._open:
            if demand.capabilities <= agent.capabilities:
                self.stirred.add(demand)

    def _lists_of(self, demand: Demand) -> set[Demand]:
        if demand.agent_id is None:
            return self._open
        return self._by_agent.setdefault(demand.agent_id, set())


def pairs(
    waiting: Waiting, fleet: Fleet, now_ms: int, *, is_hub_draining: bool
) -> Iterator[tuple[TaskId, Agent]]:
    """One pass. The caller seats each pair before it asks for the next, so that slots are counted as they
    fill.
    """
    for touched in fleet.touched.values():
        if fleet.settle(touched, now_ms):
            waiting.stir_for(touched)
    fleet.touched.clear()
    stirred, waiting.stirred = waiting.stirred, set()
    fronts = [(place, demand) for demand in stirred if (place := waiting.first(demand)) is not None]
    heapify(fronts)  # places differ in their arrival, so demands are never compared
    aside: list[tuple[Demand, Place]] = []
    while fronts and fleet.free:
        place, demand = heappop(fronts)
        scene = Scene(place[3], now_ms, is_hub_draining)
        agent, is_worth_going_on = _choose(demand, fleet, scene)
        if agent is not None:
            waiting.take_first(demand)
            yield place[3], agent
            fleet.to_the_end(agent)
            fleet.settle(agent, now_ms)
        elif is_worth_going_on:
            aside.append((demand, waiting.take_first(demand)))
        else:
            continue  # nobody for this line: it waits until an agent that could serve it has a seat
        after = waiting.first(demand)
        if after is not None:
            heappush(fronts, (after, demand))
    for demand, place in aside:
        waiting.put_back(demand, place)


def _choose(demand: Demand, fleet: Fleet, scene: Scene) -> tuple[Agent | None, bool]:
    """The least loaded of the first agents that fit; else whether another task of this line might fit one."""
    best: Agent | None = None
    fitting = 0
    is_declined = False
    for agent in _candidates(demand, fleet):
        excluded_by = first_rule(demand, agent, scene)
        if excluded_by is None:
            fitting += 1
            if best is None or is_less_loaded(agent, best):
                best = agent
            if fitting >= CANDIDATES_MAX or not (agent.held or agent.load):
                break
        is_declined = is_declined or excluded_by == "declined_recently"
    return best, is_declined


def is_less_loaded(agent: Agent, other: Agent) -> bool:
    """By the share of its seats that is taken; what it reports of itself only orders those that are alike."""
    ours, theirs = len(agent.held) * other.slots, len(other.held) * agent.slots
    return ours < theirs or (ours == theirs and (agent.load or 0.0) < (other.load or 0.0))


def _candidates(demand: Demand, fleet: Fleet) -> Iterable[Agent]:
    if demand.agent_id is None:
        return fleet.free_with(demand.words)
    agent = fleet.free.get(demand.agent_id)
    return () if agent is None else (agent,)


# --- why not? ---------------------------------------------------------------------------------------------


class Exclusion(Struct, frozen=True):
    """One agent, and the first rule that keeps the task from it."""

    agent_id: AgentId
    rule: str


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a task is not running: a sentence about the task, and a reason for each agent."""

    task_id: TaskId
    state: str
    reason: str
    wait_ms: int | None = None
    agents: tuple[Exclusion, ...] = ()


def explain(task: Task, fleet: Fleet, now_ms: int, *, is_hub_draining: bool) -> Explanation:
    """The same rules as the pass. A waiting task with an agent that no rule excludes is taken in the next
    pass.
    """
    if task.state != "queued":
        return Explanation(task_id=task.task_id, state=task.state.value, reason=f"it is {task.state.value}")
    if task.not_before_ms > now_ms:
        reason = "it waits before it is tried again" if task.generation else "it is to start later"
        wait_ms = task.not_before_ms - now_ms
        return Explanation(task_id=task.task_id, state=task.state.value, reason=reason, wait_ms=wait_ms)
    demand, scene = demand_of(task), Scene(task.task_id, now_ms, is_hub_draining)
    reasons = [(agent.agent_id, first_rule(demand, agent, scene)) for agent in fleet.agents.values()]
    return Explanation(
        task_id=task.task_id,
        state=task.state.value,
        reason=reason_of_wait(demand, fleet, [rule for _, rule in reasons]),
        agents=tuple(Exclusion(agent_id, rule) for agent_id, rule in reasons if rule is not None),
    )


def reason_of_wait(demand: Demand, fleet: Fleet, rules: list[str | None]) -> str:
    """One sentence over all agents."""
    if not rules:
        return "no agent has ever connected"
    if demand.agent_id is not None and demand.agent_id not in fleet.agents:
        return "the agent that is meant has never connected"
    return "an agent is free and it is next" if None in rules else "no agent can take it now"
