"""Waiting for a condition, never for a time: the only module of the tests that sleeps.

`until` is for code in an event loop, `until_true` for a test that watches another process. Both return what
the predicate returned, and fail with the sentence that says what never came true.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Far above what anything takes on a busy machine: a wait that ends here is a failure, not a slow day.
TIMEOUT_S = 60.0
# Short enough not to be felt, long enough to leave two cores to the work that is waited for.
PAUSE_S = 0.01


async def until(predicate: Callable[[], T], description: str, timeout: float = TIMEOUT_S) -> T:
    """Let the event loop run until `predicate()` is truthy, and return that value."""
    deadline = time.monotonic() + timeout
    while not (found := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain until {description}")
        await asyncio.sleep(PAUSE_S)
    return found


def until_true(predicate: Callable[[], T], description: str, timeout: float = TIMEOUT_S) -> T:
    """Block until `predicate()` is truthy, and return that value; for tests without an event loop."""
    deadline = time.monotonic() + timeout
    while not (found := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain until {description}")
        time.sleep(PAUSE_S)
    return found
