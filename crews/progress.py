"""How far a crew is: a percentage that never falls and never says that the work is done.

Owns the reckoning from tasks and model calls. Never hears an event and never says a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CEILING: Final = 99
"""100 is said with the result and by nobody else."""

BEGUN: Final = 0.05
"""The share of a task that is done when it has begun."""

LEFT_AFTER_A_CALL: Final = 0.7
"""Each model call leaves this share of what was left of its task: the end comes nearer and is never reached,
however many calls a task makes.
"""


class Meter:
    """The percentage of one run. Tasks that it does not know (a manager's delegations) move nothing."""

    def __init__(self, tasks: int, *, begun_at: int = 0, task_ids: Iterable[str] = ()) -> None:
        self.tasks = max(1, tasks)
        self.begun_at = begun_at
        self._index: dict[str, int] = {}
        self._share: dict[int, float] = {}
        self._done: set[int] = set(range(begun_at))
        self._is_told = False
        self.percent = 0
        self.know(task_ids)
        self._reckon()

    def know(self, task_ids: Iterable[str]) -> None:
        """The ids of the crew's own tasks, in their order."""
        ids = list(task_ids)
        if ids:
            self._is_told = True
            self.tasks = len(ids)
            self._index = {task_id: index for index, task_id in enumerate(ids)}

    def meet(self, task_id: str) -> None:
        """Where nobody told the ids: tasks are counted as they come, as many as there are."""
        if not self._is_told and task_id not in self._index and self.begun_at + len(self._index) < self.tasks:
            self._index[task_id] = self.begun_at + len(self._index)

    def index(self, task_id: str) -> int | None:
        """The place of the task in its crew, from 0; None for a task of somebody else's."""
        return self._index.get(task_id)

    def begin(self, task_id: str) -> None:
        """A task has begun; those before it that neither run nor are done were passed over."""
        index = self.index(task_id)
        if index is None or index in self._done:
            return
        self._done.update(before for before in range(index) if before not in self._share)
        self._share.setdefault(index, BEGUN)
        self._reckon()

    def call(self, task_id: str) -> None:
        """A model is called for a task."""
        index = self.index(task_id)
        if index is not None and index in self._share:
            self._share[index] = 1 - (1 - self._share[index]) * LEFT_AFTER_A_CALL
            self._reckon()

    def finish(self, task_id: str) -> None:
        index = self.index(task_id)
        if index is not None:
            self._share.pop(index, None)
            self._done.add(index)
            self._reckon()

    def _reckon(self) -> None:
        done = (len(self._done) + sum(self._share.values())) / self.tasks
        self.percent = max(self.percent, min(CEILING, int(100 * done)))
