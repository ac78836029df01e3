"""The answer to one letter while it is being written.

Owns the order of changes and effects. Never decides: those who do write into it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from hub.core.effects import Answer, Change, Effect, EventLogged, PassBy, Reply
from hub.core.task import Now
from protocol.ids import AgentId, TaskId

GOLDEN: float = 0.6180339887498949
"""Steps by the golden ratio spread evenly: one roll of the die serves any number of backoffs of one letter.
"""

_ENCODER = msgspec.json.Encoder()


def payload_of(members: Mapping[str, object]) -> Raw:
    return Raw(_ENCODER.encode({name: value for name, value in members.items() if value is not None}))


class Draft:
    """Changes and effects in the order in which they were decided."""

    __slots__ = ("_roll", "changes", "effects", "now", "reply")

    def __init__(self, now: Now, roll: float) -> None:
        self.now = now
        self._roll = roll
        self.changes: list[Change] = []
        self.effects: list[Effect] = []
        self.reply: Reply = None

    def roll(self) -> float:
        """A new draw from the letter's one roll."""
        self._roll = (self._roll + GOLDEN) % 1.0
        return self._roll

    def log(
        self,
        event: str,
        members: Mapping[str, object],
        *,
        task_id: TaskId | None = None,
        agent_id: AgentId | None = None,
        generation: int | None = None,
    ) -> None:
        """A line of the feed, with its place in it."""
        self.changes.append(
            EventLogged(
                event=event,
                task_id=task_id,
                agent_id=agent_id,
                generation=generation,
                timestamp=self.now.wall_ms,
                payload=payload_of(members),
            )
        )

    def pass_by(
        self,
        event: str,
        payload: Raw,
        *,
        task_id: TaskId | None = None,
        agent_id: AgentId | None = None,
        generation: int | None = None,
    ) -> None:
        """Passing talk: watchers of the moment see it, nobody else."""
        self.effects.append(
            PassBy(
                event=event,
                task_id=task_id,
                agent_id=agent_id,
                generation=generation,
                timestamp=self.now.wall_ms,
                payload=payload,
            )
        )

    def answer(self) -> Answer:
        return Answer(tuple(self.changes), tuple(self.effects), self.reply)
