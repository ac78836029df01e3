"""Of all agents that could have it, who gets a task?

Owns invariant 53: whoever had the last task of its sticky key, else one that carries as many of the labels
that it prefers as anybody who could have had it. Soft: an agent that could not have it is no reason to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.core.task import Now, Task
from hub.core.views import SeatView
from protocol.ids import AgentId
from tests.simulation.invariants import demand, invariant
from tests.simulation.sometimes import Sometimes

if TYPE_CHECKING:
    from tests.simulation.queuewatch import QueueWatch
    from tests.simulation.witness import WatchedBoard


@invariant(53)
def the_best_agent_has_it(task: Task, last: AgentId | None, fitting: dict[AgentId, dict[str, str]]) -> None:
    """`fitting`: the labels of the agents that could have had it, and of the one that has it; `last` had
    its sticky key.
    """
    assert task.holder is not None, "it was given away"
    given = task.holder.agent_id
    if last in fitting:
        demand(53, given == last, f"{task.task_id} sticks to {last}, and was given to {given}")
        return
    most = max(liked(task, labels) for labels in fitting.values())
    text = f"{task.task_id} prefers {task.spec.preferred_labels}, and was given to {given} of {fitting}"
    demand(53, liked(task, fitting[given]) == most, text)


def liked(task: Task, labels: dict[str, str]) -> int:
    return len(task.spec.preferred_labels.items() & labels.items())


def judge(board: WatchedBoard, watch: QueueWatch, given: list[Task], now: Now) -> None:
    """What a pass has given away, in order."""
    agents = board.view_agents(now) if any(has_preferences(task) for task in given) else ()
    for task in given:
        key = task.spec.sticky_key
        last = None if key is None else watch.sticky.get(key)
        if has_preferences(task):
            fitting = {agent.agent_id: agent.labels for agent in agents if could_have(task, agent, watch)}
            the_best_agent_has_it(task, last, fitting)
        if key is not None and task.holder is not None:
            if last == task.holder.agent_id:
                watch.world.tally.hit(Sometimes.STUCK.value)
            watch.sticky[key] = task.holder.agent_id


def has_preferences(task: Task) -> bool:
    return task.spec.sticky_key is not None or bool(task.spec.preferred_labels)


def could_have(task: Task, agent: SeatView, watch: QueueWatch) -> bool:
    """Whether it could have had this task as well: it has another slot for it now, after the pass. The one
    that was given it is looked at as it is.
    """
    spec = task.spec
    if task.holder is not None and task.holder.agent_id == agent.agent_id:
        return True
    free = agent.free_slot_kinds.get(spec.slot, 0) if spec.slot else agent.free_slots
    is_meant = spec.assign_to in (None, agent.agent_id)
    is_willing = (task.task_id, agent.agent_id) not in watch.declined_ms
    has_labels = spec.needed_labels.items() <= agent.labels.items()
    return agent.state == "online" and free > 0 and is_meant and is_willing and has_labels
