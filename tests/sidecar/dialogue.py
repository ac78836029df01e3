"""A desk in conversation with a scripted hub: every test says what one hears and what follows.

Owns the doubles of what surrounds a desk (a hub that gives receipts, a disk whose unsynced tail can be lost).
Decides nothing that the desk should decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import Raw

from protocol import frames as f
from protocol.frames import AgentFrame, Fact, HubFrame
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId
from sidecar.desk import Desk
from sidecar.effects import Effect, Remark, Say, StartRun, StopRun
from sidecar.events import DeskEvent, HubSaid, LinkOpened, Now, Restarted, RunEnded, RunReported
from sidecar.house import House
from sidecar.journal import Disk, JournalBook, JournalFull
from sidecar.memory import Memory, Record
from sidecar.runners.contract import Finished, Order, Outcome, Proof, Rejection, Report, Stopped

E = TypeVar("E")

AGENT = AgentId("porter")
INSTANCE = InstanceId("instance-1")


def task(n: int) -> TaskId:
    return TaskId(f"task-{n:016x}")


def accept_all(order: Order) -> Rejection | None:
    return None


def finished(result: bytes = b'"done"') -> Finished:
    return Finished(result=result)


def stopped(*signals: str) -> Stopped:
    return Stopped(how="terminated" if signals else "cooperative", proof=Proof(signals=signals, reaped=1))


class Dialogue:
    """One desk, one link, and a clock that only moves when it is told to."""

    def __init__(
        self,
        *,
        slots: int = 2,
        memory: Memory | None = None,
        accepts: Callable[[Order], Rejection | None] = accept_all,
        once: bool = False,
        slot_kinds: dict[str, int] | None = None,
        house: House | None = None,
    ) -> None:
        self.memory = memory if memory is not None else Memory()
        card = f.Identify(
            agent_id=AGENT,
            protocol_version=2,
            instance_id=INSTANCE,
            slots=slots,
            slot_kinds=slot_kinds or {},
        )
        self.desk = Desk(card, self.memory, accepts, once=once, house=house)
        self.now = Now(1_000, 1_700_000_000_000)
        self.link_id = 0
        self.records: list[Record] = []
        self.effects: list[Effect] = []

    def tell(self, event: DeskEvent) -> list[Effect]:
        answer = self.desk.handle(event, self.now)
        self.records, self.effects = answer.records, answer.effects
        return answer.effects

    def wait(self, ms: int) -> None:
        self.now = Now(self.now.mono_ms + ms, self.now.wall_ms + ms)

    # --- what the hub does ---

    def connect(self, mark: int | None = None, **identified: object) -> list[Effect]:
        """Dial and be identified. Without `mark` the hub has exactly what was receipted."""
        self.link_id += 1
        self.tell(LinkOpened(self.link_id))
        seq = self.memory.seq_oldest - 1 if mark is None else mark
        frame = f.Identified(agent_id=AGENT, protocol_version=2, seq_received=Seq(seq), **identified)  # type: ignore[arg-type]  # a test names any member
        return self.hear(frame)

    def hear(self, frame: HubFrame) -> list[Effect]:
        return self.tell(HubSaid(self.link_id, frame))

    def assign(self, n: int, generation: int = 1, **members: object) -> list[Effect]:
        return self.hear(f.TaskAssign(task_id=task(n), generation=Generation(generation), **members))  # type: ignore[arg-type]  # a test names any member

    def cancel(self, n: int, generation: int = 1, grace_ms: int = 5_000) -> list[Effect]:
        return self.hear(
            f.TaskCancel(
                task_id=task(n), generation=Generation(generation), reason="asked", grace_ms=grace_ms
            )
        )

    def revoke(self, n: int, generation: int = 1) -> list[Effect]:
        return self.hear(f.TaskRevoke(task_id=task(n), generation=Generation(generation), reason="lost"))

    def receipt_all(self, status: f.AckStatus = "accepted") -> None:
        for seq, fact in list(self.memory.facts.items()):
            self.hear(f.TaskAck(task_id=fact.frame.task_id, status=status, seq=seq))

    # --- what a run does ---

    def end(self, n: int, outcome: Outcome | None = None, generation: int = 1) -> list[Effect]:
        return self.tell(RunEnded(task(n), Generation(generation), outcome or finished()))

    def report(self, n: int, report: Report, generation: int = 1) -> list[Effect]:
        return self.tell(RunReported(task(n), Generation(generation), report))

    # --- what came of it ---

    def only(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def said(self) -> list[AgentFrame]:
        return [effect.frame for effect in self.only(Say)]

    @property
    def facts(self) -> list[Fact]:
        return [frame for frame in self.said if isinstance(frame, Fact)]

    @property
    def started(self) -> list[tuple[TaskId, Generation]]:
        return [(effect.order.task_id, effect.order.generation) for effect in self.only(StartRun)]

    @property
    def stops(self) -> list[tuple[TaskId, Generation, str]]:
        return [(effect.task_id, effect.generation, effect.reason) for effect in self.only(StopRun)]

    @property
    def remarks(self) -> list[str]:
        return [effect.event for effect in self.only(Remark)]

    def crash(self, *, slots: int = 2) -> Dialogue:
        """The same journal in a new process, before it dials."""
        memory = Memory()
        for record in self.memory.snapshot():
            memory.note(record)
        fresh = Dialogue(slots=slots, memory=memory)
        fresh.tell(Restarted())
        return fresh


class MemoryDisk(Disk):
    """A journal's file in memory. `cut_power` loses what was not synced, or keeps any part of it."""

    def __init__(self, data: bytes | None = None) -> None:
        self.written = data
        self.durable = data
        self.room: int | None = None
        self.aside: list[bytes] = []

    def read(self) -> bytes | None:
        return self.written

    def append(self, data: bytes) -> None:
        self._need(len(data))
        self.written = (self.written or b"") + data

    def sync(self) -> None:
        self.durable = self.written

    def truncate(self, size: int) -> None:
        assert self.written is not None
        self.written = self.durable = self.written[:size]

    def replace(self, data: bytes) -> None:
        self._need(len(data))
        self.written = self.durable = data

    def set_aside(self) -> str:
        assert self.written is not None
        self.aside.append(self.written)
        self.written = self.durable = None
        return "aside"

    def cut_power(self, kept: int = 0) -> MemoryDisk:
        """The disk after a power cut that kept `kept` bytes of what was not synced."""
        if self.durable is None:
            return MemoryDisk()
        assert self.written is not None
        return MemoryDisk(self.written[: len(self.durable) + kept])

    def _need(self, size: int) -> None:
        if self.room is not None and len(self.written or b"") + size > self.room:
            raise JournalFull("no room")


def open_book(disk: Disk) -> tuple[JournalBook, list[str]]:
    return JournalBook.open(disk, lambda: INSTANCE)


def raw(text: str) -> Raw:
    return Raw(text.encode())
