"""What is asked of the queue in one run: who submits, what their tasks need and share, and what agents carry.

Owns the list of wishes and how they are drawn, with a die of their own: a run without them is the run that it
was before there were any. Never asks for what no agent of the run could ever give, since everything has to
end.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hub.core.task import Backoff, Priority, Rate
from protocol.ids import AgentId, TaskId
from tests.simulation.faults import QUEUE_HABITS, QUEUE_PLACED, Fault, Moment, Plan

if TYPE_CHECKING:
    from tests.simulation.world import World


class Wish(StrEnum):
    """Each kind of thing that a task can ask of the queue. A run is said to have hit one when a task had
    it."""

    LABELS_NEEDED = "labels needed"
    LABELS_PREFERRED = "labels preferred"
    SLOT_OF_A_KIND = "slot of a kind"
    STICKY = "sticky key"
    LIMIT = "limit of a key"
    RATE = "rate of a key"
    UNIQUE = "unique key"
    DEPENDS = "depends on others"
    BACKOFF = "backoff of its own"
    TIMERS = "timers of its own"
    PROGRESS = "signs of progress"
    START_BY = "start by"
    RUN_AT = "run at"


HUB_ONLY_WISHES: Final = frozenset(Wish) - {Wish.TIMERS, Wish.PROGRESS, Wish.START_BY}
"""Where only the hub is in trouble every task must complete at its first execution (invariant 32)."""

QUEUE_CHANCE: Final = 0.6
"""Of all runs: the others stay as they were before there were wishes."""

CROWD_CHANCE: Final = 0.35
"""Of those: many tasks at once, few seats, so that there is a line at all."""

FLOOD_CHANCE: Final = 0.3
FLOOD_SHARE: Final = 0.7
HABIT_CHANCE: Final = 0.3
TROUBLES_MAX: Final = 4
DEPENDENCIES_MAX: Final = 3
SUBMITTERS: Final = ("ada", "ben", "cleo")
KINDS: Final = ("gpu", "browser")
ZONES: Final = ("north", "south")


class Key(NamedTuple):
    """What tasks of one concurrency key are bound by; one of them may leave either out."""

    name: str
    limit: int
    rate: Rate


class QueuePlan(NamedTuple):
    wishes: frozenset[Wish]
    chance: float
    """Of each wish, for each task."""
    submitters: tuple[str, ...]
    keys: tuple[Key, ...]
    is_crowded: bool
    is_flood: bool
    """Of those: all ask for the same, and most are of one submitter, who was there first."""
    push_ms: int
    """All pushes lie within this time from the start."""


class Equipment(NamedTuple):
    """What an agent carries, through all its boots."""

    labels: dict[str, str]
    kinds: dict[str, int]


NOTHING: Final = Equipment({}, {})


def draw_queue(plan: Plan, die: Random, *, heavy: bool) -> tuple[Plan, QueuePlan | None]:
    """The plan with more tasks and troubles, and what is asked of the queue in it; or as it was."""
    if die.random() >= QUEUE_CHANCE:
        return plan, None
    allowed = HUB_ONLY_WISHES if plan.is_hub_only else frozenset(Wish)
    share = die.choice((0.3, 0.6, 1.0))
    is_crowded = die.random() < CROWD_CHANCE
    is_flood = is_crowded and die.random() < FLOOD_CHANCE
    queue = QueuePlan(
        wishes=frozenset(wish for wish in Wish if die.random() < share and wish in allowed),
        chance=die.choice((0.2, 0.5, 0.8)),
        submitters=SUBMITTERS[: die.randint(1, len(SUBMITTERS))],
        keys=tuple(_draw_key(die, number) for number in range(die.randint(1, 2))),
        is_crowded=is_crowded,
        is_flood=is_flood,
        push_ms=die.choice((50, 2_000, 20_000)) if is_crowded else int(plan.quiet_ms * 0.7),
    )
    tasks = die.randint(8, 16) if is_crowded else plan.tasks + die.randint(0, 4)
    moments, habits = [], frozenset[Fault]()
    if not plan.is_hub_only:
        moments = _draw_troubles(die, plan.quiet_ms)
        habits = frozenset(habit for habit in QUEUE_HABITS if die.random() < HABIT_CHANCE)
    return plan._replace(
        tasks=tasks * 2 if heavy and is_crowded else tasks,
        slots_max=1 if is_crowded and die.random() < 0.7 else plan.slots_max,
        moments=tuple(sorted((*plan.moments, *moments))),
        habits=plan.habits | habits,
    ), queue


def _draw_key(die: Random, number: int) -> Key:
    rate = Rate(count=die.randint(1, 3), per_ms=die.choice((2_000, 10_000, 30_000)))
    return Key(f"shared-{number}", die.randint(1, 2), rate)


def _draw_troubles(die: Random, quiet_ms: int) -> list[Moment]:
    count = die.randint(0, TROUBLES_MAX)
    return [Moment(die.randint(50, quiet_ms), die.choice(QUEUE_PLACED)) for _ in range(count)]


def draw_equipment(die: Random, names: tuple[AgentId, ...]) -> dict[AgentId, Equipment]:
    """Every agent has something that others have not."""
    return {
        name: Equipment(
            labels={"zone": die.choice(ZONES), **({"disk": "big"} if die.random() < 0.5 else {})},
            kinds={kind: die.randint(1, 2) for kind in KINDS if die.random() < 0.5},
        )
        for name in names
    }


# --- what one task asks -----------------------------------------------------------------------------------


def draw_wishes(world: World, queue: QueuePlan, number: int, assign_to: AgentId | None) -> dict[str, Any]:
    """Members of a `Spec`. They fit one agent of the run: the one that is meant, or any."""
    die = world.die
    if queue.is_flood:
        is_of_many = number < world.plan.tasks * FLOOD_SHARE
        submitter = SUBMITTERS[0] if is_of_many else SUBMITTERS[1]
        return {"submitted_by": submitter, "assign_to": None, "priority": Priority.NORMAL}
    meant = world.equipment[assign_to or die.choice(world.names)]
    members: dict[str, Any] = {"submitted_by": die.choice(queue.submitters)}
    for wish in Wish:
        if wish in queue.wishes and die.random() < queue.chance:
            asked = MAKERS[wish](world, queue, meant)
            members |= asked
            if asked:
                world.tally.hit(wish.value)
    return members


def _needed(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    name = world.die.choice(sorted(meant.labels))
    return {"needed_labels": {name: meant.labels[name]}}


def _preferred(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    return {"preferred_labels": {"zone": world.die.choice(ZONES), "disk": "big"}}


def _slot(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    return {"slot": world.die.choice(sorted(meant.kinds))} if meant.kinds else {}


def _sticky(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    return {"sticky_key": world.die.choice(("warm", "hot"))}


def _limit(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    key = world.die.choice(queue.keys)
    return {"concurrency_key": key.name, "limit": key.limit}


def _rate(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    """Comes after `limit`, and may be of another key: then the limit is that one's too."""
    key = world.die.choice(queue.keys)
    limit = {"limit": key.limit} if world.die.random() < 0.5 else {"limit": None}
    return {"concurrency_key": key.name, "rate": key.rate, **limit}


