"""What the desk must still know after a crash: its records, and the memory that they add up to.

Owns the records that the journal keeps and `Memory.note`, the only place where one changes anything: the desk
decides records and notes them here, replaying a journal notes the same ones again, and so both always agree.
Pure: never reads a clock or touches a file.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from protocol.frames import EndingFrame, FactFrame, TaskAccepted
from protocol.ids import Generation, Seq, TaskId

TOMBSTONE_MS: Final = 7 * 24 * 3600 * 1000
"""How long a generation that is over is remembered: longer than a hub is away and then repeats an order."""

TOMBSTONES_MAX: Final = 50_000
"""At this bound (some 10 MB) the oldest is forgotten early; the hub's own fence still holds."""

ENDING_TYPES: Final = get_args(EndingFrame)


class FactNoted(Struct, frozen=True, tag="fact", array_like=True):
    """A numbered fact that is about to be said, and again until it has its receipt."""

    frame: FactFrame
    wall_ms: int


class Receipted(Struct, frozen=True, tag="receipt", array_like=True):
    """The hub has this one fact on its disk."""

    seq: Seq


class MarkHeard(Struct, frozen=True, tag="mark", array_like=True):
    """The hub has every fact up to here on its disk."""

    seq: Seq


class Renumbered(Struct, frozen=True, tag="renumber", array_like=True):
    """The hub knows numbers that this journal never gave (an old copy of it came back): go on above them."""

    first: Seq


class EpochHeard(Struct, frozen=True, tag="epoch", array_like=True):
    """The life of the hub's database, as it named it last."""

    epoch: str


class Remembered(Struct, frozen=True, tag="top", array_like=True):
    """In a compacted journal: the highest generation of a task, and the live ones among those seen."""

    task_id: TaskId
    generation: Generation
    wall_ms: int
    live: tuple[Generation, ...] = ()


class Counted(Struct, frozen=True, tag="count", array_like=True):
    """In a compacted journal: the next free number."""

    seq_next: Seq


Record: TypeAlias = FactNoted | Receipted | MarkHeard | Renumbered | EpochHeard | Remembered | Counted


class Top(NamedTuple):
    """The highest generation of a task that was ever seen here: lower ones are never started."""

    generation: Generation
    wall_ms: int


class Memory:
    """The sum of all records. The desk reads it freely and changes it only through `note`."""

    __slots__ = ("facts", "hub_epoch", "live", "seq_next", "tops")

    def __init__(self) -> None:
        self.seq_next = Seq(1)
        self.hub_epoch: str | None = None
        self.facts: dict[Seq, FactNoted] = {}
        """Facts without a receipt, in the order of their numbers."""
        self.live: dict[TaskId, tuple[Generation, ...]] = {}
        """Accepted and not over. Two of one task only while the older is being stopped."""
        self.tops: dict[TaskId, Top] = {}
        """Oldest first."""

    @property
    def seq_oldest(self) -> Seq:
        """The oldest fact without a receipt; when there is none, the number that the next fact will have."""
        return next(iter(self.facts), self.seq_next)

    def is_live(self, task_id: TaskId, generation: Generation) -> bool:
        """Accepted here, and its end not yet noted."""
        return generation in self.live.get(task_id, ())

    def note(self, record: Record) -> None:  # noqa: C901  a flat table, checked by its type
        """Take a record in. The same records in the same order give the same memory."""
        match record:
            case FactNoted():
                self._note_fact(record)
            case Receipted():
                self.facts.pop(record.seq, None)
            case MarkHeard():
                for seq in [seq for seq in self.facts if seq <= record.seq]:
                    del self.facts[seq]
            case Renumbered():
                self._renumber(record.first)
            case EpochHeard():
                self.hub_epoch = record.epoch
            case Remembered():
                self.tops.pop(record.task_id, None)
                self.tops[record.task_id] = Top(record.generation, record.wall_ms)
                self.live.pop(record.task_id, None)
                if record.live:
                    self.live[record.task_id] = record.live
            case Counted():
                self.seq_next = record.seq_next

    def snapshot(self) -> list[Record]:
        """The shortest list of records that adds up to this memory: what a compacted journal starts with."""
        records: list[Record] = [] if self.hub_epoch is None else [EpochHeard(self.hub_epoch)]
        records += self.facts.values()
        # After the facts, because a fact moves its task to the young end and brings a generation to life.
        records += [
            Remembered(task_id, top.generation, top.wall_ms, self.live.get(task_id, ()))
            for task_id, top in self.tops.items()
        ]
        return [*records, Counted(self.seq_next)]

    def _note_fact(self, record: FactNoted) -> None:
        frame = record.frame
        seq, task_id, generation = frame.seq, frame.task_id, frame.generation
        assert seq is not None, "the desk numbers every fact"
        assert generation is not None, "the desk fences every fact"
        self.facts[seq] = record
        self.seq_next = Seq(max(self.seq_next, seq + 1))
        if isinstance(frame, TaskAccepted):
            self.live[task_id] = (*self.live.get(task_id, ()), generation)
        elif isinstance(frame, ENDING_TYPES) and task_id in self.live:
            rest = tuple(other for other in self.live.pop(task_id) if other != generation)
            if rest:
                self.live[task_id] = rest
        known = self.tops.pop(task_id, None)
        top = generation if known is None else max(known.generation, generation)
        self.tops[task_id] = Top(top, record.wall_ms)
        self._forget(record.wall_ms)

    def _forget(self, wall_ms: int) -> None:
        """Let go of at most two of the oldest tombstones: each fact adds at most one."""
        for _ in range(2):
            oldest = next(iter(self.tops))
            top = self.tops[oldest]
            is_old = top.wall_ms < wall_ms - TOMBSTONE_MS
            if not is_old and len(self.tops) <= TOMBSTONES_MAX:
                return
            del self.tops[oldest]
            # The bound alone never meets an unreceipted fact: those are far fewer, and at the young end.
            if oldest in self.live or (is_old and self.awaits_receipt(oldest)):
                self.tops[oldest] = Top(top.generation, wall_ms)

    def awaits_receipt(self, task_id: TaskId) -> bool:
        """Whether something was said of it that the hub has not answered yet."""
        return any(fact.frame.task_id == task_id for fact in self.facts.values())

    def _renumber(self, first: Seq) -> None:
        facts = [
            FactNoted(replace(fact.frame, seq=Seq(first + n)), fact.wall_ms)
            for n, fact in enumerate(self.facts.values())
        ]
        self.facts = {Seq(first + n): fact for n, fact in enumerate(facts)}
        self.seq_next = Seq(first + len(facts))
