"""A run's activity as a person reads it: one line a step, indented under whose step it is.

Owns depth, tone and wording of a line of the activity stream, and what a model is saying just now, which is
no line but a tail at the foot. Never trusts an entry: whatever is missing or of another type is left out, and
text of agents is made harmless. Reads no clock and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from console.harmless import harmless, harmless_line

DEPTH_OF: Final = {"crew": 0, "task": 1, "agent": 2, "tool": 3, "model": 3, "chunk": 3}
"""Where a step stands whose parent nobody has seen: watching may begin in the middle."""

TONES: Final = {"task": "strong", "question": "warn", "warning": "warn", "resumed": "good", "agent": ""}
"""What is not here is soft: tools, models and output are what one may overlook."""

LEVEL_TONES: Final = {"error": "bad", "warning": "warn"}

DEPTH_MAX: Final = 8
"""Deeper than this, indentation says nothing any more."""

STEPS_KEPT: Final = 10_000
"""Steps whose depth is remembered; of a longer run the oldest are forgotten."""

BEGINNING_TELLS: Final = frozenset({"agent", "tool", "model"})
"""Of these the end is no line while one watches, unless it failed; a whole log has it."""

SPOKEN_LENGTH_MAX: Final = 400
"""Characters of what a model says that are kept for the foot of the terminal."""

TEXT_LENGTH_MAX: Final = 200
INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the story, harmless already."""

    text: str
    depth: int
    tone: str
    kind: str

    @property
    def indented(self) -> str:
        return "\n".join(INDENT * self.depth + line for line in self.text.split("\n"))


class Story:
    """The steps of one run so far. A new attempt is a new story: its steps are counted anew."""

    def __init__(self, text_length_max: int | None = TEXT_LENGTH_MAX) -> None:
        self._text_length_max = text_length_max
        self._depths: dict[int | str, int] = {}
        self._speaker = ""
        self._spoken = ""
        self._call: object = None
        self.spoken_length = 0
        """Characters that the model at hand has said."""

    def heard(self, entry: Mapping[str, Any]) -> Step | None:
        """The line for one entry (`text`, `level`, `kind`, `data`); None when it is none of its own."""
        kind, text = word_of(entry, "kind") or "log", word_of(entry, "text")
        found = entry.get("data")
        about: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        if kind == "chunk":
            self._hear_chunk(text, about)
            return None
        if kind == "usage":
            return None  # the numbers stand at the foot
        if kind in ("task", "agent", "tool", "model"):
            self._fall_silent()
        depth = self._place(kind, about)
        if self._is_passing_over(kind, text, about):
            return None
        tone = LEVEL_TONES.get(word_of(entry, "level")) or TONES.get(kind, "soft")
        return Step(self._shown(text), depth, tone, kind)

    def _is_passing_over(self, kind: str, text: str, about: Mapping[str, Any]) -> bool:
        """A step is one line: who watches needs neither its good end nor that a model thinks, which the foot
        shows.
        """
        if self._text_length_max is None or kind not in BEGINNING_TELLS:
            return False
        if kind == "model" and about.get("state") == "began":
            self._spoken = text[:SPOKEN_LENGTH_MAX]
            return True
        return about.get("state") == "ended"

    def _shown(self, text: str) -> str:
        if self._text_length_max is None:
            return harmless(text.rstrip("\n"))
        return harmless_line(" ".join(text.split()), self._text_length_max)

    @property
    def spoken(self) -> str:
        """Who is speaking and the last words, for the line at the foot; empty when no model speaks."""
        if not self._spoken:
            return ""
        words = " ".join(self._spoken.split())
        return f"{self._speaker}: {words}" if self._speaker else words

    def _hear_chunk(self, text: str, about: Mapping[str, Any]) -> None:
        call = voice_of(about)
        if call != self._call:
            self._fall_silent()
            self._call = call
        self._speaker = word_of(about, "agent") or self._speaker
        self._spoken = (self._spoken + text)[-SPOKEN_LENGTH_MAX:]
        self.spoken_length += len(text)

    def _fall_silent(self) -> None:
        self._spoken = self._speaker = ""
        self._call, self.spoken_length = None, 0

    def _place(self, kind: str, about: Mapping[str, Any]) -> int:
        """One deeper than its parent, and as deep as its kind usually is when that is not known."""
        own, parent = about.get("id"), about.get("parent")
        depth = DEPTH_OF.get(kind, 0)
        if isinstance(parent, int | str) and parent in self._depths:
            depth = min(DEPTH_MAX, self._depths[parent] + 1)
        elif parent is None and isinstance(own, int | str) and not self._depths:
            depth = 0
        if isinstance(own, int | str):
            depth = self._depths.setdefault(own, depth)
            if len(self._depths) > STEPS_KEPT:
                del self._depths[next(iter(self._depths))]
        return depth


def voice_of(about: Mapping[str, Any]) -> tuple[Any, bool]:
    """Whose words these are: a call's, which says one thing and may think another."""
    return about.get("call", ""), about.get("thought") is True


def word_of(entry: Mapping[str, Any], name: str) -> str:
    found = entry.get(name)
    return found if isinstance(found, str) else ""


def told(entries: Iterable[Mapping[str, Any]], *, is_whole: bool = False) -> Iterator[Step]:
    """A log: its steps, with what a model said in many pieces as one; with `is_whole` nothing is cut."""
    story, speech = Story(None if is_whole else TEXT_LENGTH_MAX), _Speech()
    for entry in entries:
        if word_of(entry, "kind") != "chunk":
            yield from speech.ended(story)
        step = story.heard(entry)
        if step is not None:
            yield step
        elif word_of(entry, "kind") == "chunk":
            yield from speech.goes_on(entry, story)
    yield from speech.ended(story)


class _Speech:
    """What a model says, gathered over its chunks."""

    def __init__(self) -> None:
        self._text = ""
        self._about: Mapping[str, Any] = {}

    def goes_on(self, entry: Mapping[str, Any], story: Story) -> Iterator[Step]:
        found = entry.get("data")
        about: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        if self._text and voice_of(about) != voice_of(self._about):
            yield from self.ended(story)
        self._text, self._about = self._text + word_of(entry, "text"), about

    def ended(self, story: Story) -> Iterator[Step]:
        text, self._text = self._text, ""
        if text.strip():
            speaker = word_of(self._about, "agent")
            depth = story._place("chunk", {"parent": self._about.get("parent")})
            said = story._shown(text)
            yield Step(f"{harmless_line(speaker)}: {said}" if speaker else said, depth, "soft", "chunk")