def _unique(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    return {"unique_key": world.die.choice(("the only one", "the other one"))}


def _depends(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    """On tasks that it was answered about: chains and diamonds come of it, and some that have long failed."""
    known = sorted(world.truth.pushed)[-2 * DEPENDENCIES_MAX :]
    count = min(len(known), world.die.randint(1, DEPENDENCIES_MAX))
    chosen: list[TaskId] = world.die.sample(known, count)
    return {"depends_on": tuple(chosen)} if chosen else {}


def _backoff(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    first_ms = world.die.choice((100, 1_000))
    backoff = Backoff(first_ms=first_ms, max_ms=first_ms * 8, jitter=world.die.choice(("half", "full")))
    return {"backoff": backoff}


def _timers(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    """Not shorter than three heartbeats, and than a slow wire."""
    lease_ms = 3 * world.policy.heartbeat_ms + world.die.randint(0, 60_000)
    return {"accept_ms": world.die.choice((2_000, 20_000, 60_000)), "lease_ms": lease_ms}


def _progress(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    return {"progress_ms": world.die.choice((1_000, 4_000, 12_000))}


def _start_by(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    """By the wall: where that jumps nobody could say what it means."""
    if world.has_planned(Fault.WALL_JUMP):
        return {}
    return {"start_by_wall_ms": world.wall_ms() + world.die.choice((5_000, 60_000))}


def _run_at(world: World, queue: QueuePlan, meant: Equipment) -> dict[str, Any]:
    if world.has_planned(Fault.WALL_JUMP):
        return {}
    return {"run_at_wall_ms": world.wall_ms() + world.die.choice((1_000, 10_000))}


MAKERS: Final = {
    Wish.LABELS_NEEDED: _needed,
    Wish.LABELS_PREFERRED: _preferred,
    Wish.SLOT_OF_A_KIND: _slot,
    Wish.STICKY: _sticky,
    Wish.LIMIT: _limit,
    Wish.RATE: _rate,
    Wish.UNIQUE: _unique,
    Wish.DEPENDS: _depends,
    Wish.BACKOFF: _backoff,
    Wish.TIMERS: _timers,
    Wish.PROGRESS: _progress,
    Wish.START_BY: _start_by,
    Wish.RUN_AT: _run_at,
}

assert set(MAKERS) == set(Wish), "every wish is made somewhere"
