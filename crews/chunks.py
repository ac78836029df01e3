"""What a model says while it says it: thousands of small pieces made into a few lines.

Owns the joining: one line at most each `EVERY_S` for the whole run, and bounds on a line and on a run. Never
reads a clock: it is told the time.
"""

from __future__ import annotations

from typing import Final

import msgspec

EVERY_S: Final = 0.1
"""Between two lines of streamed text, whatever the number of calls: people read no faster."""

LINE_CHARACTERS_MAX: Final = 4 * 1024
"""Text of one line; what comes in between beyond it is counted and left out."""

RUN_CHARACTERS_MAX: Final = 128 * 1024
"""Streamed text of one run: half of what the sidecar keeps of a run's log, so that steps and warnings are
never crowded out. The whole text is in the results of the tasks anyway.
"""


class Piece(msgspec.Struct, frozen=True):
    """One line's worth of streamed text."""

    call: str
    agent: str
    text: str
    is_thought: bool = False
    left_out: int = 0


class _Waiting(msgspec.Struct):
    agent: str
    since_s: float
    texts: list[str] = []
    length: int = 0
    left_out: int = 0


class Chunks:
    """The streamed text of one run, of all its calls."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, bool], _Waiting] = {}
        self._said_s: float | None = None
        self._left = RUN_CHARACTERS_MAX

    def add(self, call: str, agent: str, text: str, now_s: float, *, is_thought: bool = False) -> list[Piece]:
        """Take a piece in; the answer is what is worth a line now."""
        key = (call, is_thought)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(agent, now_s)
        room = max(0, min(len(text), LINE_CHARACTERS_MAX - waiting.length, self._left))
        waiting.left_out += len(text) - room
        if room:
            waiting.texts.append(text[:room])
            waiting.length += room
            self._left -= room
        if self._said_s is not None and now_s - self._said_s < EVERY_S:
            return []
        return self._say_the_oldest(now_s)

    def end(self, call: str, now_s: float) -> list[Piece]:
        """The call is over: what is left of it, thoughts first."""
        return self._say([key for key in ((call, True), (call, False)) if key in self._waiting], now_s)

    def close(self, now_s: float) -> list[Piece]:
        """The run is over: whatever is left."""
        return self._say(list(self._waiting), now_s)

    def _say_the_oldest(self, now_s: float) -> list[Piece]:
        tellable = [key for key, waiting in self._waiting.items() if waiting.length]
        if not tellable:
            return []
        return self._say([min(tellable, key=lambda key: self._waiting[key].since_s)], now_s)

    def _say(self, keys: list[tuple[str, bool]], now_s: float) -> list[Piece]:
        pieces = []
        for call, is_thought in keys:
            waiting = self._waiting.pop((call, is_thought))
            pieces.append(
                Piece(call, waiting.agent, "".join(waiting.texts), is_thought, left_out=waiting.left_out)
            )
            self._said_s = now_s
        return pieces
