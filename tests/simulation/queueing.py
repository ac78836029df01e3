"""What must be true of the queue: keys, rates, dependencies, kinds of slots, pauses and silence.

Owns invariants 39 to 45 and 49 to 51, one function each; who goes first is in `fairness.py`, why somebody
waits in `reasons.py`. Judges what became durable and what left a process; what only the board knows it never
asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct, json

from hub.core.task import Spec, State, Task
from hub.ports import CommittedEvent
from protocol.ids import TaskId
from tests.simulation.invariants import demand, invariant

Rows = Mapping[TaskId, Task]


class Requeued(Struct, frozen=True):
    """What is read of the payload of `task_requeued`."""

    cause: str
    delay_ms: int = 0


decode_requeued: Final = json.Decoder(Requeued).decode

AT_ONCE: Final = frozenset({"rejected", "not_accepted"})
"""Causes after which a task may be offered to somebody else without a pause."""

RETRY_AFTER_MS: Final = 5_000
"""What a run of this world asks for at the most."""

SILENCE_SLACK_MS: Final = 40_000
"""As `OVERDUE_MS`: a hub that is up has noticed by then."""

WITHOUT_BEGINNING: Final = frozenset({"dependency_failed", "dependency_gone", "cancelled", "deadline"})
"""How a task may end that waits for one which will never complete."""


# --- keys -------------------------------------------------------------------------------------------------


@invariant(39)
def a_unique_key_is_held_once(rows: Rows, touched: Collection[Task]) -> None:
    """At most one open task has a unique key, after every commit."""
    for key in {row.spec.unique_key for row in touched} - {None}:
        holders = sorted(
            row.task_id for row in rows.values() if row.spec.unique_key == key and not row.is_final
        )
        demand(39, len(holders) <= 1, f"unique key {key} is held by {holders}")


def a_refusal_names_the_holder(rows: Rows, spec: Spec, holder: TaskId | None) -> None:
    """Also 39: who is turned away is told by whom, and that one has the key."""
    row = rows.get(holder) if holder is not None else None
    is_true = row is not None and row.spec.unique_key == spec.unique_key
    demand(39, is_true, f"{spec.unique_key} is said to be held by {holder}, which is {row}")


@invariant(40)
def a_limit_holds(row: Task, held: Collection[TaskId], alive: Collection[object]) -> None:
    """When a task begins, no more of its key are held, itself included, than it allows; revoked runs that
    may still be at work are held."""
    limit = row.spec.limit
    if limit is not None:
        count = len(held) + len(alive)
        text = (
            f"{row.task_id} began as {count} of {row.spec.concurrency_key}: {sorted(held)}, revoked {alive}"
        )
        demand(40, count <= limit, f"{text}; its limit is {limit}")


@invariant(41)
def a_rate_holds(row: Task, starts_ms: Sequence[int], now_ms: int) -> None:
    """In no window of `per_ms` more than `count` tasks of a key begin. `starts_ms` ends with this one."""
    rate = row.spec.rate
    if rate is not None:
        recent = [start_ms for start_ms in starts_ms if start_ms > now_ms - rate.per_ms]
        text = f"{row.task_id} of {row.spec.concurrency_key} began at {now_ms}, others at {recent}"
        demand(41, len(recent) <= rate.count, f"{text}; its rate is {rate.count} in {rate.per_ms} ms")


# --- dependencies -----------------------------------------------------------------------------------------


@invariant(42)
def a_dependant_waits(row: Task, rows_before: Rows) -> None:
    """A task begins only when all that it depends on have completed, durably, in an earlier commit."""
    for task_id in row.spec.depends_on:
        other = rows_before.get(task_id)
        is_done = other is not None and other.state is State.COMPLETED
        state = "nowhere" if other is None else other.state
        demand(42, is_done, f"{row.task_id} began, and {task_id}, on which it depends, is {state}")


@invariant(43)
def a_dependant_shares_the_end(row: Task, rows: Rows, *, is_restored: bool) -> None:
    """Who waits for a task that came to a bad end never begins, and ends itself; nobody else ends so."""
    others = [rows.get(task_id) for task_id in row.spec.depends_on]
    bad = [other for other in others if other is not None and other.is_final and other.state != "completed"]
    if row.ending is not None and row.ending.how == "dependency_failed":
        demand(43, bool(bad), f"{row.task_id} failed with its dependencies, and none of them has")
    if row.ending is not None and row.ending.how == "dependency_gone":
        demand(43, is_restored or None in others, f"{row.task_id} misses a dependency, and all are there")
    if bad and not is_restored:
        demand(43, row.generation == 0, f"{row.task_id} has begun, and {bad[0].task_id} is {bad[0].state}")
        is_so = row.ending is None or row.ending.how in WITHOUT_BEGINNING
        demand(43, is_so, f"{row.task_id} ended {row.ending}, and {bad[0].task_id} is {bad[0].state}")


def a_refusal_names_what_is_missing(rows: Rows, spec: Spec, missing: TaskId | None) -> None:
    """Also 43: a dependency that is refused as unknown is named by the task, and is not there."""
    is_named = missing in spec.depends_on
    demand(43, is_named and missing not in rows, f"{missing} is said to be missing of {spec.depends_on}")


# --- seats ------------------------------------------------------------------------------------------------


@invariant(44)
def kinds_are_truth(agent: str, runs_on: Callable[[str], int], kinds: Mapping[str, int]) -> None:
    """No sidecar runs more of a kind than it has slots of that kind."""
    for kind, slots in kinds.items():
        demand(44, runs_on(kind) <= slots, f"{agent} runs {runs_on(kind)} on {slots} slots of kind {kind}")


class Card(Struct, frozen=True):
    """What an agent has last told the hub of itself."""

    labels: Mapping[str, str] = {}
    kinds: Mapping[str, int] = {}
    slots: int = 1
    is_resting: bool = False


@invariant(45)
def an_order_fits_its_agent(row: Task, card: Card, *, is_paused: bool) -> None:
    """Work is given only to an agent that carries what is needed, has the kind of slot, and takes work."""
    spec, who = row.spec, row.holder
    has_labels = spec.needed_labels.items() <= card.labels.items()
    demand(45, has_labels, f"{row.task_id} needs {spec.needed_labels}, {who} has {card.labels}")
    has_kind = not spec.slot or card.kinds.get(spec.slot, 0) > 0
    demand(45, has_kind, f"{row.task_id} takes a slot of kind {spec.slot}, {who} has {card.kinds}")
    demand(45, not card.is_resting, f"{row.task_id} was given to {who}, which rests")
    demand(45, not is_paused, f"{row.task_id} was given to {who}, which is paused")


# --- time -------------------------------------------------------------------------------------------------


@invariant(49)
def a_silent_run_is_called_back(row: Task, silent_ms: int) -> None:
    """A run that must say something, and does not, is called back soon after its time."""
    bound_ms = (row.spec.progress_ms or 0) + SILENCE_SLACK_MS
    text = f"{row.task_id}/{row.generation} has said nothing for {silent_ms} ms, and nobody minds"
    demand(49, row.spec.progress_ms is None or silent_ms <= bound_ms, text)


def a_run_that_speaks_is_left_alone(row: Task, event: CommittedEvent, silent_ms: int) -> None:
    """Also 49: and none before its time."""
    is_so = row.spec.progress_ms is not None and silent_ms >= row.spec.progress_ms
    demand(49, is_so, f"{event.task_id} was called back for silence, and had spoken {silent_ms} ms before")


@invariant(50)
def only_a_first_start_is_waited_for(row: Task) -> None:
    """What was ever accepted does not end because it could not start in time, and what is retried by hand has
    none of the times of the first (L18).
    """
    is_retry = row.spec.retry_of is not None
    has_times = row.spec.start_by_wall_ms is not None or row.spec.run_at_wall_ms is not None
    demand(50, not (is_retry and has_times), f"{row.task_id} is a retry, and is to start by {row.spec}")
    is_late = row.ending is not None and row.ending.how == "deadline"
    demand(50, not is_late or row.started_wall_ms is None, f"{row.task_id} could not start, and had started")


@invariant(51)
def a_pause_is_as_asked(row: Task, event: CommittedEvent) -> None:
    """Between two attempts lies a pause within the bounds that the task asked for."""
    backoff, requeued = row.spec.backoff, decode_requeued(event.payload)
    if backoff is None or (requeued.cause in AT_ONCE and requeued.delay_ms == 0):
        return
    least_ms = backoff.first_ms // 2 if backoff.jitter == "half" else 0
    most_ms = max(backoff.max_ms, RETRY_AFTER_MS)
    is_within = least_ms <= requeued.delay_ms <= most_ms
    demand(51, is_within, f"{row.task_id} waits {requeued.delay_ms} ms after {requeued.cause}: {backoff}")
