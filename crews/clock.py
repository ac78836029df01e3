"""The only module of a crew's process that reads a clock.

Owns the two readings that a run needs. Never decides what a time means.
"""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Milliseconds since 1970, for people and for the activity stream."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds that never jump, for what lasts and what must wait."""
    return time.monotonic()
