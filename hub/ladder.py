"""What happens to an agent that says too much.

Owns the rates of one link and the ladder above them: its reading is paused, then what it says too much is
dropped and counted, then the link is closed; three closes in ten minutes and the name is kept out for a
while. Pure: it is told the time. Facts never come here (L7).
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from hub.buckets import Bucket
from protocol.limits import MIB

BYTES_PER_SECOND: Final = 1 * MIB
BYTES_BURST: Final = 4 * MIB

LIFE_PER_SECOND: Final = 2
LIFE_BURST: Final = 40
"""Heartbeats, pings and reports after a reconnect have a bucket of their own, so that chatter never starves
them."""

FRAMES_A_SLOT_PER_SECOND: Final = 4
"""A sidecar merges progress to two frames a second and run; logs and usage may come as often."""

PAUSE_MS: Final = 1_000
FLOODS_MAX: Final = 10
"""Pauses in a row, each followed by more of the same, after which the link is closed."""

CALM_MS: Final = 5_000
"""Without a dropped frame for so long, earlier floods are forgotten."""

RETRY_AFTER_MS: Final = 30_000
CLOSES_MAX: Final = 3
CLOSES_WITHIN_MS: Final = 10 * 60_000
QUARANTINE_MS: Final = 15 * 60_000

assert CALM_MS > PAUSE_MS


class Step(Enum):
    """How a frame is taken."""

    HEAR = "heard"
    PAUSE = "not heard, and nothing is read for a while"
    DROP = "not heard: the pause has begun and this was on its way"
    CLOSE = "not heard, and the link is closed"


class Ladder:
    """The rates of one link."""

    def __init__(self, *, frames_per_second: int, frames_burst: int, slots: int, now_ms: int) -> None:
        rate = max(frames_per_second, FRAMES_A_SLOT_PER_SECOND * slots)
        burst = max(frames_burst, FRAMES_A_SLOT_PER_SECOND * rate // 2)
        self._frames = Bucket(per_second=rate, burst=burst, now_ms=now_ms)
        self._bytes = Bucket(per_second=BYTES_PER_SECOND, burst=BYTES_BURST, now_ms=now_ms)
        self._life = Bucket(per_second=LIFE_PER_SECOND, burst=LIFE_BURST, now_ms=now_ms)
        self._floods = 0
        self._paused_until_ms = 0
        self._dropped_ms = -CALM_MS
        self.dropped = 0

    def weigh(self, frame_bytes: int, now_ms: int) -> Step:
        """How to take a frame that carries no fact."""
        if self._frames.take(now_ms) and self._bytes.take(now_ms, frame_bytes):
            return Step.HEAR
        return self._flood(now_ms)

    def weigh_life(self, now_ms: int) -> Step:
        """How to take a heartbeat, a ping or a report."""
        return Step.HEAR if self._life.take(now_ms) else self._flood(now_ms)

    def _flood(self, now_ms: int) -> Step:
        self.dropped += 1
        if now_ms - self._dropped_ms >= CALM_MS:
            self._floods = 0
        self._dropped_ms = now_ms
        if now_ms < self._paused_until_ms:
            return Step.DROP
        self._floods += 1
        self._paused_until_ms = now_ms + PAUSE_MS
        return Step.CLOSE if self._floods > FLOODS_MAX else Step.PAUSE


class Quarantine:
    """Who was closed for flooding, how often, and until when they are kept out. Names are token ids:
    bounded."""

    def __init__(self) -> None:
        self._closes: dict[str, deque[int]] = {}
        self._until_ms: dict[str, int] = {}

    def note_close(self, name: str, now_ms: int) -> bool:
        """One more close of that name for flooding; whether it is kept out from now on."""
        recent = self._closes.setdefault(name, deque(maxlen=CLOSES_MAX))
        recent.append(now_ms)
        if len(recent) == CLOSES_MAX and now_ms - recent[0] <= CLOSES_WITHIN_MS:
            self._until_ms[name] = now_ms + QUARANTINE_MS
            del self._closes[name]
            return True
        return False

    def left_ms(self, name: str, now_ms: int) -> int:
        """How long that name is still kept out; 0 when it may come."""
        until = self._until_ms.get(name)
        if until is None:
            return 0
        if until <= now_ms:
            del self._until_ms[name]
            return 0
        return until - now_ms
