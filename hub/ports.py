"""The doors of the hub: what the dispatcher needs from the world, as Protocols.

Owns the shapes `Clock` and `Ledger` and the values that pass through them. Each port has one contract suite
in `tests/contracts/` that every implementation passes, the doubles included. Never contains behaviour.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Raw, Struct

from hub.core.dependencies import Outcome
from hub.core.effects import AgentRecord, Change, Instance, TaskSaved
from hub.core.task import Now, Task
from protocol.ids import TaskId


class Clock(Protocol):
    def now(self) -> Now:
        """Monotonic milliseconds that never jump, and the wall's."""

    async def sleep_until(self, due_ms: int) -> None:
        """Return when the monotonic time is at least `due_ms`."""


class CommittedEvent(Struct, frozen=True, kw_only=True):
    """A line of the log with its place in it. `payload` is JSON text."""

    offset: int
    event: str
    task_id: str | None
    agent_id: str | None
    generation: int | None
    timestamp: int
    payload: Raw


class Batch(Struct, frozen=True):
    """One turn's changes, in order. `now` lets the ledger turn monotonic deadlines into wall time for the
    disk.
    """

    changes: tuple[Change, ...]
    now: Now

    @property
    def has_new_tasks(self) -> bool:
        """Whether it takes something new into the house: refused below the watermark of free disk."""
        return any(isinstance(change, TaskSaved) and change.expected_version == 0 for change in self.changes)


class Committed(Struct, frozen=True):
    """What became durable. `refused` names tasks whose row was not as expected: nothing of theirs was
    written, no mark beyond theirs was moved, and `found` has their rows as they are (None: no such row).
    """

    events: tuple[CommittedEvent, ...] = ()
    letters: int = 0
    """How many were put into the outbox."""
    refused: frozenset[TaskId] = frozenset()
    found: tuple[Task, ...] = ()


class Loaded(Struct, frozen=True):
    """Everything a board starts from. Deadlines are rebased to the `now` of the load."""

    tasks: tuple[Task, ...]
    instances: tuple[Instance, ...]
    agents: tuple[AgentRecord, ...]
    epoch: str
    generation_floor: int
    last_offset: int


class Found(Struct, frozen=True):
    """Rows read for `Wants`: by id, and by idempotency key."""

    tasks: tuple[Task, ...] = ()


class StorageFull(Exception):
    """No room to commit, and nothing was written. The letters are kept; the dispatcher waits and tries again;
    pushes are answered 503."""

    def __init__(self, reason: str = "the disk is full", *, is_for_pushes_only: bool = False) -> None:
        """`is_for_pushes_only`: free disk is below the watermark; facts alone would find room."""
        super().__init__(reason)
        self.is_for_pushes_only = is_for_pushes_only


class StorageBroken(Exception):
    """A write or sync failed in a way after which nothing may be acknowledged: the hub ends, non-zero."""


class Ledger(Protocol):
    async def load(self, now: Now) -> Loaded:
        """Everything that is open, and every instance and agent."""

    async def commit(self, batch: Batch) -> Committed:
        """Make a batch durable in one transaction and return only then.

        A task whose row is not at the expected version, or whose idempotency key is taken, is refused alone.
        Raises StorageFull (nothing written) or StorageBroken (unknown: the hub must end).
        """

    async def find(self, tasks: frozenset[TaskId], keys: frozenset[str]) -> Found:
        """Rows for `Wants`, final tasks included."""

    async def look_up(self, tasks: frozenset[TaskId]) -> tuple[Outcome, ...]:
        """How these stand: one outcome for each, also for those of which there is no row."""
