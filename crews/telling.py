"""The state of a run's story, and the form of one line of it.

Owns names, numbers and times that the tellers of `crews.activity` share: which task is called what, which
node an entry is about, how a text is cut. Never looks at what an event means, and never says a line itself.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crews.chunks import Chunks, Piece
from crews.lineage import Lineage, Node
from crews.progress import Meter
from crews.usage import Tally

NAME_LENGTH_MAX: Final = 120
"""Characters of a task's, agent's, tool's or model's name: a task without a name is called by its whole text.
"""

OPENING_LENGTH_MAX: Final = 500
"""Characters of an argument or an output: enough to see what it is about."""

ERROR_LENGTH_MAX: Final = 2_000
"""Characters of what went wrong: a sentence and its cause."""

CREW: Final = "The crew"
"""What a crew without a name of its own is called; crewai's own word for that is `crew`."""


class Told(msgspec.Struct, frozen=True):
    """One line of the activity stream. `message` is what the progress says meanwhile."""

    text: str
    kind: str
    data: dict[str, Any]
    level: str = "info"
    message: str | None = None
    is_weighty: bool = False
    """Said even when too much is said: beginnings and ends of crew and tasks, failures of agents."""


class Moment(msgspec.Struct, frozen=True):
    """When something was heard: for people, and for lengths of time."""

    ms: int
    s: float


class Story:
    """What is known of one run: who is at work, how far it is, what it has used."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.tally = Tally()
        self.chunks = Chunks()
        self.lineage = Lineage()
        self.crew: Node | None = None
        self._task_names: dict[str, str] = {}

    def task_name(self, task_id: str, event: Any) -> str:
        """The name that a task was first heard by."""
        return self._task_names.setdefault(task_id, named(getattr(event, "task_name", None), "task"))

    def members(self, node: Node, state: str, now: Moment, **more: Any) -> dict[str, Any]:
        """The members of `data` that every entry about a node has; names of what is above come along."""
        found: dict[str, Any] = {"id": node.number, "parent": node.parent, "t": now.ms, "state": state}
        if node.task_id in self._task_names:
            found["task"] = self._task_names[node.task_id]
        if node.agent:
            found["agent"] = node.agent
        found[node.kind] = node.name
        if state != "began":
            found["ms"] = max(0, round(1000 * (now.s - node.begun_s)))
        return found | {name: value for name, value in more.items() if value is not None}

    def failed(self, node: Node, what: str, event: Any, now: Moment, level: str = "error") -> Told:
        text = f"{what}: {reason(getattr(event, 'error', None))}"
        found = self.members(node, "failed", now)
        return Told(text, node.kind, found, level=level, is_weighty=level == "error")

    def remark(
        self, event: Any, text: str, kind: str, now: Moment, *, message: str | None = None, **more: Any
    ) -> Told:
        """Something about a thing of the run that is none itself."""
        above = self.lineage.above(event, kind)
        found: dict[str, Any] = {"parent": None if above is None else above.number, "t": now.ms}
        if role := role_in(event):
            found["agent"] = role
        found |= {name: value for name, value in more.items() if value is not None}
        return Told(text, kind, found, message=message)

    def warning(self, event: Any, text: str, kind: str, now: Moment) -> Told:
        """A remark about trouble that the crew may get over."""
        told = self.remark(event, text, kind, now)
        return msgspec.structs.replace(told, level="warning")

    def streamed(self, piece: Piece, t_ms: int) -> Told:
        """Text of a model, as it comes: it hangs at its call."""
        node = self.lineage.call(piece.call)
        number = None if node is None else node.number
        call = piece.call if number is None else number
        found: dict[str, Any] = {"parent": number, "t": t_ms, "call": call}
        if piece.agent:
            found["agent"] = piece.agent
        if piece.is_thought:
            found["thought"] = True
        if piece.left_out:
            found["left_out"] = piece.left_out
        return Told(piece.text, "chunk", found)


# ---- words -------------------------------------------------------------------------------------------------


def named(name: object, otherwise: str) -> str:
    """A name on one line, of a bounded length."""
    words = " ".join(str(name or "")[: 8 * NAME_LENGTH_MAX].split())
    return cut(words, NAME_LENGTH_MAX) or otherwise


def role_in(event: Any) -> str:
    """The role of the agent that an event is about."""
    role = getattr(getattr(event, "agent", None), "role", None) or getattr(event, "agent_role", None)
    return named(role, "")


def opening(value: object) -> str | None:
    """How a text or value begins; None for nothing."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _shown(value)
    return cut(text.strip(), OPENING_LENGTH_MAX) or None


def reason(error: object) -> str:
    """What went wrong, in a bounded number of words and never in none."""
    return cut(str(error or "").strip(), ERROR_LENGTH_MAX) or "no reason given"


def cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"


def _shown(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        return str(value)
