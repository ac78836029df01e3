"""What is asked from time to time and at the end of a run: does everything end, and was nothing lost or done
twice?

Owns the liveness invariants and the full sweeps of reliability §3.5, each with its number. Never changes
anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import json

from tests.simulation.coverage import Tally
from tests.simulation.invariants import demand, invariant
from tests.simulation.v1client import SECRET

if TYPE_CHECKING:
    from tests.simulation.world import World

OVERDUE_MS: Final = 40_000

INBOX_MAX: Final = 10_000
"""Letters that a hub of this little world may have waiting: far above what its cast can say at once."""


def judge(world: World) -> None:
    """The full sweep, when everything has come to its end."""
    every_acknowledged_push_exists(world)
    executions_are_tasks(world)
    no_secret_is_kept(world)
    a_fact_has_one_effect(world)
    bounds_hold(world)


def look(world: World) -> None:
    """What must be true in between, asked every few virtual seconds."""
    nothing_is_overdue(world)
    bounds_hold(world)
    world.hub.witness.queue.look()


def is_settled(world: World) -> bool:
    """Every task terminal, every journal empty, every client answered, and the hub is there to say so."""
    return (
        world.hub.is_up
        and world.open_requests == 0
        and all(row.is_final for row in world.truth.rows.values())
        and all(sidecar.is_settled for sidecar in world.sidecars)
    )


@invariant(7)
def every_acknowledged_push_exists(world: World) -> None:
    """Every acknowledged push exists. (What a restored backup never knew was taken out when it came back.)"""
    for task_id, key in world.truth.pushed.items():
        demand(7, task_id in world.truth.rows, f"{task_id} (key {key}) was acknowledged and is not there")


@invariant(27)
def no_secret_is_kept(world: World) -> None:
    """No secret-marked value occurs in log, feed or ledger."""
    kept = json.encode([list(world.truth.log), list(world.truth.rows.values())])
    demand(27, SECRET.encode() not in kept, "the token of a v1 identify was written down")


@invariant(28)
def bounds_hold(world: World) -> None:
    """Queue, buffers and tables stay under their configured bounds."""
    hub = world.hub
    demand(28, not hub.is_up or hub.inbox_length <= INBOX_MAX, f"{hub.inbox_length} letters wait")
    for sidecar in world.sidecars:
        demand(
            28,
            sidecar.facts_pending <= sidecar.facts_max,
            f"{sidecar.name} has {sidecar.facts_pending} facts",
        )


@invariant(29)
def nothing_is_overdue(world: World) -> None:
    """Nothing is overdue by more than 40 s while a hub is up (and its disk takes what it writes)."""
    overdue_ms = world.hub.overdue_ms()
    demand(29, overdue_ms <= OVERDUE_MS, f"the hub's next deadline is {overdue_ms} ms ago")


@invariant(30)
def everything_ends(world: World, over_ms: int, bound_ms: int) -> None:
    """After the faults stop, every task is terminal and every journal empty."""
    if over_ms <= bound_ms:
        return
    rows = [
        f"{row.task_id} is {row.state} {row.timer}" for row in world.truth.rows.values() if not row.is_final
    ]
    journals = [
        f"{sidecar.name}: {sidecar.why_unsettled}" for sidecar in world.sidecars if not sidecar.is_settled
    ]
    rest = f"hub up: {world.hub.is_up}, unanswered requests: {world.open_requests}"
    demand(30, False, f"{over_ms} ms after the last fault: {rows} {journals} {rest}")


@invariant(32)
def executions_are_tasks(world: World) -> None:
    """Hub-only faults ⇒ executions = tasks."""
    if world.plan.is_hub_only:
        tasks = {task_id for task_id, _ in world.truth.started}
        again = [str(key) for key in world.truth.started if key[1] > 1]
        demand(32, len(world.truth.started) == len(tasks), f"executed again under hub-only faults: {again}")
        completed = all(row.state == "completed" for row in world.truth.rows.values())
        demand(32, completed, "hub-only faults, and a task did not complete")


@invariant(34)
def everything_was_reached(tally: Tally, *, runs_min: int) -> None:
    """*Sometimes*: each transition and each fault kind was hit at least once per 10,000 schedules."""
    demand(34, tally.runs < runs_min or not tally.missed(), f"never reached: {', '.join(tally.missed())}")


@invariant(20)
def a_fact_has_one_effect(world: World) -> None:
    """One journaled frame has at most one effect: as many marks moved as facts were numbered, none of them
    twice."""
    for instance, mark in world.truth.marks.items():
        applied = world.truth.applied.get(instance, 0)
        demand(
            20, applied <= mark, f"{instance}: {applied} facts had an effect, and only {mark} have numbers"
        )
