"""What runs with wishes have to reach, each at least once in many schedules (invariant 34).

Owns the list, beside the transitions and fault kinds of `coverage.py` and the wishes. Never says when one was
reached: whoever sees it does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tests.simulation.wishes import Wish


class Sometimes(StrEnum):
    """Each happening of the queue that a set of runs must have shown."""

    UNIQUE_HELD = "a unique key was held"
    DEPENDENCY_WAITED = "a dependant had to wait"
    DEPENDENCY_DONE = "a dependant began after its dependencies"
    DEPENDENCY_FAILED = "a dependant failed with its dependency"
    CASCADE = "a dependant failed with a dependant"
    SILENCE = "a silent run was called back"
    KIND_TAKEN = "a slot of a kind was taken"
    STUCK = "a key stuck to its agent"
    OVERTAKEN = "an urgent one went first"
    AGED = "an aged one went first"
    SHARED = "submitters took turns"
    AGENT_QUARANTINED = "an agent was quarantined for what it lost"


REACHED: Final = tuple(one.value for one in (*Wish, *Sometimes))
