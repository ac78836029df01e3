"""Who is next: priorities that age, turns between submitters, and lines that are in nobody's way."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core import line as lines
from hub.core import waiting as queue
from hub.core.demands import demand_of
from hub.core.events import TaskSubmitted
from hub.core.line import Entry, Line, Turns
from hub.core.policy import MINUTE_MS, SECOND_MS, Policy
from hub.core.rations import Rations
from hub.core.task import Priority, Rate, Spec, State, Task
from hub.core.waiting import RISES_MAX, Waiting
from protocol.ids import TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage, task_id_of

AGEING_MS = Policy().ageing_ms


def serve_all(stage: Stage, peer: Peer) -> list[TaskId]:
    """Everything that waits, in the order in which one slot gets it."""
    served = []
    while orders := stage.board.view_agents(stage.now)[0].running_tasks:
        served.append(orders[0])
        peer.accept(orders[0])
        peer.complete(orders[0])
    return served


def test_urgent_comes_before_high_and_so_on_whatever_came_first() -> None:
    stage = Stage()
    ids = [stage.submit(priority=priority) for priority in reversed(Priority)]
    assert serve_all(stage, stage.joined("a")) == list(reversed(ids))


def test_the_older_comes_first_among_those_that_ask_for_different_things() -> None:
    stage = Stage()
    ids = []
    for words in ((), ("x",), ("x", "y"), ("y",), ()):
        ids.append(stage.submit(needed_capabilities=words))
        stage.wait(5)
    assert serve_all(stage, stage.joined("a", capabilities=("x", "y"))) == ids


def test_submitters_take_turns_however_much_one_of_them_wants() -> None:
    stage = Stage()
    greedy = [stage.submit(submitted_by="greedy") for _ in range(6)]
    modest = [stage.submit(submitted_by="modest") for _ in range(2)]
    late = stage.submit(submitted_by="late")
    served = serve_all(stage, stage.joined("a"))
    assert served == [greedy[0], modest[0], late, greedy[1], modest[1], *greedy[2:]]


def test_who_comes_late_does_not_get_all_the_turns_that_it_did_not_use() -> None:
    stage = Stage()
    early = [stage.submit(submitted_by="early") for _ in range(6)]
    peer = stage.joined("a")
    for task_id in early[:3]:
        peer.accept(task_id)
        peer.complete(task_id)
    late = [stage.submit(submitted_by="late") for _ in range(3)]
    served = serve_all(stage, peer)
    assert served == [early[3], early[4], late[0], early[5], late[1], late[2]]


def test_a_turn_that_was_given_up_is_not_waited_for() -> None:
    stage = Stage()
    for task_id in [stage.submit(submitted_by="changeable") for _ in range(50)]:
        stage.cancel(task_id)
    steady = [stage.submit(submitted_by="steady") for _ in range(3)]
    for task_id in [stage.submit(submitted_by="changeable") for _ in range(50)]:
        stage.cancel(task_id)
    mine = stage.submit(submitted_by="changeable")
    assert serve_all(stage, stage.joined("a")) == [steady[0], mine, *steady[1:]]


def test_what_comes_back_is_next_in_turn() -> None:
    stage = Stage()
    peer = stage.joined("a")
    ids = [stage.submit(submitted_by="x") for _ in range(3)]
    peer.reject(ids[0])
    assert stage.state(ids[1]) is State.ASSIGNED
    stage.wait(1_000)
    assert serve_all(stage, peer) == [ids[1], ids[0], ids[2]]


def test_who_waits_long_enough_is_served_before_the_urgent_of_later() -> None:
    stage = Stage()
    low = stage.submit(priority=Priority.LOW)
    stage.wait(3 * AGEING_MS)
    urgent = stage.submit(priority=Priority.URGENT)
    assert serve_all(stage, stage.joined("a")) == [low, urgent]


def test_who_has_not_waited_long_enough_has_not_risen() -> None:
    stage = Stage()
    low = stage.submit(priority=Priority.LOW)
    stage.wait(AGEING_MS - 1)
    normal = stage.submit(priority=Priority.NORMAL)
    assert serve_all(stage, stage.joined("a")) == [normal, low]


def test_nobody_starves_under_a_stream_of_urgent_work() -> None:
    """A seat that is never free for long: the lowest gets it within three times the age of a level."""
    stage = Stage(Policy(ageing_ms=MINUTE_MS, accept_ms=10 * MINUTE_MS))
    peer = stage.joined("a")
    current = stage.submit(priority=Priority.URGENT)
    low = stage.submit(priority=Priority.LOW)
    for minutes in range(10):
        assert minutes <= 4, "it waits for ever"
        if stage.state(low) is not State.QUEUED:
            break
        stage.submit(priority=Priority.URGENT)
        stage.wait(MINUTE_MS)
        peer.beat(peer.runs(current))
        peer.accept(current)
        peer.complete(current)
        held = stage.board.view_agents(stage.now)[0].running_tasks
        current = held[0]


def test_nobody_starves_under_a_stream_of_what_has_risen() -> None:
    """One submitter's low tasks come as fast as they are served, and all have aged when they are: another's
    urgent one takes its turn among them.
    """
    stage = Stage(Policy(ageing_ms=SECOND_MS))
    peer = stage.joined("a")
    for _ in range(6):
        stage.submit(priority=Priority.LOW, submitted_by="greedy")
    stage.wait(3 * SECOND_MS)
    urgent = stage.submit(priority=Priority.URGENT, submitted_by="modest")
    for served in range(20):
        assert served <= 2, "it is passed over for ever"
        (current,) = stage.board.view_agents(stage.now)[0].running_tasks
        if current == urgent:
            break
        peer.accept(current)
        peer.complete(current)
        stage.submit(priority=Priority.LOW, submitted_by="greedy")
        stage.wait(SECOND_MS // 2)


def test_a_pass_lets_only_so_many_rise_and_the_next_goes_on() -> None:
    stage = Stage()
    count = RISES_MAX + 10
    stage.turn(*(TaskSubmitted(task_id=task_id_of(n), spec=Spec()) for n in range(count)))
    waiting = stage.board._office.waiting

    def risen() -> int:
        return sum(entry.level == Priority.HIGH for entry in waiting._entries.values())

    stage.now_ms += AGEING_MS
    stage.turn()
    assert risen() == RISES_MAX
    stage.turn()
    assert risen() == count
    stage.now_ms += AGEING_MS - 1
    stage.turn()
    assert risen() == count, "the next rise is as long away as the first was"


def test_nothing_new_is_looked_at_again() -> None:
    """L17: the scheduler reacts to its own events for ever."""
    stage = Stage()
    stage.joined("a", capabilities=("x",), slots=2)
    for words in (("x",), ("y",), ("x", "y")):
        stage.submit(needed_capabilities=words)
    effort = stage.board._office.effort
    before = (effort.looks, effort.candidates)
    due_ms = stage.board.next_deadline()
    for _ in range(10):
        stage.turn()
        assert stage.changes == []
    assert (effort.looks, effort.candidates) == before
    assert stage.board.next_deadline() == due_ms
    assert due_ms is not None
    assert due_ms > stage.now_ms, "nothing is due at once"


def test_a_task_that_nobody_can_take_is_in_nobodys_way() -> None:
    """L16: one task nobody can take blocks all behind it; also not one that somebody keeps declining."""
    stage = Stage()
    peer = stage.joined("a")
    for _ in range(20):
        stage.submit(priority=Priority.URGENT, needed_labels={"on": "the moon"})
    declined = [stage.submit(priority=Priority.HIGH) for _ in range(5)]
    for task_id in declined:
        peer.reject(task_id)
    plain = stage.submit(priority=Priority.LOW)
    assert stage.state(plain) is State.ASSIGNED


def test_what_an_agent_has_declined_is_not_looked_at_for_it_again_and_again() -> None:
    """One that declines everything would be led past all of that each time."""
    stage = Stage()
    peer = stage.joined("a")
    tasks = [stage.submit() for _ in range(30)]
    effort = stage.board._office.effort
    before = effort.looks
    for task_id in tasks:
        peer.reject(task_id)
    assert effort.looks - before <= 4 * len(tasks)


# --- the parts -------------------------------------------------------------------------------------------


def test_the_memory_of_turns_is_bounded_by_those_who_wait() -> None:
    """L110: memory that grows with every submitter."""
    turns = Turns()
    for number in range(10 * lines.GARBAGE_MIN):
        turns.serve(turns.tag_for(f"s{number}"))
    assert len(turns) <= lines.GARBAGE_MIN + 1
    turns.give_back("nobody")


def entry_of(number: int, **spec: Any) -> Entry:
    task = Task(task_id=task_id_of(number), spec=Spec(**spec), created_wall_ms=number)
    return Entry(task, demand_of(task.spec), number, is_apart=False)


def test_the_dead_of_a_line_are_cleaned_up_although_its_front_never_moves() -> None:
    """L110: a front that nobody can take, and thousands behind it that come and go."""
    line = Line(demand_of(Spec()), None, (), ("", ""))
    front = entry_of(0)
    line.add(front, 1)
    for number in range(1, 1_000):
        entry = entry_of(number)
        line.add(entry, number + 1)
        line.remove(entry, is_served=False)
    assert line.first() is front
    assert sum(len(heap) for heap in line._heaps) <= lines.GARBAGE_MIN + 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Priority)), max_size=40))
def test_between_submitters_nobody_is_more_than_one_turn_ahead(wishes: list[tuple[str, Priority]]) -> None:
    """Of one level, while all of them wait: the numbers served never differ by more than one."""
    line = Line(demand_of(Spec()), None, (), ("", ""))
    left: Counter[tuple[str, Priority]] = Counter()
    for number, (submitter, priority) in enumerate(wishes):
        line.add(entry_of(number, submitted_by=submitter, priority=priority), number + 1)
        left[submitter, priority] += 1
    served: Counter[tuple[str, Priority]] = Counter()
    last = Priority.URGENT
    while (entry := line.first()) is not None:
        priority = entry.spec.priority
        assert priority >= last, "strictly by level"
        last = priority
        flow = (entry.spec.submitted_by, priority)
        line.remove(entry, is_served=True)
        served[flow] += 1
        left[flow] -= 1
        for other in [other for other in left if other[1] == priority and left[other] > 0]:
            assert served[flow] <= served[other] + 1
    assert not +left


@pytest.mark.parametrize("limit", [queue.ADMISSIONS_MAX, queue.ADMISSIONS_MAX + 5])
def test_only_so_many_queues_of_keys_are_settled_in_one_pass(limit: int) -> None:
    waiting = Waiting(Rations(), lambda word: 1, 1_000)
    for number in range(limit):
        spec = Spec(concurrency_key=f"k{number}", limit=1)
        waiting.enter(Task(task_id=task_id_of(number), spec=spec), 0)
    assert waiting.admit(0) == 0
    assert waiting.parked == limit - queue.ADMISSIONS_MAX
    assert waiting.next_ms() == (0 if waiting.parked else None)
    waiting.admit(0)
    assert (waiting.parked, waiting.next_ms()) == (0, None)


def test_only_so_many_keys_that_time_has_opened_are_settled_in_one_pass() -> None:
    """Ten thousand rates may be due at the same moment."""
    waiting, count = Waiting(Rations(since_ms=0), lambda word: 1, 1_000), queue.ADMISSIONS_MAX + 5
    for number in range(count):
        spec = Spec(concurrency_key=f"k{number}", rate=Rate(count=1, per_ms=50))
        waiting.enter(Task(task_id=task_id_of(number), spec=spec), 0)
    waiting.admit(0)
    waiting.admit(0)
    assert (waiting.parked, waiting.next_ms()) == (count, 50)
    assert waiting.admit(50) == 0
    assert (waiting.parked, waiting.next_ms()) == (5, 50), "the next pass is due at once"
    assert waiting.admit(50) == queue.ADMISSIONS_MAX - 5
    assert (waiting.parked, waiting.next_ms()) == (0, None)
