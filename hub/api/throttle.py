"""How often one caller may fail to prove who it is, how often one token may push, what is long at a time.

Owns three tables of buckets, bounded, and the turns of what takes long. Addresses of loopback and of listed
proxies are never throttled: behind them everybody looks the same (security W8).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from hub.buckets import Bucket
from hub.census import Trusted

FAILURES_PER_MINUTE: Final = 10
JOINS_PER_MINUTE: Final = 5
"""Join codes that were not good (security A6)."""

CALLERS_MAX: Final = 10_000
"""Callers remembered; the longest unseen is forgotten first."""

PUSH_BURST_SECONDS: Final = 5


class Buckets:
    """One bucket a caller, made at its first call."""

    def __init__(self, *, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._by_caller: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, caller: str, now_ms: int) -> int | None:
        """None if there was room, else how long to wait in milliseconds."""
        bucket = self._by_caller.get(caller)
        if bucket is None:
            bucket = Bucket(per_second=self._per_second, burst=self._burst, now_ms=now_ms)
            self._by_caller[caller] = bucket
            while len(self._by_caller) > CALLERS_MAX:
                self._by_caller.popitem(last=False)
        self._by_caller.move_to_end(caller)
        return None if bucket.take(now_ms) else bucket.wait_ms()


class Throttle:
    """`pushes_per_second` 0 means that pushes are not limited."""

    def __init__(self, *, trusted: Trusted, pushes_per_second: int) -> None:
        self._trusted = trusted
        self._failures = Buckets(per_second=FAILURES_PER_MINUTE / 60, burst=FAILURES_PER_MINUTE)
        self._joins = Buckets(per_second=JOINS_PER_MINUTE / 60, burst=JOINS_PER_MINUTE)
        self._pushes = (
            Buckets(per_second=pushes_per_second, burst=pushes_per_second * PUSH_BURST_SECONDS)
            if pushes_per_second
            else None
        )
        self.bulk = asyncio.Lock()
        """Held by whoever does something to many tasks."""
        self.exports = 0
        """Under way."""

    def failed(self, address: str, now_ms: int) -> int | None:
        """A token was not valid: None, or how long this address must wait before it may try again."""
        return None if address in self._trusted else self._failures.take(address, now_ms)

    def failed_to_join(self, address: str, now_ms: int) -> int | None:
        """A join code was not good: the same."""
        return None if address in self._trusted else self._joins.take(address, now_ms)

    def pushed(self, token_id: str, now_ms: int) -> int | None:
        """A token pushes: None, or how long it must wait."""
        return None if self._pushes is None else self._pushes.take(token_id, now_ms)
