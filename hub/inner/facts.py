"""The facts of an inner agent: numbered, kept until they are receipted, said again on a new line.

Owns the numbers and who waits for which receipt. In memory only: what was not receipted when a hub died is
found out again from the ledger and from whoever reports it (`agent.py`). Never posts anything.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from msgspec.structs import replace

from protocol.frames import AckStatus, EndingFrame, FactFrame, TaskAck
from protocol.ids import Generation, Seq, TaskId

Receipt: TypeAlias = "asyncio.Future[AckStatus]"


class Facts:
    """Begins after the mark, which the hub has for this instance."""

    def __init__(self, mark: Seq) -> None:
        self.last = mark
        self._unreceipted: dict[Seq, tuple[FactFrame, Receipt]] = {}

    @property
    def first(self) -> Seq:
        """The oldest without a receipt, or the next one to come."""
        return next(iter(self._unreceipted), Seq(self.last + 1))

    def number(self, fact: FactFrame) -> tuple[FactFrame, Receipt]:
        """The fact with its number, and what its receipt will be."""
        self.last = Seq(self.last + 1)
        numbered = replace(fact, seq=self.last)
        receipt: Receipt = asyncio.get_running_loop().create_future()
        self._unreceipted[self.last] = (numbered, receipt)
        return numbered, receipt

    def receipted(self, ack: TaskAck) -> None:
        if ack.seq is not None:
            self._settle(ack.seq, ack.status)

    def are_in(self, mark: Seq) -> None:
        """The hub has all facts up to this one; the receipts of some were lost with a line."""
        for seq in [seq for seq in self._unreceipted if seq <= mark]:
            self._settle(seq, "duplicate")

    def unreceipted(self) -> tuple[FactFrame, ...]:
        return tuple(fact for fact, _ in self._unreceipted.values())

    def endings(self) -> tuple[tuple[TaskId, Generation], ...]:
        """Runs whose end is said and has no receipt yet."""
        return tuple(
            (fact.task_id, fact.generation)
            for fact, _ in self._unreceipted.values()
            if isinstance(fact, EndingFrame) and fact.generation is not None
        )

    def _settle(self, seq: Seq, status: AckStatus) -> None:
        _, receipt = self._unreceipted.pop(seq, (None, None))
        if receipt is not None and not receipt.done():
            receipt.set_result(status)
