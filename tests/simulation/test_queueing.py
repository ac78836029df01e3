"""Doctored histories: each invariant of the queue believes what is right, and notices what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from hub.core.task import Backoff, Ending, Holder, Priority, Rate, Spec, State, Task
from hub.ports import CommittedEvent
from protocol.ids import AgentId, Generation, InstanceId, TaskId
from tests.simulation import passes, preferences, queueing, queuewatch, reasons
from tests.simulation.bulk import cancel_many
from tests.simulation.fairness import Level, line_of, submitters_take_turns, the_most_urgent_goes_first
from tests.simulation.invariants import Broken
from tests.simulation.queueing import Card
from tests.simulation.sometimes import REACHED
from tests.simulation.voice import Voice
from tests.simulation.wishes import MAKERS, Wish, draw_equipment
from tests.simulation.world import World

A = AgentId("a")


def task(name: str = "t", state: State = State.QUEUED, **members: Any) -> Task:
    spec = {key: members.pop(key) for key in list(members) if key in Spec.__struct_fields__}
    if state.is_held:
        members |= {"holder": Holder(A, InstanceId("i")), "generation": Generation(1)}
    return Task(task_id=TaskId(name), spec=Spec(**spec), state=state, **members)


def requeued(cause: str, delay_ms: int) -> CommittedEvent:
    payload = Raw(b'{"cause":"%s","delay_ms":%d}' % (cause.encode(), delay_ms))
    return CommittedEvent(
        offset=1,
        event="task_requeued",
        task_id="t",
        agent_id=None,
        generation=1,
        timestamp=0,
        payload=payload,
    )


def ended(how: str, **members: Any) -> Task:
    return task("d", State.FAILED, ending=Ending(how=how), depends_on=(TaskId("t"),), **members)


def rows(*tasks: Task) -> dict[TaskId, Task]:
    return {one.task_id: one for one in tasks}


HELD = task("held", State.RUNNING, unique_key="u")
FAILED = task("t", State.FAILED, ending=Ending(how="failed"))
DONE = task("t", State.COMPLETED, ending=Ending(how="completed"))
RATED = task("t", State.ASSIGNED, concurrency_key="k", rate=Rate(count=2, per_ms=100), limit=2)
SLOW = task("t", backoff=Backoff(first_ms=100, max_ms=400))
NEEDY = task("t", State.ASSIGNED, needed_labels={"zone": "north"}, slot="gpu")
FIT = Card({"zone": "north"}, {"gpu": 1})
STICKY = task("t", State.ASSIGNED, sticky_key="s", preferred_labels={"zone": "north"})
B = AgentId("b")

RIGHT: dict[str, Callable[[], object]] = {
    "39": lambda: queueing.a_unique_key_is_held_once(rows(HELD, task("new")), [HELD]),
    "39, refused": lambda: queueing.a_refusal_names_the_holder(rows(HELD), HELD.spec, HELD.task_id),
    "40": lambda: queueing.a_limit_holds(RATED, [TaskId("t")], [("x", 1)]),
    "41": lambda: queueing.a_rate_holds(RATED, [0, 60, 100], 100),
    "42": lambda: queueing.a_dependant_waits(task("d", depends_on=(TaskId("t"),)), rows(DONE)),
    "43": lambda: queueing.a_dependant_shares_the_end(
        ended("dependency_failed"), rows(FAILED), is_restored=False
    ),
    "43, gone": lambda: queueing.a_dependant_shares_the_end(ended("dependency_gone"), {}, is_restored=False),
    "43, refused": lambda: queueing.a_refusal_names_what_is_missing({}, ended("").spec, TaskId("t")),
    "44": lambda: queueing.kinds_are_truth("a", lambda kind: 1, {"gpu": 1}),
    "45": lambda: queueing.an_order_fits_its_agent(NEEDY, FIT, is_paused=False),
    "46": lambda: the_most_urgent_goes_first(task(), task(), Level(1, 2), Level(0, 1)),
    "47": lambda: submitters_take_turns(task(), "ada", 2, 2),
    "49": lambda: queueing.a_silent_run_is_called_back(task(progress_ms=1_000), 41_000),
    "49, spoken": lambda: queueing.a_run_that_speaks_is_left_alone(
        task(progress_ms=1_000), requeued("no_progress", 0), 1_000
    ),
    "50": lambda: queueing.only_a_first_start_is_waited_for(ended("deadline")),
    "51": lambda: queueing.a_pause_is_as_asked(SLOW, requeued("failed", 50)),
    "51, at once": lambda: queueing.a_pause_is_as_asked(SLOW, requeued("rejected", 0)),
    "53": lambda: preferences.the_best_agent_has_it(STICKY, A, {A: {}, B: {"zone": "north"}}),
}

WRONG: dict[str, Callable[[], object]] = {
    "39": lambda: queueing.a_unique_key_is_held_once(rows(HELD, task("new", unique_key="u")), [HELD]),
    "39, refused": lambda: queueing.a_refusal_names_the_holder({}, HELD.spec, HELD.task_id),
    "40": lambda: queueing.a_limit_holds(RATED, [TaskId("t"), TaskId("o")], [("x", 1)]),
    "41": lambda: queueing.a_rate_holds(RATED, [1, 60, 100], 100),
    "42": lambda: queueing.a_dependant_waits(task("d", depends_on=(TaskId("t"),)), rows(FAILED)),
    "42, missing": lambda: queueing.a_dependant_waits(task("d", depends_on=(TaskId("t"),)), {}),
    "43": lambda: queueing.a_dependant_shares_the_end(
        ended("dependency_failed"), rows(DONE), is_restored=False
    ),
    "43, begun": lambda: queueing.a_dependant_shares_the_end(
        ended("dependency_failed", generation=1), rows(FAILED), is_restored=False
    ),
    "43, by itself": lambda: queueing.a_dependant_shares_the_end(
        ended("completed"), rows(FAILED), is_restored=False
    ),
    "43, gone": lambda: queueing.a_dependant_shares_the_end(
        ended("dependency_gone"), rows(DONE), is_restored=False
    ),
    "43, refused": lambda: queueing.a_refusal_names_what_is_missing(rows(DONE), ended("").spec, TaskId("t")),
    "44": lambda: queueing.kinds_are_truth("a", lambda kind: 2, {"gpu": 1}),
    "45, labels": lambda: queueing.an_order_fits_its_agent(NEEDY, Card({}, {"gpu": 1}), is_paused=False),
    "45, kind": lambda: queueing.an_order_fits_its_agent(NEEDY, Card(FIT.labels), is_paused=False),
    "45, resting": lambda: queueing.an_order_fits_its_agent(
        NEEDY, Card(FIT.labels, FIT.kinds, is_resting=True), is_paused=False
    ),
    "45, paused": lambda: queueing.an_order_fits_its_agent(NEEDY, FIT, is_paused=True),
    "46": lambda: the_most_urgent_goes_first(task(), task(), Level(2, 2), Level(0, 1)),
    "47": lambda: submitters_take_turns(task(), "ada", 3, 2),
    "49": lambda: queueing.a_silent_run_is_called_back(task(progress_ms=1_000), 41_001),
    "49, spoken": lambda: queueing.a_run_that_speaks_is_left_alone(
        task(progress_ms=1_000), requeued("no_progress", 0), 999
    ),
    "50": lambda: queueing.only_a_first_start_is_waited_for(ended("deadline", started_wall_ms=1)),
    "50, retried": lambda: queueing.only_a_first_start_is_waited_for(
        task(retry_of=TaskId("o"), start_by_wall_ms=1)
    ),
    "51, short": lambda: queueing.a_pause_is_as_asked(SLOW, requeued("failed", 49)),
    "51, long": lambda: queueing.a_pause_is_as_asked(SLOW, requeued("failed", 5_001)),
    "53, sticky": lambda: preferences.the_best_agent_has_it(STICKY, B, {A: {}, B: {}}),
    "53, preferred": lambda: preferences.the_best_agent_has_it(STICKY, None, {A: {}, B: {"zone": "north"}}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_believed(name: str) -> None:
    RIGHT[name]()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_noticed(name: str) -> None:
    with pytest.raises(Broken, match=f"invariant {name[:2]} is broken"):
        WRONG[name]()


def test_tasks_stand_in_one_line_when_they_ask_for_the_same() -> None:
    assert line_of(task("a", submitted_by="ada")) == line_of(task("b", priority=Priority.LOW))
    assert line_of(task("a", slot="gpu")) != line_of(task("b"))


def test_every_seed_with_wishes_has_agents_that_can_grant_them() -> None:
    granted = 0
    for seed in range(200):
        world = World(seed)
        if world.queue is not None:
            granted += 1
            assert set(world.equipment) == set(world.names)
            assert all(equipment.labels for equipment in world.equipment.values())
    assert 80 < granted < 160
    assert World(1, plain=True).queue is None
    assert set(MAKERS) == set(Wish) <= {Wish(value) for value in REACHED if value in set(Wish)}
    assert draw_equipment(World(1).die, (A,))[A].labels


def test_only_text_can_be_spoiled_by_hand() -> None:
    voice = Voice(can_spoil=True)
    assert voice.spoil_next_fact()
    assert voice.of('{"seq":1,"generation":4}') == '{"seq":1,"generation":-14}'
    assert voice.of('{"seq":2,"generation":4}') == '{"seq":2,"generation":4}'
    assert not Voice(can_spoil=False).spoil_next_fact()


def test_nothing_is_cancelled_where_nothing_is() -> None:
    assert not cancel_many(World(3))
    assert len(reasons.SAID) == len(reasons.IS_TRUE)
    assert 0 < passes.EXPLAINED < 1
    assert queuewatch.NO_CARD.is_resting is False
