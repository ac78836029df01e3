"""What a board has given away at the end of a turn, and what it has left waiting.

Owns putting a pass before the judges: who goes first (`fairness.py`) and why the others wait (`reasons.py`).
Never changes what it sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hub.core.effects import Answer, TaskSaved
from hub.core.task import Now, State, Task
from protocol.ids import AgentId
from tests.simulation import preferences, reasons

if TYPE_CHECKING:
    from tests.simulation.witness import WatchedBoard
    from tests.simulation.world import World

SEAT_WANTED: Final = "no_free_slot"
"""The rule that says: this agent, if it had one seat more."""

EXPLAINED: Final = 0.2
"""Of passes after which everybody is asked why it waits."""


def judge_pass(board: WatchedBoard, world: World, answer: Answer, now: Now) -> None:
    """At the end of every turn."""
    given = [
        (change.task, holder.agent_id)
        for change in answer.changes
        if isinstance(change, TaskSaved)
        if (holder := change.task.holder) is not None and change.task.state is State.ASSIGNED
    ]
    queue, fairness = world.hub.witness.queue, world.hub.witness.fairness
    queue.passed = [task for task, _ in given]
    waiting = [task for task in board.open_tasks() if task.state is State.QUEUED]
    for task in waiting:
        fairness.see(task)
        if task.not_before_ms <= now.ms and not task.waits_for:
            queue.saw_waiting(task)
    for task, _ in given:
        queue.saw_waiting(task)
    left = [task for task in waiting if reasons.has_none_of_its_own(task, now.ms)]
    fairness.saw_pass(given, left, now.ms)
    preferences.judge(board, queue, [task for task, _ in given], now)
    if given and left:
        fairness.judge(given, _rivals(board, left, {agent_id for _, agent_id in given}, now), now.ms)
    if waiting and world.queue is not None and world.die.random() < EXPLAINED:
        reasons.judge(board, world, waiting, now)


def _rivals(
    board: WatchedBoard, left: list[Task], agents: set[AgentId], now: Now
) -> dict[AgentId, list[Task]]:
    """Of each agent that was given something: who would have been next, but for the seat."""
    rivals: dict[AgentId, list[Task]] = {agent_id: [] for agent_id in agents}
    for task in left:
        explanation = board.explain(task.task_id, now)
        for exclusion in explanation.agents if explanation is not None else ():
            if exclusion.rule == SEAT_WANTED and exclusion.agent_id in rivals:
                rivals[exclusion.agent_id].append(task)
    return rivals
