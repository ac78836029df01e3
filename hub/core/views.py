"""What may be seen of the board from outside, as values.

Owns the pictures for API, health and page. Never changes anything and never hands out what it looks at.
"""

from __future__ import annotations

from msgspec import Struct

from hub.core.office import Office
from hub.core.runs import INNER_PREFIX
from hub.core.seats import Agent, Run
from hub.core.task import State
from protocol.frames import Resting
from protocol.ids import AgentId, InstanceId, TaskId


class SeatView(Struct, frozen=True, kw_only=True):
    """One agent, as the board sees it."""

    agent_id: AgentId
    name: str
    status: str
    state: str
    """`online`, `paused`, `draining`, `resting`, `quarantined` or `offline`: the first that keeps work from
    it.
    """
    is_connected: bool
    instance_id: InstanceId | None
    version: int | None
    slots: int
    free_slots: int
    slot_kinds: dict[str, int]
    free_slot_kinds: dict[str, int]
    resting: Resting | None
    quarantine_reason: str
    quarantine_left_ms: int
    capabilities: tuple[str, ...]
    labels: dict[str, str]
    plugins: tuple[str, ...]
    plugin_versions: dict[str, str]
    client_type: str | None
    sdk: str | None
    running_tasks: tuple[TaskId, ...]
    revoked_seats: int
    revoked_runs: tuple[Run, ...]
    """Called back, and perhaps still alive: each keeps its seat."""
    load: float | None
    connected_wall_ms: int | None
    seen_wall_ms: int
    last_dispatch_wall_ms: int | None


class Counts(Struct, frozen=True, kw_only=True):
    """How much of everything there is."""

    tasks: dict[str, int]
    agents_known: int
    agents_connected: int
    slots: int
    slots_free: int
    rows: dict[str, int]
    """How often each row of the transition table was walked in this life of the hub."""


def view_agent(agent: Agent, now_ms: int) -> SeatView:
    there = agent.is_connected
    return SeatView(
        agent_id=agent.agent_id,
        name=agent.name,
        status=agent.status,
        state=state_of(agent, now_ms),
        is_connected=there,
        instance_id=agent.record.instance_id,
        version=agent.version if there else None,
        slots=agent.slots,
        free_slots=max(0, agent.free_slots),
        slot_kinds=dict(agent.slot_kinds),
        free_slot_kinds={kind: max(0, agent.free_of(kind)) for kind in agent.slot_kinds},
        resting=agent.resting,
        quarantine_reason=agent.quarantine_reason,
        quarantine_left_ms=max(0, agent.quarantined_until_ms - now_ms),
        capabilities=tuple(sorted(agent.capabilities)),
        labels=dict(agent.labels),
        plugins=tuple(sorted(agent.plugins)),
        plugin_versions=dict(agent.plugin_versions),
        client_type=agent.client_type,
        sdk=agent.sdk,
        running_tasks=tuple(sorted(agent.held)),
        revoked_seats=len(agent.revoked),
        revoked_runs=tuple(sorted(agent.revoked)),
        load=agent.load,
        connected_wall_ms=agent.connected_wall_ms if there else None,
        seen_wall_ms=agent.seen_wall_ms,
        last_dispatch_wall_ms=agent.last_dispatch_wall_ms,
    )


def state_of(agent: Agent, now_ms: int) -> str:
    if not agent.is_connected:
        return "offline"
    if agent.record.is_paused:
        return "paused"
    if agent.is_draining:
        return "draining"
    if agent.resting is not None:
        return "resting"
    return "quarantined" if agent.quarantined_until_ms > now_ms else "online"


def count_waiting(office: Office) -> dict[str, int]:
    """Queued tasks by what they wait for: a seat, a time, other tasks, their key."""
    queued = office.counts[State.QUEUED]
    dependants = sum(1 for task in office.tasks.values() if task.waits_for)
    waiting, parked = len(office.waiting), office.waiting.parked
    return {
        "in_line": waiting - parked,
        "later": queued - waiting - dependants,
        "dependency": dependants,
        "key": parked,
    }


def count(office: Office) -> Counts:
    """Of the fleet: agents inside the hub are no hands that anybody could count on."""
    there = [one for one in office.fleet.by_link.values() if not one.agent_id.startswith(INNER_PREFIX)]
    return Counts(
        tasks={state.value: number for state, number in office.counts.items() if number},
        agents_known=len(office.fleet.agents),
        agents_connected=len(there),
        slots=sum(agent.slots for agent in there),
        slots_free=sum(max(0, agent.free_slots) for agent in there),
        rows=dict(office.rows),
    )
