"""What must be true after every step, one function each with its number from reliability §3.5.

Owns `INVARIANTS` and the functions that judge rows, events, frames and runs as they come by; `ending.py` has
those that are asked at the end of a run. Never reads the board: what is judged is what became durable or left
a process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from hub.core.task import Task
from hub.ports import CommittedEvent
from protocol.frames import TaskAck, TaskAssign
from protocol.ids import AgentId, Generation, InstanceId, RequestId, Seq, TaskId

Check = TypeVar("Check", bound=Callable[..., None])

INVARIANTS: Final[dict[int, Callable[..., None]]] = {}
"""Number to function; `test_simulation.py` holds that all 38 are here: 34 of the list, 4 of ours."""

STALE_EVENTS: Final = ("stale",)
"""What may still be logged about a task after its end: that something came too late."""


class Broken(AssertionError):
    """An invariant does not hold. The seed and the trace are added by whoever ran the world."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"invariant {number} is broken: {text}")
        self.number = number


def invariant(number: int) -> Callable[[Check], Check]:
    """Enter a function into the list."""

    def enter(check: Check) -> Check:
        assert number not in INVARIANTS, f"invariant {number} stands here twice"
        INVARIANTS[number] = check
        return check

    return enter


def demand(number: int, is_true: bool, text: str) -> None:
    if not is_true:
        raise Broken(number, text)


class Spent:
    """What the log says a task has spent."""

    __slots__ = ("attempts", "strikes")

    def __init__(self) -> None:
        self.attempts = 0
        self.strikes = 0


class Truth:
    """What the world knows has become durable, been started and been told: the yardstick of all checks."""

    __slots__ = (
        "answered",
        "applied",
        "bound",
        "cancelled_at",
        "channels",
        "era",
        "finals_logged",
        "given",
        "keys",
        "last_offset",
        "log",
        "marks",
        "pushed",
        "refused",
        "results",
        "rows",
        "spent",
        "started",
        "strikes_max",
    )

    def __init__(self, strikes_max: int) -> None:
        self.strikes_max = strikes_max
        self.era = 0
        """How often a backup was restored: what was acknowledged after it was made may be gone."""
        self.rows: dict[TaskId, Task] = {}
        self.log: list[CommittedEvent] = []
        self.last_offset = 0
        self.applied: dict[InstanceId, int] = {}
        """Facts of each instance that had an effect."""
        self.marks: dict[InstanceId, Seq] = {}
        self.bound: dict[AgentId, InstanceId] = {}
        self.keys: dict[str, TaskId] = {}
        self.finals_logged: dict[TaskId, int] = {}
        self.channels: set[str] = set()
        """Every channel whose one final letter is posted."""
        self.cancelled_at: dict[TaskId, Generation] = {}
        """The generation when a cancel was accepted."""
        self.started: dict[tuple[TaskId, Generation], str] = {}
        self.results: dict[tuple[TaskId, Generation], bytes] = {}
        self.spent: dict[TaskId, Spent] = {}
        self.refused: set[TaskId] = set()
        """Rows that somebody else has written under the hub: a lost compare-and-set rolls nothing else back
        (§3.6), so what follows from a name that was rebound in that turn comes one turn later for them."""
        self.pushed: dict[TaskId, str] = {}
        """Every push that was answered 2xx, with its key."""
        self.answered: dict[TaskId, set[RequestId]] = {}
        """Every question whose answer was answered 2xx."""
        self.given: dict[tuple[TaskId, RequestId], bytes] = {}
        """What was first written down as the answer to a question."""


# --- rows -------------------------------------------------------------------------------------------------


@invariant(4)
def a_result_is_of_its_own_generation(truth: Truth, row: Task) -> None:
    """A completed task's result was produced by that same generation."""
    if row.state == "completed" and row.result is not None:
        made = truth.results.get((row.task_id, row.generation))
        demand(
            4,
            made == bytes(row.result),
            f"{row.task_id}/{row.generation} has {row.result!r}, made was {made!r}",
        )


@invariant(6)
def a_generation_rises_by_one_at_assignment(before: Task | None, row: Task, floor: int) -> None:
    """Strictly, by 1, and only at assignment. After lost history it goes on above anything ever issued
    (§3.6)."""
    old = before.generation if before is not None else 0
    if row.generation == old:
        return
    demand(6, row.generation > old, f"{row.task_id}: generation fell from {old} to {row.generation}")
    by_one = row.generation == old + 1 or (floor > 0 and row.generation >= floor > old)
    demand(6, by_one, f"{row.task_id}: generation jumped from {old} to {row.generation}")


@invariant(8)
def a_key_has_one_task(truth: Truth, row: Task) -> None:
    """One key, one task."""
    key = row.spec.idempotency_key
    if key is not None:
        owner = truth.keys.setdefault(key, row.task_id)
        demand(8, owner == row.task_id, f"key {key} belongs to {owner} and to {row.task_id}")


