"""What a model says while it says it: thousands of small pieces made into a few lines.

Owns the joining: one line at most each `EVERY_S` for the whole run, and bounds on a line and on a run. Never
reads a clock: it is told the time.
"""

from __future__ import annotations

from typing import Final

import msgspec

EVERY_S: Final = 0.1
"""Between two lines of streamed text, whatever the number of calls: people read no faster."""

LINES_AT_A_PACE: Final = 256
"""After so many lines the time between two is doubled, and so on: a run that streams for an hour says some
two thousand lines, not thirty-six thousand, and its steps stay in the log that is kept.
"""

EVERY_S_MAX: Final = 5.0
"""It is never doubled beyond this: somebody may still be watching."""

LINE_CHARACTERS_MAX: Final = 4 * 1024
"""Text of one line; what comes in between beyond it is counted and left out."""

LINE_COST: Final = 80
"""What a line costs beside its text: names, times and links."""

RUN_COST_MAX: Final = 128 * 1024
"""Streamed text of one run, with what its lines cost: half of what the sidecar keeps of a run's log, so that
steps and warnings are never crowded out. The whole text is in the results of the tasks anyway.
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
        self._lines = 0
        self._left = RUN_COST_MAX

    def add(self, call: str, agent: str, text: str, now_s: float, *, is_thought: bool = False) -> list[Piece]:
        """Take a piece in; the answer is what is worth a line now."""
        key = (call, is_thought)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(agent, now_s)
            self._left -= LINE_COST
        room = max(0, min(len(text), LINE_CHARACTERS_MAX - waiting.length, self._left))
        waiting.left_out += len(text) - room
        if room:
            waiting.texts.append(text[:room])
            waiting.length += room
            self._left -= room
        if self._said_s is not None and now_s - self._said_s < self.every_s:
            return []
        return self._say_the_oldest(now_s)

    @property
    def every_s(self) -> float:
        """Between two lines, by now."""
        return min(EVERY_S_MAX, EVERY_S * 2.0 ** min(32, self._lines // LINES_AT_A_PACE))

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
            self._lines += 1
        return pieces
