"""How fast a run may talk: about as fast as people can read, with room for a quick start.

Owns that rate. Facts (results, errors, steps, questions) never ask it. Never reads a clock: it is told the
time.
"""

from __future__ import annotations

from typing import Final

LINES_PER_S: Final = 20
"""Of passing talk, in the long run: below what the sidecar passes on (30), so that it is chosen here, by
worth, what is left out.
"""

LINES_BURST: Final = 60
"""At once: a whole small crew whose model answers at once fits in, and needs no second look."""


class Pace:
    """A bucket of lines that fills with time. Trouble may overdraw it by as much again; what is weighty is
    said whatever is in it.
    """

    def __init__(self, now_s: float) -> None:
        self._left = float(LINES_BURST)
        self._at_s = now_s

    def has_room(
        self, lines: int, now_s: float, *, is_weighty: bool = False, is_trouble: bool = False
    ) -> bool:
        """May so many lines be said now? Then they count as said."""
        self._left = min(LINES_BURST, self._left + LINES_PER_S * max(0.0, now_s - self._at_s))
        self._at_s = now_s
        lowest = -LINES_BURST if is_trouble else 0
        if not is_weighty and self._left - lines < lowest:
            return False
        self._left = max(-LINES_BURST, self._left - lines)
        return True
