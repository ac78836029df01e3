"""What happens to an agent that says too much.

Owns the rates of one link and the ladder above them: its reading is paused, then what it says too much is
dropped and counted, then the link is closed; three closes in ten minutes and the name is kept out for a
while. What was dropped of a run is said with its next progress (L62). Pure: it is told the time. Facts never
come here (L7).
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from msgspec.structs import replace

from hub.buckets import Bucket
from protocol.frames import AgentFrame, TaskLog, TaskProgress, TaskUsage
from protocol.ids import TaskId
from protocol.limits import INTEGER_MAX, MIB, SLOTS_MAX

BYTES_PER_SECOND: Final = 1 * MIB
BYTES_BURST: Final = 4 * MIB

LIFE_PER_SECOND: Final = 2
LIFE_BURST: Final = 40
"""Heartbeats, pings and reports after a reconnect have a bucket of their own, so that chatter never starves
them."""

FRAMES_A_SLOT_PER_SECOND: Final = 40
"""A crew that streams says some 25 a second: what a sidecar lets through (30 lines of activity, two of
progress and two of usage) and room for a link that was stalled for a moment.
"""

SLOTS_COUNTED_MAX: Final = 100
"""A sidecar says itself how many slots it has: more of them do not raise what one link may say."""

BURST_S: Final = 4
"""How many seconds of talk may come at once: what was said while the hub took a breath."""

GAPS_MAX: Final = SLOTS_MAX
"""Runs of one link of which something was dropped: more than it can have."""

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
        rate = max(frames_per_second, FRAMES_A_SLOT_PER_SECOND * min(slots, SLOTS_COUNTED_MAX))
        burst = max(frames_burst, BURST_S * rate)
        self._frames = Bucket(per_second=rate, burst=burst, now_ms=now_ms)
        self._bytes = Bucket(per_second=BYTES_PER_SECOND, burst=BYTES_BURST, now_ms=now_ms)
        self._life = Bucket(per_second=LIFE_PER_SECOND, burst=LIFE_BURST, now_ms=now_ms)
        self._floods = 0
        self._paused_until_ms = 0
        self._dropped_ms = -CALM_MS
        self._gaps: dict[TaskId, int] = {}
        self.dropped = 0

    def weigh(self, frame_bytes: int, now_ms: int) -> Step:
        """How to take a frame that carries no fact."""
        if self._frames.take(now_ms) and self._bytes.take(now_ms, frame_bytes):
            return Step.HEAR
        return self._flood(now_ms)

    def weigh_life(self, now_ms: int) -> Step:
        """How to take a heartbeat, a ping or a report."""
        return Step.HEAR if self._life.take(now_ms) else self._flood(now_ms)

    def note_gap(self, frame: AgentFrame) -> None:
        """This frame is not heard."""
        if isinstance(frame, TaskProgress | TaskLog | TaskUsage) and len(self._gaps) < GAPS_MAX:
            self._gaps[frame.task_id] = self._gaps.get(frame.task_id, 0) + 1

    def with_gap(self, frame: AgentFrame) -> AgentFrame:
        """This frame is heard; progress also says how much of its run was not."""
        if self._gaps and isinstance(frame, TaskProgress):
            dropped = frame.dropped + self._gaps.pop(frame.task_id, 0)
            return replace(frame, dropped=min(dropped, INTEGER_MAX))
        return frame

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
