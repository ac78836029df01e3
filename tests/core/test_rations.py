"""Concurrency keys: how many of one may be at work, how often they begin, and who stands in line for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core import line as lines
from hub.core import rations as keys
from hub.core.demands import KEY_AT_LIMIT, KEY_AT_RATE, demand_of
from hub.core.effects import AgentRecord, Instance
from hub.core.policy import Policy
from hub.core.rations import RATE_COUNT_MAX, SWEEP_MAX, Queue, Rations, Terms
from hub.core.task import Priority, Rate, Spec, State, Task
from protocol.ids import AgentId, Generation, InstanceId, TaskId
from tests.core.oracle import is_within_rate
from tests.core.stage import Stage
from tests.core.test_waiting import entry_of

LIMIT_1: dict[str, Any] = {"concurrency_key": "k", "limit": 1}
ONE_A_SECOND: dict[str, Any] = {"concurrency_key": "k", "rate": Rate(count=1, per_ms=1_000)}


def rule_of(stage: Stage, task_id: TaskId) -> tuple[str | None, int | None]:
    found = stage.board.explain(task_id, stage.now)
    assert found is not None
    return found.rule, found.wait_ms


# --- limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_as_many_of_a_key_are_held_as_its_limit_says_and_no_more(limit: int) -> None:
    stage = Stage()
    peer = stage.joined("a", slots=10)
    ids = [stage.submit(concurrency_key="k", limit=limit) for _ in range(6)]
    assert [stage.state(task_id) is State.ASSIGNED for task_id in ids] == [n < limit for n in range(6)]
    assert rule_of(stage, ids[-1]) == (KEY_AT_LIMIT, None)
    peer.accept(ids[0])
    peer.complete(ids[0])
    assert stage.state(ids[limit]) is State.ASSIGNED


def test_a_key_at_its_limit_is_in_nobodys_way() -> None:
    """L16: one task nobody can take blocks all behind it."""
    stage = Stage()
    stage.joined("a", slots=3)
    for _ in range(50):
        stage.submit(priority=Priority.URGENT, **LIMIT_1)
    assert stage.state(stage.submit(priority=Priority.LOW)) is State.ASSIGNED
    assert stage.state(stage.submit(concurrency_key="other", limit=1)) is State.ASSIGNED


def test_a_task_of_a_key_that_nobody_can_take_holds_up_no_other_of_it() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=2)
    stuck = stage.submit(needed_capabilities=("flying",), priority=Priority.URGENT, **LIMIT_1)
    plain = stage.submit(**LIMIT_1)
    assert (stage.state(stuck), stage.state(plain)) == (State.QUEUED, State.ASSIGNED)
    peer.reject(plain)
    assert stage.state(stage.submit(**LIMIT_1)) is State.ASSIGNED


def test_each_task_is_judged_by_its_own_limit() -> None:
    stage = Stage()
    stage.joined("a", slots=5)
    assert stage.state(stage.submit(concurrency_key="k")) is State.ASSIGNED
    strict = stage.submit(**LIMIT_1)
    loose = stage.submit(concurrency_key="k", limit=2)
    assert (stage.state(strict), stage.state(loose)) == (State.QUEUED, State.ASSIGNED)
    assert stage.state(stage.submit(concurrency_key="k")) is State.ASSIGNED, "it has named no limit"


def test_who_stands_in_line_for_a_key_steps_back_when_the_key_is_full() -> None:
    stage = Stage()
    here = stage.submit(needed_labels={"at": "here"}, **LIMIT_1)
    there = stage.submit(needed_labels={"at": "there"}, **LIMIT_1)
    stage.joined("a", labels={"at": "here"})
    other = stage.joined("b", labels={"at": "there"})
    assert (stage.state(here), stage.state(there)) == (State.ASSIGNED, State.QUEUED)
    assert rule_of(stage, there)[0] == KEY_AT_LIMIT
    stage.cancel(here)
    stage.peers[1].stop(here)
    assert [order.task_id for order in other.orders()] == [there]


def test_an_urgent_one_changes_places_with_the_one_that_stands_for_its_key() -> None:
    stage = Stage()
    ids = [stage.submit(priority=priority, **LIMIT_1) for priority in reversed(Priority)]
    peer = stage.joined("a", slots=4)
    for task_id in reversed(ids):
        assert stage.state(task_id) is State.ASSIGNED
        peer.accept(task_id)
        peer.complete(task_id)


def test_who_is_parked_with_a_key_ages_too() -> None:
    stage = Stage(Policy(ageing_ms=1_000))
    peer = stage.joined("a")
    first = stage.submit(**LIMIT_1)
    peer.accept(first)
    low = stage.submit(priority=Priority.LOW, **LIMIT_1)
    stage.wait(3_000)
    urgent = stage.submit(priority=Priority.URGENT, **LIMIT_1)
    peer.complete(first)
    assert (stage.state(low), stage.state(urgent)) == (State.ASSIGNED, State.QUEUED)


def test_a_run_that_was_called_back_counts_until_it_is_known_to_be_over() -> None:
    stage = Stage()
    peer = stage.joined("a")
    stage.joined("b")
    first = stage.submit(assign_to=peer.agent_id, **LIMIT_1)
    second = stage.submit(assign_to=AgentId("b"), **LIMIT_1)
    stage.wait(stage.policy.accept_ms)
    assert stage.state(first) is State.QUEUED
    assert (stage.state(second), rule_of(stage, second)[0]) == (State.QUEUED, KEY_AT_LIMIT)
    peer.stop(first, "was_not_running", generation=1)
    assert stage.state(second) is State.ASSIGNED


def test_after_a_start_of_the_hub_an_old_run_counts_until_its_agent_has_spoken() -> None:
    stage = Stage()
    peer = stage.joined("a")
    first = stage.submit(assign_to=peer.agent_id, **LIMIT_1)
    stage.wait(stage.policy.accept_ms)
    assert stage.state(first) is State.QUEUED
    stage.restart()
    second = stage.submit(priority=Priority.URGENT, **LIMIT_1)
    other = stage.joined("b")
    assert rule_of(stage, second)[0] == KEY_AT_LIMIT
    peer.comes_back()
    assert other.hears(object)
    assert stage.state(second) is State.ASSIGNED


def test_an_old_run_of_an_agent_that_is_not_known_any_more_does_not_count() -> None:
    stage = Stage()
    peer = stage.joined("a")
    first = stage.submit(assign_to=peer.agent_id, **LIMIT_1)
    stage.wait(stage.policy.accept_ms)
    stage.restart(agents=[])
    assert rule_of(stage, first)[0] is not KEY_AT_LIMIT


# --- rates -----------------------------------------------------------------------------------------------


def test_so_many_begin_within_a_window_and_the_next_when_it_is_over() -> None:
    stage = Stage()
    stage.joined("a", slots=9)
    spec: dict[str, Any] = {"concurrency_key": "k", "rate": Rate(count=2, per_ms=1_000)}
    ids = []
    for _ in range(3):
        ids.append(stage.submit(**spec))
        stage.wait(100)
    assert [stage.state(task_id) for task_id in ids] == [State.ASSIGNED, State.ASSIGNED, State.QUEUED]
    assert rule_of(stage, ids[2]) == (KEY_AT_RATE, 700)
    stage.wait(699)
    assert stage.state(ids[2]) is State.QUEUED
    stage.wait(1)
    assert stage.state(ids[2]) is State.ASSIGNED


def test_who_stands_in_line_for_a_key_steps_back_until_its_rate_allows_it() -> None:
    stage = Stage()
    here = stage.submit(needed_labels={"at": "here"}, **ONE_A_SECOND)
    there = stage.submit(needed_labels={"at": "there"}, **ONE_A_SECOND)
    stage.joined("a", labels={"at": "here"})
    stage.wait(400)
    stage.joined("b", labels={"at": "there"})
    assert (stage.state(here), stage.state(there)) == (State.ASSIGNED, State.QUEUED)
    stage.wait(600)
    assert stage.state(there) is State.ASSIGNED


def test_what_nobody_would_have_has_not_begun() -> None:
    stage = Stage()
    peer = stage.joined("a")
    first = stage.submit(**ONE_A_SECOND)
    peer.reject(first)
    other = stage.joined("b")
    assert stage.state(first) is State.ASSIGNED, "the rate was given back"
    assert other.hears(object)


def test_after_a_start_of_the_hub_every_key_is_taken_for_just_used() -> None:
    stage = Stage()
    stage.joined("a")
    stage.restart()
    task_id = stage.submit(**ONE_A_SECOND)
    stage.joined("b")
    assert rule_of(stage, task_id) == (KEY_AT_RATE, 1_000)
    stage.wait(1_000)
    assert stage.state(task_id) is State.ASSIGNED


def test_a_draining_hub_waits_for_no_key() -> None:
    """L17: what is due at once and never done would be a loop."""
    stage = Stage()
    stage.joined("a", slots=4)
    stage.submit(**ONE_A_SECOND)
    stage.submit(**ONE_A_SECOND)
    opens_ms = stage.board.next_deadline()
    assert opens_ms == stage.now_ms + 1_000
    stage.board._office.is_draining = True
    stage.submit(concurrency_key="l", limit=1)
    due_ms = stage.board.next_deadline()
    assert due_ms is not None
    assert due_ms > opens_ms


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.integers(0, 400), max_size=60),
    count=st.integers(1, 4),
    per_ms=st.integers(1, 1_000),
)
def test_no_window_has_more_beginnings_than_the_rate_allows(
    steps: list[int], count: int, per_ms: int
) -> None:
    rations, now_ms = Rations(), 0
    begun: list[int] = []
    spec = Spec(concurrency_key="k", rate=Rate(count=count, per_ms=per_ms))
    for number, step in enumerate(steps):
        now_ms += step
        barred = rations.why_not(spec, now_ms)
        window = [moment for moment in begun if moment > now_ms - per_ms]
        assert (barred is None) == (len(window) < count), "as soon as it may, and not before"
        if barred is None:
            rations.begin(spec, TaskId(str(number)), now_ms)
            begun.append(now_ms)
        else:
            assert barred.opens_ms is not None
            assert barred.opens_ms > now_ms
    assert is_within_rate(begun, count, per_ms)


def test_a_rate_of_more_than_can_be_remembered_is_judged_as_one_of_that() -> None:
    rations = Rations()
    spec = Spec(concurrency_key="k", rate=Rate(count=RATE_COUNT_MAX + 1, per_ms=1_000))
    for number in range(RATE_COUNT_MAX):
        assert rations.why_not(spec, 0) is None
        rations.begin(spec, TaskId(str(number)), 0)
    assert rations.why_not(spec, 0) is not None


# --- memory ----------------------------------------------------------------------------------------------


def test_submitters_take_turns_with_a_key_however_much_one_of_them_wants() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=2)
    greedy = [stage.submit(submitted_by="greedy", **LIMIT_1) for _ in range(6)]
    for task_id in greedy[4:]:
        stage.cancel(task_id)
    modest = [stage.submit(submitted_by="modest", **LIMIT_1) for _ in range(2)]
    served: list[TaskId] = []
    while held := stage.board.view_agents(stage.now)[0].running_tasks:
        served += held
        peer.accept(held[0])
        peer.complete(held[0])
    assert served == [greedy[0], greedy[1], modest[0], greedy[2], modest[1], greedy[3]]


def used(rations: Rations, number: int, now_ms: int, per_ms: int = 1_000) -> Spec:
    """A key that has begun once, and that nobody holds or waits for any more."""
    spec = Spec(concurrency_key=f"k{number}", rate=Rate(count=1, per_ms=per_ms))
    entry = entry_of(number, concurrency_key=spec.concurrency_key, rate=spec.rate)
    queue = rations.queue_for(entry)
    rations.begin(spec, entry.task_id, now_ms)
    rations.hold(queue.key, entry.task_id)
    rations.drop_empty(queue)
    rations.let_go(queue.key, entry.task_id)
    rations.let_go(queue.key, entry.task_id)
    return spec


def test_a_key_is_forgotten_when_its_window_is_over() -> None:
    """L110: memory that grows with every key."""
    rations = Rations()
    specs = [used(rations, number, 0) for number in range(100)]
    assert list(rations.pop_freed(999, 1_000)) == []
    assert len(rations) == 100
    assert rations.why_not(specs[0], 999) is not None
    assert list(rations.pop_freed(1_000, 1_000)) == []
    assert len(rations) == 0
    rations.let_go("k0", "nobody")
    rations.take_back("k0", TaskId("nobody"))


def test_a_pass_looks_at_few_keys_that_must_still_be_remembered() -> None:
    rations = Rations()
    for number in range(SWEEP_MAX + 5):
        used(rations, number, 500 if number < SWEEP_MAX else 0)
    list(rations.pop_freed(1_000, 1_000))
    assert len(rations) == SWEEP_MAX + 5, "the first ones were not over, and so many were looked at"
    list(rations.pop_freed(1_000, 1_000))
    assert len(rations) == SWEEP_MAX


def test_when_there_are_too_many_idle_keys_those_unknown_are_taken_for_just_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "KEYS_IDLE_MAX", 50)
    rations = Rations()
    for number in range(50 + 1):
        used(rations, number, 7)
    assert len(rations) == 50
    forgotten = Spec(concurrency_key="k0", rate=Rate(count=1, per_ms=1_000))
    barred = rations.why_not(forgotten, 8)
    assert barred is not None
    assert barred.opens_ms == 1_007


def test_a_key_that_never_began_leaves_nothing_behind_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "KEYS_IDLE_MAX", 1)
    rations = Rations()
    for name in ("k1", "k2"):
        rations.drop_empty(rations.queue_for(entry_of(1, concurrency_key=name)))
    assert len(rations) == 1
    assert rations.why_not(Spec(**(ONE_A_SECOND | {"concurrency_key": "k1"})), 0) is None


def test_the_dead_of_a_queue_are_cleaned_up() -> None:
    """L110: thousands that come to a full key and go."""
    queue = Queue("k", Terms(demand_of(Spec()), None, 1, None))
    first = entry_of(0)
    queue.park(first, 1)
    for number in range(1, 1_000):
        entry = entry_of(number)
        queue.park(entry, number + 1)
        queue.unpark(entry)
    assert queue.best() is first
    assert len(queue._heap) <= lines.GARBAGE_MIN + 3
    queue.unpark(first)
    assert (queue.best(), queue.is_empty) == (None, True)


def test_the_waking_of_a_key_that_is_forgotten_is_forgotten_too() -> None:
    rations = Rations()
    used(rations, 0, 0)
    rations.wake("k0", 5_000)
    rations.wake("k0", 9_000)
    list(rations.pop_freed(1_000, 1_000))
    assert (len(rations), rations.next_ms()) == (0, None)


def test_a_hub_that_never_had_an_agent_has_used_no_key() -> None:
    fresh = Stage()
    assert fresh.board._office.rations.why_not(Spec(**ONE_A_SECOND), fresh.now_ms) is None
    known = Instance(instance_id=InstanceId("a/1"), agent_id=AgentId("a"))
    later = Stage(instances=[known], agents=[AgentRecord(agent_id=AgentId("a"))])
    assert later.board._office.rations.why_not(Spec(**ONE_A_SECOND), later.now_ms) is not None


def test_a_held_task_of_a_key_counts_from_the_start() -> None:
    stage = Stage()
    peer = stage.joined("a")
    held = stage.submit(**LIMIT_1)
    peer.accept(held)
    stage.restart()
    waiting = stage.submit(**LIMIT_1)
    stage.joined("b")
    assert rule_of(stage, waiting) == (KEY_AT_LIMIT, None)
    assert isinstance(stage.task(held), Task)
    assert stage.task(held).generation == Generation(1)
