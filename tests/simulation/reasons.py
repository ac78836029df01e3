"""Why does it wait? What the hub explains is held against what the world knows.

Owns invariant 48: of a task that waits every agent is excluded by a rule, and the rule that is named is true
of that agent now. What decides is the shipped code; what is true is known here from letters and rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from hub.core.task import Now, Task
from hub.core.views import SeatView
from tests.simulation.invariants import demand, invariant

if TYPE_CHECKING:
    from tests.simulation.queuewatch import QueueWatch
    from tests.simulation.witness import WatchedBoard
    from tests.simulation.world import World

DECLINED_MS: Final = 30_000
"""`Policy.declined_max_ms`: no longer is a task not offered to an agent that has declined it."""


class Case(NamedTuple):
    """One task and one agent, and all that is known of them."""

    task: Task
    agent: SeatView
    board: WatchedBoard
    watch: QueueWatch
    now: Now


def has_none_of_its_own(task: Task, now_ms: int) -> bool:
    """Whether only seats can be what it waits for."""
    return task.not_before_ms <= now_ms and not task.waits_for and task.spec.concurrency_key is None


@invariant(48)
def an_explanation_is_true(case: Case, rule: str | None) -> None:
    """Every task that waits after a pass has, of each agent, a rule that excludes it, and that is so."""
    who = f"{case.task.task_id} and {case.agent.agent_id}"
    demand(48, rule is not None, f"{who}: no rule is in the way, and it was not given")
    assert rule is not None
    is_true = rule not in IS_TRUE or IS_TRUE[rule](case)
    demand(48, is_true, f"{who}: `{rule}` is said, and is not so: {case.task} {case.agent}")


def judge(board: WatchedBoard, world: World, waiting: list[Task], now: Now) -> None:
    """Everything that waits, at a random moment after a pass."""
    agents = board.view_agents(now)
    for task in waiting:
        explanation = board.explain(task.task_id, now)
        rules = {} if explanation is None else {one.agent_id: one.rule for one in explanation.agents}
        for agent in agents:
            rule = rules.get(agent.agent_id)
            if rule is not None:
                world.tally.hit(word_of(rule))
            an_explanation_is_true(Case(task, agent, board, world.hub.witness.queue, now), rule)


def word_of(rule: str) -> str:
    return f"said: {rule}"


# --- what each rule claims --------------------------------------------------------------------------------


def _is_meant_elsewhere(case: Case) -> bool:
    return case.task.spec.assign_to not in (None, case.agent.agent_id)


def _is_hub_draining(case: Case) -> bool:
    return case.watch.is_hub_draining


def _is_away(case: Case) -> bool:
    return case.agent.agent_id not in case.board.live


def _lacks_label(case: Case) -> bool:
    card = case.watch.card_of(case.agent.agent_id)
    return not case.task.spec.needed_labels.items() <= card.labels.items()


def _lacks_kind(case: Case) -> bool:
    slot = case.task.spec.slot
    return slot != "" and slot not in case.watch.card_of(case.agent.agent_id).kinds


def _has_declined(case: Case) -> bool:
    at_ms = case.watch.declined_ms.get((case.task.task_id, case.agent.agent_id))
    return at_ms is not None and case.watch.now_ms - at_ms <= DECLINED_MS


def _is_full(case: Case) -> bool:
    """Revoked seats may be of any kind: so many at the most are taken."""
    slot, agent = case.task.spec.slot, case.agent
    card = case.watch.card_of(agent.agent_id)
    slots = card.kinds.get(slot, 0) if slot else card.slots
    held = [
        task
        for task in case.board.open_tasks()
        if task.holder is not None and task.holder.agent_id == agent.agent_id and task.spec.slot == slot
    ]
    return len(held) + agent.revoked_seats >= slots


def _is_limited(case: Case) -> bool:
    """As many of the key are held as may be, those included whose end nobody has seen."""
    spec = case.task.spec
    held = [
        task
        for task in case.board.open_tasks()
        if task.holder is not None and task.spec.concurrency_key == spec.concurrency_key
    ]
    revoked = sum(agent.revoked_seats for agent in case.board.view_agents(case.now))
    return spec.limit is not None and len(held) + revoked >= spec.limit


def _is_too_often(case: Case) -> bool:
    """So many have begun within the time, or the hub is too young to know."""
    spec = case.task.spec
    if spec.rate is None or spec.concurrency_key is None:
        return False
    count = case.watch.starts_in(spec.concurrency_key, spec.rate.per_ms, case.now.ms)
    return count >= spec.rate.count or case.now.ms - case.watch.begun_hub_ms < spec.rate.per_ms


IS_TRUE: Final[dict[str, Callable[[Case], bool]]] = {
    "another_agent_is_meant": _is_meant_elsewhere,
    "hub_is_draining": _is_hub_draining,
    "not_connected": _is_away,
    "paused": lambda case: case.agent.agent_id in case.watch.paused,
    "resting": lambda case: case.watch.card_of(case.agent.agent_id).is_resting,
    "quarantined": lambda case: case.agent.agent_id in case.watch.quarantined,
    "missing_label": _lacks_label,
    "no_slot_of_kind": _lacks_kind,
    "declined_recently": _has_declined,
    "no_free_slot": _is_full,
    "later": lambda case: case.task.not_before_ms > case.now.ms,
    "waits_for_dependency": lambda case: bool(case.task.waits_for),
    "key_at_limit": _is_limited,
    "key_at_rate": _is_too_often,
}
"""Of the rules that are not here (`draining`, what no world of this kind has) nothing is known apart."""

SAID: Final = tuple(word_of(rule) for rule in IS_TRUE)
"""Each must have been heard, in many schedules (34)."""
