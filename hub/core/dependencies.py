"""Who waits for whom: tasks that begin only when others have completed.

Owns the dependants of every task, the ends that they are still to be told of, and the dependencies that are
not on the board and must be looked up. An end counts once it is durable: what a turn decides is passed on by
a later one. Never changes a task; `aftermath.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from hub.core.task import FINAL, Fault, Spec, State, Task
from protocol.ids import TaskId


class Outcome(Struct, frozen=True, kw_only=True):
    """How a task stands, as far as those that wait for it must know."""

    task_id: TaskId
    state: State | None
    """None where there is no such task (any more)."""
    how: str = ""
    whose_fault: Fault | None = None

    @property
    def is_open(self) -> bool:
        return self.state is not None and self.state not in FINAL


def outcome_of(task: Task) -> Outcome:
    if task.ending is None:
        return Outcome(task_id=task.task_id, state=task.state)
    return Outcome(
        task_id=task.task_id, state=task.state, how=task.ending.how, whose_fault=task.ending.whose_fault
    )


class Dependencies:
    """The dependants of each task, and what is known of tasks that are not on the board."""

    __slots__ = ("_asked", "_dependants", "_ended", "_is_open", "_known", "_news", "_on_shelf", "_same_as")

    def __init__(self, is_open: Callable[[TaskId], bool], on_shelf: Callable[[TaskId], Task | None]) -> None:
        self._is_open = is_open
        self._on_shelf = on_shelf
        self._dependants: dict[TaskId, dict[TaskId, None]] = {}
        self._ended: dict[TaskId, Outcome] = {}
        """What this turn has ended: not durable yet."""
        self._known: dict[TaskId, Outcome] = {}
        """Read for this turn."""
        self._same_as: dict[TaskId, TaskId] = {}
        """Of this turn: ids that were asked for, and the older tasks that answer for them."""
        self._asked: dict[TaskId, None] = {}
        """Not on the board, and how they stand is not known here."""
        self._news: dict[TaskId, Outcome] = {}
        """Durable ends, and dependencies that are gone: their dependants are still to be told."""

    # --- standing ------------------------------------------------------------------------------------------

    def meant(self, task_id: TaskId) -> TaskId:
        """The task that answers for this id: of a repeated push, the one of the first time."""
        return self._same_as.get(task_id, task_id)

    def resolved(self, spec: Spec) -> Spec:
        """Depending on the tasks that are meant, each once."""
        meant = tuple(dict.fromkeys(map(self.meant, spec.depends_on)))
        return spec if meant == spec.depends_on else replace(spec, depends_on=meant)

    def answers_for(self, task_id: TaskId, asked_for: TaskId) -> None:
        if task_id != asked_for:
            self._same_as[asked_for] = task_id

    def look(self, task_id: TaskId) -> Outcome | None:
        """How a task that is not on the board stands: None when nobody has read it."""
        shelved = self._on_shelf(task_id)
        if shelved is not None:
            return outcome_of(shelved)
        return self._ended.get(task_id) or self._known.get(task_id)

    def holds_up(self, task_id: TaskId) -> bool:
        """Whether a task that begins after this one must wait: it is open, it has not completed, or its
        completion is not durable yet.
        """
        if self._is_open(task_id) or task_id in self._ended:
            return True
        outcome = self.look(task_id)
        return outcome is None or outcome.state is not State.COMPLETED

    def waited_for(self) -> frozenset[TaskId]:
        """Every task that an open one waits for."""
        return frozenset(self._dependants)

    # --- coming and going ----------------------------------------------------------------------------------

    def enter(self, task: Task) -> None:
        """It is on the board, and waits for all of its `waits_for`."""
        for task_id in task.waits_for:
            self._dependants.setdefault(task_id, {})[task.task_id] = None
            self._follow_up(task_id)

    def leave(self, task: Task) -> None:
        for task_id in task.waits_for:
            dependants = self._dependants.get(task_id)
            if dependants is not None:
                dependants.pop(task.task_id, None)
                if not dependants:
                    del self._dependants[task_id]

    def _follow_up(self, task_id: TaskId) -> None:
        """Of a dependency that is not on the board there is news, or it must be looked up."""
        if self._is_open(task_id) or task_id in self._ended or task_id in self._news:
            return
        outcome = self.look(task_id)
        if outcome is None:
            self._asked[task_id] = None
        else:
            self._news[task_id] = outcome

    def note_end(self, task: Task) -> None:
        """It has ended in this turn: `settle` says whether that became durable."""
        self._ended[task.task_id] = outcome_of(task)

    # --- turns ---------------------------------------------------------------------------------------------

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Read for `wanted`, or for a push. One that is open somewhere else is left to its own end."""
        for outcome in outcomes:
            self._known[outcome.task_id] = outcome
            is_asked = outcome.task_id in self._asked
            self._asked.pop(outcome.task_id, None)
            if is_asked and not outcome.is_open:
                self._news[outcome.task_id] = outcome

    def settle(self, refused: Iterable[TaskId]) -> None:
        """The commit is through, and the board as the ledger has it: what ended is to be passed on."""
        ended, self._ended = self._ended, {}
        for task_id in refused:
            ended.pop(task_id, None)
            self._news.pop(task_id, None)
            if task_id in self._dependants:
                self._follow_up(task_id)
        for task_id, outcome in ended.items():
            if task_id in self._dependants:
                self._news[task_id] = outcome
        self._known.clear()
        self._same_as.clear()

    @property
    def has_news(self) -> bool:
        """Whether the next turn has something to pass on or to look up."""
        return bool(self._news or self._asked)

    def wanted(self, count: int) -> frozenset[TaskId]:
        """Dependencies to be looked up; at most so many at once."""
        return frozenset(islice(self._asked, count))

    def take(self, count: int) -> Iterator[tuple[Outcome, TaskId]]:
        """Ends and those to be told of them, at most so many. Each is told once.

        They are taken by the piece: whoever takes the first of a dict one by one steps over all that were
        taken before, every time.
        """
        for task_id, outcome in tuple(islice(self._news.items(), count)):
            dependants = self._dependants.get(task_id, {})
            told = () if self._is_open(task_id) else tuple(islice(dependants, count))
            for dependant in told:
                del dependants[dependant]
            count -= len(told)
            if told and not dependants:
                del self._dependants[task_id]
            if self._is_open(task_id) or not dependants:
                del self._news[task_id]
            yield from ((outcome, dependant) for dependant in told)
            if count <= 0:
                return
