"""When a delivery is tried again, and when it is given up.

Owns the pauses, their jitter and the two ends of patience: of one delivery, and of a receiver that takes
nothing any more. Pure.
"""

from __future__ import annotations

from typing import Final

from hub.webhooks.posting import Answered

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS

PAUSES_MS: Final = (
    *(5 * SECOND_MS, 30 * SECOND_MS),
    *(2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS),
    *(1 * HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 4 * HOUR_MS, 6 * HOUR_MS, 8 * HOUR_MS),
)
"""Between the tries of one delivery: soon while it may be a moment's trouble, then over more than a day, so
that whoever was down for a night and notices in the morning misses nothing."""

TRIES_MAX: Final = len(PAUSES_MS) + 1

JITTER: Final = 0.2
"""A pause is so much longer at the most, so that what failed together does not come back together."""

FAILING_MAX_MS: Final = 5 * 24 * HOUR_MS
"""A receiver that has taken nothing for so long, although it was tried, is disabled: nobody misses it."""

GIVEN_UP_AFTER_TRIES: Final = 8
"""Of one delivery, hours apart: one that fails once, a week after the last that failed, proves nothing."""

GONE: Final = 410
"""Who says this wants to hear nothing any more."""


def pause_ms(tries: int, roll: float, retry_after_ms: int = 0) -> int | None:
    """How long to wait after so many tries; None when that was the last. What the receiver asks for counts
    where it is longer."""
    assert tries > 0, "there was at least the one that failed"
    if tries >= TRIES_MAX:
        return None
    planned = PAUSES_MS[tries - 1]
    return max(planned + int(planned * JITTER * roll), retry_after_ms)


def is_given_up(failing_since_wall_ms: int | None, wall_ms: int, tries: int) -> bool:
    if failing_since_wall_ms is None or tries < GIVEN_UP_AFTER_TRIES:
        return False
    return wall_ms - failing_since_wall_ms >= FAILING_MAX_MS


def is_gone(answer: object) -> bool:
    return isinstance(answer, Answered) and answer.status == GONE


assert sum(PAUSES_MS) > 24 * HOUR_MS