@invariant(9)
def attempts_stay_in_bounds(row: Task) -> None:
    """attempt ≤ attempts_max; of `task_assign.attempt` see `an_assign_is_within_its_attempts`."""
    demand(
        9,
        row.attempt <= row.spec.attempts_max,
        f"{row.task_id}: attempt {row.attempt}/{row.spec.attempts_max}",
    )


def an_assign_is_within_its_attempts(frame: TaskAssign) -> None:
    """The other half of 9."""
    if frame.attempt is not None and frame.attempts_max is not None:
        demand(
            9, frame.attempt <= frame.attempts_max, f"{frame.task_id}: assigned as attempt {frame.attempt}"
        )


def spending_is_counted(row: Task, spent: Spent) -> None:
    """Also 9 and 11: failed work has spent an attempt, a lost generation has spent a strike."""
    demand(
        9, row.attempt >= spent.attempts, f"{row.task_id}: {spent.attempts} failures, {row.attempt} attempts"
    )
    demand(11, row.strikes >= spent.strikes, f"{row.task_id}: {spent.strikes} losses, {row.strikes} strikes")


@invariant(10)
def attempts_are_generations(row: Task) -> None:
    """attempt ≤ generation."""
    demand(
        10,
        row.attempt <= row.generation,
        f"{row.task_id}: attempt {row.attempt}, generation {row.generation}",
    )


@invariant(11)
def strikes_stay_in_bounds(row: Task, strikes_max: int) -> None:
    """strikes ≤ max + 1."""
    demand(11, row.strikes <= strikes_max + 1, f"{row.task_id}: {row.strikes} strikes")


@invariant(12)
def held_means_a_timer_and_a_holder(row: Task) -> None:
    """Held ⇒ a timer and a holder."""
    if row.is_held:
        demand(
            12, row.timer is not None and row.holder is not None, f"{row.task_id} is {row.state}: {row.timer}"
        )


@invariant(13)
def final_means_no_timer(row: Task) -> None:
    """Terminal ⇒ no timer."""
    if row.is_final:
        demand(13, row.timer is None and row.holder is None, f"{row.task_id} is {row.state} with {row.timer}")


@invariant(14)
def queued_means_no_lease(row: Task) -> None:
    """Queued ⇒ no lease, and nobody holds it."""
    if row.state == "queued":
        demand(
            14,
            row.timer is None and row.holder is None,
            f"{row.task_id} is queued with {row.timer} {row.holder}",
        )


@invariant(17)
def nothing_is_assigned_after_a_cancel(truth: Truth, row: Task) -> None:
    """No assignment after an accepted cancel."""
    at = truth.cancelled_at.get(row.task_id)
    is_before = at is None or row.generation == at
    demand(17, is_before, f"{row.task_id}: generation {row.generation} after cancel at {at}")


@invariant(22)
def a_holder_is_the_bound_instance(truth: Truth, row: Task) -> None:
    """A held task's instance = the name's bound instance."""
    if row.holder is not None:
        bound = truth.bound.get(row.holder.agent_id)
        is_bound = bound == row.holder.instance_id
        demand(22, is_bound, f"{row.task_id} is held by {row.holder}, bound is {bound}")


def judge_row(truth: Truth, before: Task | None, row: Task, floor: int) -> None:
    """All that one row can show, when it has just become durable."""
    a_result_is_of_its_own_generation(truth, row)
    a_key_has_one_task(truth, row)
    nothing_is_assigned_after_a_cancel(truth, row)
    judge_row_alone(before, row, floor, truth.strikes_max)


def judge_row_alone(before: Task | None, row: Task, floor: int, strikes_max: int) -> None:
    """What a row shows without any knowledge of the world."""
    a_generation_rises_by_one_at_assignment(before, row, floor)
    attempts_stay_in_bounds(row)
    attempts_are_generations(row)
    strikes_stay_in_bounds(row, strikes_max)
    held_means_a_timer_and_a_holder(row)
    final_means_no_timer(row)
    queued_means_no_lease(row)
    if before is not None and before.is_final:
        demand(5, before == row, f"{row.task_id} changed after its end: {before.state} to {row.state}")


# --- the log ----------------------------------------------------------------------------------------------


@invariant(1)
def offsets_have_no_gap(truth: Truth, event: CommittedEvent) -> None:
    """Log offsets are 1, 2, 3 … without gap or repeat."""
    demand(1, event.offset == truth.last_offset + 1, f"{event.offset} follows {truth.last_offset}")


@invariant(2)
def a_task_ends_once(truth: Truth, event: CommittedEvent) -> None:
    """At most one terminal event a task."""
    demand(2, event.task_id not in truth.finals_logged, f"{event.task_id} ended a second time: {event}")


