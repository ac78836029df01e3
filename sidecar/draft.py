"""The answer that the desk is writing: records and effects of one event, and the only way to say a new fact.

Owns law 2 on this side: `note` numbers a fact, records it, and only then says it. Decides nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from protocol.frames import AgentFrame, FactFrame
from protocol.ids import Generation, TaskId
from sidecar.effects import DeskAnswer, Effect, Remark, Say
from sidecar.events import Now
from sidecar.memory import FactNoted, Memory, Record


class Draft:
    """One per desk, begun anew for each event."""

    __slots__ = ("_effects", "_memory", "_records", "is_open", "link_id", "now")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._records: list[Record] = []
        self._effects: list[Effect] = []
        self.now = Now(0, 0)
        self.link_id = 0
        self.is_open = False
        """The hub has said `identified` on this link: facts may be said."""

    def begin(self, now: Now) -> None:
        """Take a clean sheet."""
        self.now = now
        self._records, self._effects = [], []

    def answer(self) -> DeskAnswer:
        """What was written since `begin`."""
        return DeskAnswer(self._records, self._effects)

    def note(self, fact: FactFrame) -> None:
        """Number a fact, record it, and say it."""
        numbered = replace(fact, seq=self._memory.seq_next)
        self.record(FactNoted(numbered, self.now.wall_ms))
        self.say(numbered)

    def record(self, record: Record) -> None:
        """Change the memory, here and in the journal."""
        self._memory.note(record)
        self._records.append(record)

    def say(self, *frames: AgentFrame) -> None:
        """To the hub, if it listens; a fact is replayed when it does again."""
        if self.is_open:
            self._effects += [Say(self.link_id, frame) for frame in frames]

    def effect(self, effect: Effect) -> None:
        """Have something done once the records are durable."""
        self._effects.append(effect)

    def remark(
        self,
        event: str,
        task_id: TaskId | None = None,
        generation: Generation | None = None,
        detail: str = "",
    ) -> None:
        """A line for the log."""
        self._effects.append(Remark(event=event, task_id=task_id, generation=generation, detail=detail))
