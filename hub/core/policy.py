"""Every timer and limit of the core, with its reason, and the arithmetic on them.

Owns the numbers of reliability §3.3 and §3.4. Never reads a clock and never rolls a die: both are passed in.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from hub.core.task import Backoff
from protocol import limits

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS


class Policy(Struct, frozen=True, kw_only=True):
    """One hub's rules. The defaults are what the documents promise; a test or an operator may choose
    others.
    """

    heartbeat_ms: int = limits.HEARTBEAT_MS
    accept_ms: int = limits.ACCEPT_MS
    """From an assign to its acceptance: one round trip, one fsync, and a busy loop at the other end."""
    lease_ms: int = limits.LEASE_MS
    """Without progress or a heartbeat that lists it, a v2 run is taken for lost: three lost heartbeats."""
    grace_ms: int = limits.GRACE_MS
    run_ms: int = HOUR_MS
    """Start-to-close of a task that names none: every run ends."""
    run_slack_ms: int = 15 * SECOND_MS
    """The hub's run timer lies this much after the sidecar's own, which has TERM, grace and KILL to get
    through.
    """
    cancel_confirm_ms: int = 30 * SECOND_MS
    cancel_grace_ms: int = limits.CANCEL_GRACE_MS
    input_ms: int = 24 * HOUR_MS
    """People sleep."""
    drain_ms: int = 10 * MINUTE_MS
    """A draining agent is sent away after this long, whatever it still holds."""

    backoff_first_ms: int = 2 * SECOND_MS
    backoff_max_ms: int = 300 * SECOND_MS
    retry_after_max_ms: int = HOUR_MS
    """A runner may ask for a pause; not for ever."""
    strikes_max: int = 5
    unaccepted_max: int = 20
    """Generations in a row that nobody accepted: RabbitMQ's twenty."""
    resends_max: int = 5
    """How often one generation's assign is sent again (T12) before that is a strike."""
    accept_timeouts_max: int = 3
    """In a row, on one agent: then the agent is the one to blame."""
    crashes_max: int = 3
    """Different tasks in a row that broke down on one agent, before it is left alone for a while."""
    quarantine_ms: int = 5 * MINUTE_MS
    ageing_ms: int = 10 * MINUTE_MS
    """Who waits so long rises a level, and so the lowest is served within three of these like an urgent one
    of its age.
    """
    declined_first_ms: int = SECOND_MS
    declined_max_ms: int = 30 * SECOND_MS
    name_in_use_retry_ms: int = 30 * SECOND_MS
    """When the other instance is live there is no deadline to name: one lease."""
    generation_leap: int = 1_000_000
    """After lost history generations go on this far above anything known: more than were issued since any
    backup.
    """
    has_streams: bool = False
    """Whether there is a Redis to tell the ends of tasks to; without one nobody could hear of them there."""
    tasks_open_max: int = 500_000
    """Open tasks on one board, about 2 KiB each; one more is answered `overloaded`."""


DOUBLINGS_MAX: Final = 30
"""Of a pause: nobody waits longer than its bound, so there is no need to count on."""


def backoff_ms(policy: Policy, failures: int, roll: float, own: Backoff | None = None) -> int:
    """min(300 s, 2 s x 2^failures) x uniform(0.5, 1), or as the task itself says (ADR 0018)."""
    backoff = own or Backoff(first_ms=policy.backoff_first_ms, max_ms=policy.backoff_max_ms)
    full_ms = min(backoff.max_ms, backoff.first_ms << min(failures, DOUBLINGS_MAX))
    return int(full_ms * (roll if backoff.jitter == "full" else 0.5 + roll / 2))


def decline_ms(policy: Policy, declines: int) -> int:
    """How long a task is not offered again to an agent that has declined it `declines` times before: 1 s x
    2^n, at most 30 s.
    """
    return min(policy.declined_max_ms, policy.declined_first_ms << min(declines, 20))
