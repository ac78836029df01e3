"""What goes wrong in one run: a random subset of vices, each with its moments, and the habits of people and
of work.

Owns the list of fault kinds and how a run's plan is drawn (swarm: most runs know few vices, some know many).
Never makes one happen: `world.py` does, at the planned times, and nothing any more after `Plan.quiet_ms`.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Final, NamedTuple


class Fault(StrEnum):
    """Every kind of trouble. A run is said to have hit one when it really happened to something."""

    # to the wire
    LINK_CUT = "link cut"
    LINK_HALF_OPEN = "link half open"
    LINK_STALLED = "link stalled one way"
    MESSAGE_REPEATED = "message repeated"
    BAD_FACT = "bad fact"
    # to the hub
    HUB_CRASH = "hub crash"
    HUB_CRASH_BEFORE_COMMIT = "hub crash before a commit"
    HUB_CRASH_AFTER_COMMIT = "hub crash after a commit, before telling"
    HUB_DRAINED = "hub drained and started again"
    COMMIT_REFUSED = "commit refused"
    COMMIT_SLOW = "commit slow"
    STORAGE_FULL = "storage full"
    WALL_JUMP = "wall clock jump"
    BACKUP_RESTORED = "backup restored"
    # to the sidecars
    SIDECAR_CRASH = "sidecar crash"
    SIDECAR_POWER_LOSS = "sidecar power loss"
    SIDECAR_DRAINED = "sidecar drained and started again"
    JOURNAL_WIPED = "journal wiped"
    JOURNAL_CORRUPT = "journal corrupt"
    SECOND_INSTANCE = "second instance of a name"
    # by people
    AGENT_PAUSED = "agent paused"
    AGENT_DRAINED = "agent drained"
    AGENT_DISCONNECTED = "agent disconnected by hand"
    AGENT_RESTS = "agent rests by its owner's wish"
    CANCEL = "cancel"
    CANCEL_MANY = "many cancelled at once"
    RETRY_MANY = "many retried at once"
    RETRY_BY_HAND = "retry by hand"
    PUSH_CUT_OFF = "push cut off"
    PUSH_REPEATED = "push repeated"
    KEY_REUSED = "key reused with another body"
    WATCHER_CUT = "watcher cut"
    # by the work
    RUN_FAILS = "run fails"
    RUN_FAILS_FOR_GOOD = "run fails for good"
    RUN_HANGS = "run hangs"
    RUN_ASKS = "run asks a person"
    RUN_DIES_ASKING = "run dies while it asks"
    RUN_ASKS_ELSE = "run asks something else than before"
    RUN_REPORTS = "run reports steps"
    RUN_IGNORES_STOP = "run ignores stop"
    RUN_KILLS_SIDECAR = "run kills its sidecar"
    RUN_BLAMES_MACHINE = "run fails by its machine"
    ORDER_DECLINED = "order declined"
    V1_AGENT = "v1 agent"


HABITS: Final = frozenset(
    {
        Fault.RETRY_BY_HAND,
        Fault.PUSH_CUT_OFF,
        Fault.PUSH_REPEATED,
        Fault.KEY_REUSED,
        Fault.RUN_FAILS,
        Fault.RUN_FAILS_FOR_GOOD,
        Fault.RUN_HANGS,
        Fault.RUN_ASKS,
        Fault.RUN_REPORTS,
        Fault.RUN_IGNORES_STOP,
        Fault.RUN_KILLS_SIDECAR,
        Fault.ORDER_DECLINED,
        Fault.V1_AGENT,
    }
)
"""Not placed at moments: drawn wherever a client, a run or an agent is made."""

LATER_HABITS: Final = (Fault.RUN_DIES_ASKING, Fault.RUN_ASKS_ELSE)
"""Came later, and are drawn with a die of their own: what an older seed had found, it still finds."""

LATER_CHANCE: Final = 0.4
"""Of each later habit in a run."""

QUEUE_PLACED: Final = (Fault.AGENT_RESTS, Fault.CANCEL_MANY, Fault.RETRY_MANY)
"""Placed at moments of runs in which something is asked of the queue (`wishes.py`), and in no others."""

QUEUE_HABITS: Final = (Fault.RUN_BLAMES_MACHINE,)

PLACED: Final = tuple(
    fault for fault in Fault if fault not in {*HABITS, *LATER_HABITS, *QUEUE_PLACED, *QUEUE_HABITS}
)
"""Placed at moments of any run."""

HUB_ONLY: Final = (
    Fault.HUB_CRASH,
    Fault.HUB_CRASH_BEFORE_COMMIT,
    Fault.HUB_CRASH_AFTER_COMMIT,
    Fault.HUB_DRAINED,
    Fault.COMMIT_REFUSED,
    Fault.COMMIT_SLOW,
    Fault.STORAGE_FULL,
    Fault.WALL_JUMP,
)
"""After these alone every task has been executed exactly once (invariant 32)."""

HUB_ONLY_HABITS: Final = frozenset(
    {Fault.PUSH_CUT_OFF, Fault.PUSH_REPEATED, Fault.RUN_ASKS, Fault.RUN_REPORTS, Fault.WATCHER_CUT}
)


POISON_MS: Final = 500_000
"""Long enough for every strike that a task has, with short timers."""


class Moment(NamedTuple):
    at_ms: int
    fault: Fault


class Plan(NamedTuple):
    """All that is decided about a run before it begins; everything else is drawn on the way."""

    quiet_ms: int
    """From here on nothing goes wrong any more, and everything has to end."""
    moments: tuple[Moment, ...]
    habits: frozenset[Fault]
    tasks: int
    sidecars: int
    slots_max: int
    latency_ms: float
    commit_ms: float
    has_short_timers: bool
    """Not with hub-only faults: a half-open link and a slow dial (45 s + 30 s) must fit into the grace."""
    is_hub_only: bool
    kill_chance: float
    """Of each run of work that kills its sidecar. Now and then it always does, until the hub gives up."""


def draw_later(plan: Plan, die: Random) -> Plan:
    """The plan with the habits that came later, in runs in which work may go wrong and may ask."""
    may_ask = Fault.RUN_ASKS in plan.habits and not plan.is_hub_only
    drawn = frozenset(habit for habit in LATER_HABITS if die.random() < LATER_CHANCE)
    return plan._replace(habits=plan.habits | drawn) if may_ask else plan


def draw_plan(die: Random, *, heavy: bool) -> Plan:
    """Light: 8 faults and up to 6 tasks. Heavy: 25 faults and up to 24 tasks on more sidecars."""
    is_hub_only = die.random() < 0.15
    quiet_ms = die.randint(60_000, 240_000) if heavy else die.randint(15_000, 120_000)
    count = die.randint(4, 25) if heavy else die.randint(0, 8)
    habits = _draw_habits(die, HUB_ONLY_HABITS if is_hub_only else HABITS)
    is_poisonous = not is_hub_only and die.random() < 0.04
    if is_poisonous:
        quiet_ms, habits = POISON_MS, habits | {Fault.RUN_KILLS_SIDECAR}
    return Plan(
        quiet_ms=quiet_ms,
        moments=_draw_moments(die, HUB_ONLY if is_hub_only else PLACED, count, quiet_ms),
        habits=habits,
        tasks=die.randint(6, 24) if heavy else die.randint(1, 6),
        sidecars=die.randint(1, 4) if heavy else die.randint(1, 2),
        slots_max=die.choice((1, 1, 2, 3)),
        latency_ms=die.choice(
            (1.0, 10.0, 40.0, 200.0, 3_000.0 if die.random() < 0.3 and not is_hub_only else 5.0)
        ),
        commit_ms=die.choice((1.0, 5.0, 20.0)),
        has_short_timers=is_poisonous or (die.random() < 0.5 and not is_hub_only),
        is_hub_only=is_hub_only,
        kill_chance=1.0 if is_poisonous else 0.3,
    )


def _draw_moments(die: Random, kinds: tuple[Fault, ...], count: int, quiet_ms: int) -> tuple[Moment, ...]:
    chosen = die.sample(kinds, die.randint(1, min(len(kinds), 8)))
    return tuple(sorted(Moment(die.randint(50, quiet_ms), die.choice(chosen)) for _ in range(count)))


def _draw_habits(die: Random, habits: frozenset[Fault]) -> frozenset[Fault]:
    chance = die.choice((0.0, 0.2, 0.5))
    return frozenset(habit for habit in sorted(habits) if die.random() < chance)
