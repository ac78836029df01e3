"""What a task asks of an agent, and every rule by which an agent does not get it.

Owns `Demand` and `first_rule`, which decides for the scheduler and for `explain` alike, so that they cannot
disagree. Never looks at more than one task and one agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from hub.core.runs import INNER_PREFIX, STREAMS_AGENT
from hub.core.seats import Agent
from hub.core.task import Spec
from hub.core.words import FLEET_WORD, agent_word, capability_word, label_word, plugin_word
from protocol.ids import AgentId, TaskId


class Demand(Struct, frozen=True):
    """Tasks with the same demand wait in one line: whoever may have one of them may have any."""

    agent_id: AgentId | None = None
    plugin: str | None = None
    capabilities: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    slot: str = ""

    @property
    def is_for_anybody(self) -> bool:
        """Neither an agent is named nor a plugin: that is work for the fleet, and for no part of the hub."""
        return self.agent_id is None and self.plugin is None

    def words(self) -> Iterator[str]:
        """What an agent must be found by, the most telling first. The kind of slot is looked at apart."""
        if self.agent_id is not None:
            yield agent_word(self.agent_id)
        yield from (label_word(name, value) for name, value in sorted(self.labels))
        yield from (capability_word(name) for name in sorted(self.capabilities))
        if self.plugin is not None:
            yield plugin_word(self.plugin)
        if self.is_for_anybody:
            yield FLEET_WORD


def demand_of(spec: Spec) -> Demand:
    """A run that goes out by streams asks for the agent that sends it, which offers no plugin itself."""
    if spec.run is not None and spec.run.route == "streams":
        return Demand(STREAMS_AGENT)
    return Demand(
        spec.assign_to,
        spec.plugin,
        frozenset(spec.needed_capabilities),
        frozenset(spec.needed_labels.items()),
        spec.slot,
    )


class Scene(Struct, frozen=True):
    """What the rules may look at besides the demand and the agent."""

    task_id: TaskId
    now_ms: int
    is_hub_draining: bool
    barred_by: str | None = None
    """The rule that keeps the task from everybody, if there is one: a word of `TASK_RULES`."""


LATER: Final = "later"
DEPENDENCY: Final = "waits_for_dependency"
KEY_AT_LIMIT: Final = "key_at_limit"
KEY_AT_RATE: Final = "key_at_rate"
TASK_RULES: Final = (LATER, DEPENDENCY, KEY_AT_LIMIT, KEY_AT_RATE)

Rule = Callable[[Demand, Agent, Scene], bool]


def is_barred_by(name: str) -> Rule:
    return lambda d, a, s: s.barred_by == name


RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("another_agent_is_meant", lambda d, a, s: d.agent_id is not None and d.agent_id != a.agent_id),
    ("inner_agent", lambda d, a, s: d.is_for_anybody and a.agent_id.startswith(INNER_PREFIX)),
    ("hub_is_draining", lambda d, a, s: s.is_hub_draining),
    ("not_connected", lambda d, a, s: a.link_id == 0),
    ("paused", lambda d, a, s: a.record.is_paused),
    ("draining", lambda d, a, s: a.is_draining),
    ("resting", lambda d, a, s: a.resting is not None),
    ("quarantined", lambda d, a, s: a.quarantined_until_ms > s.now_ms),
    ("missing_capability", lambda d, a, s: not d.capabilities <= a.capabilities),
    ("missing_label", lambda d, a, s: not d.labels <= a.labels.items()),
    ("unknown_plugin", lambda d, a, s: d.plugin is not None and d.plugin not in a.plugins),
    ("no_slot_of_kind", lambda d, a, s: a.slots_of(d.slot) == 0),
    ("declined_recently", lambda d, a, s: a.declined.get(s.task_id, 0) > s.now_ms),
    ("no_free_slot", lambda d, a, s: a.free_of(d.slot) <= 0),
    *((name, is_barred_by(name)) for name in TASK_RULES),
)
"""In the order in which they are asked: each names why this agent does not get this task. The last ones are
about the task alone: named of an agent, they say that it would fit.
"""

REACH_RULES: Final = frozenset(
    {"hub_is_draining", "not_connected", "paused", "draining", "resting", "quarantined"}
)
"""Those that make a push for this agent a refusal, unless it may wait."""


def first_rule(demand: Demand, agent: Agent, scene: Scene) -> str | None:
    """The first rule that excludes this agent, or None: it may have the task."""
    for name, excludes in RULES:
        if excludes(demand, agent, scene):
            return name
    return None