@invariant(3)
def an_ending_is_of_the_last_generation(truth: Truth, event: CommittedEvent) -> None:
    """The terminal event's generation = the task's generation."""
    row = truth.rows[TaskId(event.task_id or "")]
    demand(3, row.is_final, f"{event.task_id}: a terminal event, but it is {row.state}")
    demand(3, (event.generation or 0) == row.generation, f"{event} for generation {row.generation}")


@invariant(5)
def nothing_happens_after_an_end(truth: Truth, event: CommittedEvent) -> None:
    """No state event after a terminal one (only `stale`)."""
    ended = truth.finals_logged.get(TaskId(event.task_id or ""))
    demand(5, ended is None or event.event in STALE_EVENTS, f"after its end at {ended}: {event}")


def judge_event(truth: Truth, event: CommittedEvent, *, is_final: bool) -> None:
    """All that one line of the log can show. The rows of its turn have been entered before."""
    offsets_have_no_gap(truth, event)
    truth.last_offset = event.offset
    if event.task_id is None:
        return
    if is_final:
        a_task_ends_once(truth, event)
        an_ending_is_of_the_last_generation(truth, event)
    nothing_happens_after_an_end(truth, event)
    if is_final:
        truth.finals_logged[TaskId(event.task_id)] = event.offset


# --- what is told -----------------------------------------------------------------------------------------


@invariant(18)
def facts_are_applied_in_order(instance: InstanceId, before: Seq, after: Seq, moves: int) -> None:
    """Uplink `seq` is applied without gap, in order, per instance: as many moves as numbers."""
    demand(
        18, after - before == moves, f"{instance}: the mark went from {before} to {after} in {moves} moves"
    )


@invariant(23)
def an_ack_is_a_receipt(truth: Truth, instance: InstanceId, frame: TaskAck) -> None:
    """Ack(seq) sent ⇒ durable mark ≥ seq at that moment."""
    if frame.seq is not None:
        mark = truth.marks.get(instance, 0)
        demand(23, mark >= frame.seq, f"{instance}: {frame} told, and the durable mark is {mark}")


def an_assign_is_durable(truth: Truth, frame: TaskAssign) -> None:
    """Record, then tell: what is sent out stands in the ledger as sent (law 2), and no cancel came before
    (17)."""
    row = truth.rows.get(frame.task_id)
    demand(7, row is not None, f"{frame.task_id} is assigned and in no ledger")
    assert row is not None
    if frame.generation is not None:
        demand(
            15,
            frame.generation <= row.generation,
            f"{frame} told, and durable is generation {row.generation}",
        )
        demand(
            17,
            frame.task_id not in truth.cancelled_at,
            f"{frame.task_id} is assigned after an accepted cancel",
        )


@invariant(25)
def a_ghost_changes_nothing(is_live: bool, changes: int, what: object) -> None:
    """A frame of a superseded link changes nothing."""
    demand(25, is_live or changes == 0, f"{what} came over a dead link and made {changes} changes")


# --- sidecars ---------------------------------------------------------------------------------------------


@invariant(15)
def no_sidecar_is_ahead(truth: Truth, task_id: TaskId, generation: Generation) -> None:
    """No sidecar knows a generation above the hub's. (After a restored backup the hub has forgotten: era >
    0.)"""
    row = truth.rows.get(task_id)
    known = row.generation if row is not None else 0
    demand(
        15, generation <= known or truth.era > 0, f"{task_id}: a sidecar has {generation}, the ledger {known}"
    )


@invariant(16)
def slots_are_truth(agent: str, running: int, slots: int) -> None:
    """No sidecar runs more than its capacity."""
    demand(16, running <= slots, f"{agent} runs {running} on {slots} slots")


@invariant(21)
def a_generation_is_started_once(truth: Truth, task_id: TaskId, generation: Generation, where: str) -> None:
    """A (task, generation) is started at most once, anywhere.

    A hub from a restored backup issues a number again before the first sidecar shows it what it has lost; no
    hub can know better, so across eras the same number may run on another sidecar (reliability §3.6, restored
    backup).
    """
    other = truth.started.get((task_id, generation))
    is_forgotten = truth.era > 0 and other != where
    demand(
        21, other is None or is_forgotten, f"{task_id}/{generation} is started by {where}, and was by {other}"
    )


@invariant(24)
def a_dropped_fact_has_its_receipt(agent: str, dropped: Seq, receipted: Seq, has_receipt: bool) -> None:
    """Journal entry deleted ⇒ acknowledged."""
    demand(
        24,
        has_receipt or dropped <= receipted,
        f"{agent} dropped fact {dropped}, receipted are those to {receipted}",
    )


@invariant(33)
def a_revoked_run_dies_in_time(agent: str, task_id: TaskId, over_ms: int | None, bound_ms: int) -> None:
    """A revoked runner is dead within 10 s and a moment."""
    in_time = over_ms is not None and over_ms <= bound_ms
    demand(33, in_time, f"{agent}: {task_id} was revoked and its run would end in {over_ms} ms")
