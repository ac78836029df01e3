"""Who goes first: the most urgent, then whose submitter's turn it is; and nobody waits for ever.

Owns invariants 46 and 47, judged at the end of every pass of a board: what it has given away, and what it has
left waiting that could have had the same seat. Levels and turns are worked out here, with what any reading of
the rules allows; the board's own are never asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from hub.core.task import Task
from protocol.ids import AgentId, TaskId
from tests.simulation.invariants import demand, invariant
from tests.simulation.sometimes import Sometimes

if TYPE_CHECKING:
    from tests.simulation.world import World


class Level(NamedTuple):
    """Between which levels a task may stand now: 0 is served first."""

    best: int
    worst: int


@invariant(46)
def the_most_urgent_goes_first(given: Task, left: Task, level: Level, other: Level) -> None:
    """Of those that could have a seat the most urgent gets it, where waiting long enough makes urgent."""
    text = f"{given.task_id} at level {level} was given a seat, and {left.task_id} at {other} was left"
    demand(46, other.worst >= level.best, text)


@invariant(47)
def submitters_take_turns(left: Task, submitter: str, passed: int, due: int) -> None:
    """Nobody is passed over: before the n-th task of a submitter, of each other one at most n + 1 begin."""
    text = f"{left.task_id} of {left.spec.submitted_by} was passed over {passed} times by {submitter}"
    demand(47, passed <= due, f"{text}, {due} would have been fair")


Line = tuple[object, ...]


def line_of(task: Task) -> Line:
    """Tasks that ask for the same."""
    spec = task.spec
    labels, liked = tuple(sorted(spec.needed_labels.items())), tuple(sorted(spec.preferred_labels.items()))
    return (spec.assign_to, spec.plugin, spec.needed_capabilities, labels, liked, spec.slot, spec.sticky_key)


class Fairness:
    """Of one world, in one life of its hub."""

    __slots__ = ("_entered", "_known_ms", "_passed", "_since_ms", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self._known_ms: dict[TaskId, int] = {}
        """When a task was first seen at all, by the time of the world."""
        self._since_ms: dict[TaskId, int] = {}
        """Since when it has been seen in line, without a break."""
        self._entered: Counter[tuple[Line, str]] = Counter()
        self._passed: defaultdict[TaskId, Counter[str]] = defaultdict(Counter)

    def begin_life(self) -> None:
        """All that stood in line stands there anew."""
        self._since_ms.clear()
        self._entered.clear()
        self._passed.clear()

    def forget(self, task_id: TaskId) -> None:
        """Its row was read again: it lines up anew."""
        self._since_ms.pop(task_id, None)
        self._passed.pop(task_id, None)

    def saw_pass(self, given: list[tuple[Task, AgentId]], left: list[Task], now_ms: int) -> None:
        """`left`: all that waits and has no reason of its own to; `now_ms` by the clock of the hub's life."""
        self._line_up([task for task, _ in given] + left, now_ms)
        for task, _ in given:
            self._since_ms.pop(task.task_id, None)
            self._passed.pop(task.task_id, None)
        standing = {task.task_id for task in left}
        for task_id in [task_id for task_id in self._since_ms if task_id not in standing]:
            self.forget(task_id)

    def see(self, task: Task) -> None:
        """It is there, whatever it waits for."""
        self._known_ms.setdefault(task.task_id, self.world.scheduler.now_ms)

    def _line_up(self, tasks: list[Task], now_ms: int) -> None:
        for task in tasks:
            if task.task_id not in self._since_ms:
                self._since_ms[task.task_id] = now_ms
                self._entered[line_of(task), task.spec.submitted_by] += 1

    def judge(
        self, given: list[tuple[Task, AgentId]], rivals: dict[AgentId, list[Task]], now_ms: int
    ) -> None:
        """`rivals`: of each agent, those that were left and that it would have taken, had it had one seat
        more.
        """
        for task, agent_id in given:
            for left in rivals.get(agent_id, ()):
                if left.spec.slot == task.spec.slot:
                    self._compare(task, left, now_ms)

    def _compare(self, given: Task, left: Task, now_ms: int) -> None:
        level, other = self.level_of(given, now_ms), self.level_of(left, now_ms)
        the_most_urgent_goes_first(given, left, level, other)
        if given.spec.priority < left.spec.priority:
            self.world.tally.hit(Sometimes.OVERTAKEN.value)
        elif given.spec.priority > left.spec.priority:
            self.world.tally.hit(Sometimes.AGED.value)
        is_even = level == other == Level(given.spec.priority, given.spec.priority)
        is_first_time = given.generation == 1 and left.generation == 0
        if is_even and is_first_time and line_of(given) == line_of(left):
            self._count(given.spec.submitted_by, left)

    def _count(self, submitter: str, left: Task) -> None:
        own = left.spec.submitted_by
        if submitter == own:
            return
        self.world.tally.hit(Sometimes.SHARED.value)
        self._passed[left.task_id][submitter] += 1
        due = self._entered[line_of(left), own] + 1
        submitters_take_turns(left, submitter, self._passed[left.task_id][submitter], due)

    def level_of(self, task: Task, now_ms: int) -> Level:
        """At the best it has aged since it is known, at the worst since it stands in line."""
        ageing_ms, priority = self.world.policy.ageing_ms, int(task.spec.priority)
        known_ms = self.world.scheduler.now_ms - self._known_ms.get(task.task_id, 0)
        since_ms = now_ms - self._since_ms.get(task.task_id, now_ms)
        return Level(max(0, priority - known_ms // ageing_ms), max(0, priority - since_ms // ageing_ms))
