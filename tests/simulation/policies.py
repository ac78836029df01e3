"""The rules of the simulated hub: as shipped, or with short timers that keep the proportions of the shipped
ones.

Owns nothing but that choice. Short timers reach in minutes of virtual time what otherwise takes a day.
"""

from __future__ import annotations

from random import Random
from typing import Final

from hub.core.policy import Policy
from tests.simulation.faults import Plan

SHIPPED: Final = Policy(input_ms=600_000, has_streams=True)
"""All as shipped but the patience with people: a day of heartbeats shows nothing that ten minutes do not.
There is a Redis, so that ends are posted."""

SHORT: Final = Policy(
    has_streams=True,
    heartbeat_ms=4_000,
    accept_ms=5_000,
    lease_ms=12_000,
    grace_ms=40_000,
    run_ms=120_000,
    run_slack_ms=11_000,
    cancel_confirm_ms=12_000,
    input_ms=60_000,
    drain_ms=60_000,
    backoff_first_ms=500,
    backoff_max_ms=20_000,
    quarantine_ms=30_000,
    ageing_ms=8_000,
    name_in_use_retry_ms=5_000,
)


def policy_of(plan: Plan, die: Random) -> Policy:
    """Short timers ask for a wire that is not slower than they are."""
    if plan.has_short_timers and plan.latency_ms < 1_000:
        return SHORT
    return SHIPPED
