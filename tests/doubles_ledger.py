"""The ledger in memory behind its real port: what the simulation runs on, made to wait, fill up, break and
crash.

Owns the faults around the simulation's ledger, and what of it survives a crash. The contract suite runs on
this and on SQLite alike, so that what is proven in the simulated world holds in the real one.
"""

from __future__ import annotations

from enum import StrEnum

from hub.core.dependencies import Outcome
from hub.core.task import Now
from hub.ports import Batch, Committed, Found, Loaded, StorageBroken, StorageFull
from protocol.ids import TaskId
from tests.simulation.ledgerdouble import MemoryLedger


class Crash(StrEnum):
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


class Crashed(Exception):
    """The process is gone: nobody hears this in the real world."""


class WaitingLedger:
    """Implements `ports.Ledger` over the simulation's."""

    def __init__(self, durable: MemoryLedger | None = None) -> None:
        self.durable = durable or MemoryLedger("epoch-1")
        self.is_full = False
        self.is_low = False
        """Below the watermark of free disk: no new tasks."""
        self.is_broken = False
        self.crash_next: Crash | None = None

    def restarted(self) -> WaitingLedger:
        """The next life of the hub: only what is durable is left."""
        return WaitingLedger(self.durable)

    async def load(self, now: Now) -> Loaded:
        return self.durable.load(now)

    async def commit(self, batch: Batch) -> Committed:
        if self.is_broken:
            raise StorageBroken("the disk failed")
        if self.is_full:
            raise StorageFull
        if self.is_low and batch.has_new_tasks:
            raise StorageFull("little room", is_for_pushes_only=True)
        if self.crash_next is Crash.BEFORE_COMMIT:
            raise Crashed
        committed = self.durable.commit(batch)
        if self.crash_next is Crash.AFTER_COMMIT:
            raise Crashed
        return committed

    async def find(self, tasks: frozenset[TaskId], keys: frozenset[str]) -> Found:
        return self.durable.find(tasks, keys)

    async def look_up(self, tasks: frozenset[TaskId]) -> tuple[Outcome, ...]:
        return self.durable.look_up(tasks)
