"""Rates: how much of something a peer may do in a while.

Owns the token bucket, pure: it is told the time. Never decides what happens to whoever asks for too much.
"""

from __future__ import annotations


class Bucket:
    """Holds at most `burst` tokens and gains `per_second`; one is taken for each thing done."""

    __slots__ = ("_burst", "_filled_ms", "_per_ms", "_tokens")

    def __init__(self, *, per_second: float, burst: float, now_ms: int) -> None:
        assert per_second > 0
        assert burst >= 1
        self._per_ms = per_second / 1000
        self._burst = burst
        self._tokens = burst
        self._filled_ms = now_ms

    def take(self, now_ms: int, tokens: float = 1) -> bool:
        """Whether that much was there; if not, nothing is taken."""
        if now_ms > self._filled_ms:
            self._tokens = min(self._burst, self._tokens + (now_ms - self._filled_ms) * self._per_ms)
            self._filled_ms = now_ms
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def give(self) -> None:
        """One more, for what was asked for; never above the burst."""
        self._tokens = min(self._burst, self._tokens + 1)

    def wait_ms(self, tokens: float = 1) -> int:
        """How long until that much is there, if nothing else is taken."""
        return max(0, int((min(tokens, self._burst) - self._tokens) / self._per_ms) + 1)
