"""Tasks that are over, for as long as somebody may still ask: late frames, repeated keys, retries.

Owns a bounded cache of rows that are not on the board. What falls off is read from the ledger again when it
is wanted (`Board.wants`); nothing here is the only copy.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from msgspec import Raw

from hub.core.task import Task
from protocol.ids import TaskId
from protocol.limits import MIB

SHELF_TASKS_MAX: Final = 4_096
SHELF_BYTES_MAX: Final = 32 * MIB
"""Results may have 256 KiB each: the count alone would not bound the memory."""


class Shelf:
    """The least recently touched falls off first."""

    __slots__ = ("_by_key", "_bytes", "_tasks")

    def __init__(self) -> None:
        self._tasks: OrderedDict[TaskId, Task] = OrderedDict()
        self._by_key: dict[str, TaskId] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, task_id: TaskId) -> Task | None:
        return self._tasks.get(task_id)

    def by_key(self, key: str) -> Task | None:
        task_id = self._by_key.get(key)
        return None if task_id is None else self._tasks[task_id]

    def put(self, task: Task) -> None:
        self.drop(task.task_id)
        self._tasks[task.task_id] = task
        self._bytes += weight(task)
        if task.spec.idempotency_key is not None:
            self._by_key[task.spec.idempotency_key] = task.task_id
        while len(self._tasks) > SHELF_TASKS_MAX or (self._bytes > SHELF_BYTES_MAX and len(self._tasks) > 1):
            self.drop(next(iter(self._tasks)))

    def drop(self, task_id: TaskId) -> None:
        task = self._tasks.pop(task_id, None)
        if task is not None:
            self._bytes -= weight(task)
            if task.spec.idempotency_key is not None:
                del self._by_key[task.spec.idempotency_key]


def weight(task: Task) -> int:
    """About how many bytes a row keeps in memory."""
    spec = task.spec
    kept = len(spec.description) + size(spec.metadata) + size(spec.inputs) + size(task.result)
    return kept + sum(size(step.output) for step in task.done) + 1_024


def size(raw: Raw | None) -> int:
    """Bytes of a free-form member, without copying it."""
    return 0 if raw is None else memoryview(raw).nbytes
