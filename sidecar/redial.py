"""Whether to come back after a connection has ended, and when: the reconnect policy, as pure arithmetic.

Owns the windows of the backoff and how the table of close codes is obeyed: it asks that table and nothing
else what a close means. Never waits, and is told its roll of the die.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from protocol.close import CloseCode, Comeback, close_rule

STEADY_MS: Final = 10_000
"""A connection that was identified and lasted this long was a good one: the backoff begins anew after it. A
hub that accepts and hangs up at once is not rewarded with a storm."""

WOKEN_MS: Final = 1_000
"""After the sleep of a laptop: at once, but not all laptops of an office in the same instant."""

REFUSED: Final[dict[int, CloseCode]] = {401: CloseCode.INVALID_TOKEN, 403: CloseCode.TOKEN_OF_ANOTHER_AGENT}
"""Refusals of the upgrade that mean the same as a close."""


class Ending(NamedTuple):
    """How one dial ended, whether it ever connected or not."""

    code: int
    reason: str
    side: Literal["hub", "us", "network"]
    dial: int = 0
    duration_ms: int = 0
    identified: bool = False
    retry_after_ms: int | None = None
    """From the `error` before the close, a `goaway`, or a Retry-After header."""
    wall_ms: int = 0
    is_waking: bool = False
    """We hung up ourselves because the machine had slept."""


class Redial(NamedTuple):
    delay_ms: int
    failures: int
    """Endings in a row that were not after a good connection."""


class GiveUp(NamedTuple):
    sentence: str


class Window(NamedTuple):
    """The bounds of the wait: anywhere in the first window, which doubles with each failure up to the most.

    The first is this wide because a fleet shares it: of thousands that lose their hub together, no second
    may bring more than three times its share.
    """

    least_ms: int = 500
    first_ms: int = 10_000
    most_ms: int = 30_000


def next_dial(
    ending: Ending, failures: int, newest_dial: int, window: Window, roll: float
) -> Redial | GiveUp:
    """What follows from an ending. `roll` is from 0 to 1."""
    rule = close_rule(ending.code)
    was_good = ending.identified and ending.duration_ms >= STEADY_MS
    failures = 0 if was_good else failures + 1
    comeback = rule.comeback
    if ending.code == CloseCode.REPLACED and ending.dial < newest_dial:
        comeback = Comeback.WITH_BACKOFF  # it was about an older dial of ours
    if comeback is Comeback.NEVER:
        return GiveUp(rule.sentence)
    if ending.is_waking or (comeback is Comeback.AT_ONCE and failures <= 1):
        return Redial(round(roll * WOKEN_MS), failures)
    if ending.retry_after_ms is not None:
        # The hub has named the time; a little more, so that those it told the same do not come together.
        return Redial(ending.retry_after_ms + round(roll * window.least_ms), failures)
    return Redial(_backoff_ms(failures, window, roll), failures)


def _backoff_ms(failures: int, window: Window, roll: float) -> int:
    """Anywhere in the whole window."""
    widest_ms = max(window.least_ms, min(window.most_ms, window.first_ms << min(max(failures - 1, 0), 16)))
    return round(window.least_ms + roll * (widest_ms - window.least_ms))
