"""Whom a task finds: labels, kinds of slots, rest, preferences, and the agent that had the last one."""

from __future__ import annotations

from collections import Counter

import pytest

from hub.core import matching, stickiness
from hub.core.demands import RULES, TASK_RULES, Demand, Scene, demand_of, first_rule
from hub.core.effects import AgentRecord
from hub.core.events import AgentIdentified, FrameHeard, TaskSubmitted
from hub.core.fleet import Fleet
from hub.core.matching import LOOKS_MAX, PREFERRED_MAX, is_less_loaded
from hub.core.runs import INNER_PREFIX
from hub.core.seats import Agent, Claim, claim_of
from hub.core.stickiness import Sticky
from hub.core.task import RunSpec, Spec, State
from hub.core.words import label_word
from protocol.frames import Heartbeat, Resting, TaskAccepted, TaskComplete
from protocol.ids import AgentId, Generation, Seq, TaskId
from tests.core.stage import Stage
from tests.core.test_matching import rules

RESTING = Resting(reason="quiet hours", until=9)


# --- what an agent must be --------------------------------------------------------------------------------


def test_a_label_that_is_needed_is_carried_by_whoever_gets_it() -> None:
    stage = Stage()
    stage.joined("a", labels={"zone": "a"})
    stage.joined("b", labels={"zone": "b", "disk": "fast"}, slots=2)
    task_id = stage.submit(needed_labels={"zone": "b", "disk": "fast"})
    holder = stage.task(task_id).holder
    assert holder is not None
    assert holder.agent_id == "b"
    assert rules(stage, stage.submit(needed_labels={"zone": "c"})) == dict.fromkeys("ab", "missing_label")


def test_no_name_and_value_spell_the_label_of_another() -> None:
    assert label_word("a=b", "c") != label_word("a", "b=c")


def test_a_kind_of_slot_is_taken_by_no_other_task() -> None:
    stage = Stage()
    stage.joined("a", slots=1, slot_kinds={"gpu": 2})
    gpus = [stage.submit(slot="gpu") for _ in range(3)]
    plain = [stage.submit() for _ in range(2)]
    states = [stage.state(task_id) is State.ASSIGNED for task_id in (*gpus, *plain)]
    assert states == [True, True, False, True, False]
    assert rules(stage, gpus[2]) == {"a": "no_free_slot"}
    assert rules(stage, stage.submit(slot="big")) == {"a": "no_slot_of_kind"}
    seat = stage.board.view_agents(stage.now)[0]
    assert (seat.slots, seat.free_slots) == (1, 0)
    assert (seat.slot_kinds, seat.free_slot_kinds) == ({"gpu": 2}, {"gpu": 0})


def test_a_slot_of_a_kind_that_is_free_again_is_given_again() -> None:
    """L3: an agent becomes idle while tasks wait, and nothing triggers a match."""
    stage = Stage()
    peer = stage.joined("a", slot_kinds={"gpu": 1})
    first, second = stage.submit(slot="gpu"), stage.submit(slot="gpu")
    peer.accept(first)
    peer.complete(first)
    assert stage.state(second) is State.ASSIGNED
    stage.wait(stage.policy.accept_ms)
    third = stage.submit(slot="gpu")
    assert rules(stage, third) == {"a": "no_free_slot"}, "the run that was called back keeps its slot"
    peer.stop(second, "was_not_running", generation=1)
    assert stage.state(third) is State.ASSIGNED


def test_a_v1_client_has_one_slot_and_no_kinds() -> None:
    stage = Stage()
    stage.joined("old", version=1, slots=3, slot_kinds={"gpu": 1})
    seat = stage.board.view_agents(stage.now)[0]
    assert (seat.slots, seat.slot_kinds) == (1, {})


def test_who_rests_gets_nothing_until_the_rest_is_over() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=2, resting=RESTING)
    task_id = stage.submit()
    seat = stage.board.view_agents(stage.now)[0]
    assert (seat.state, seat.resting) == ("resting", RESTING)
    assert rules(stage, task_id) == {"a": "resting"}
    letter = TaskSubmitted(task_id=stage.new_id(), spec=Spec(assign_to=peer.agent_id), must_be_connected=True)
    assert stage.refused(letter).reason == "resting"
    peer.says(Heartbeat(as_of_seq=Seq(0), resting=RESTING))
    assert stage.state(task_id) is State.QUEUED
    peer.says(Heartbeat(as_of_seq=Seq(0)))
    assert stage.state(task_id) is State.ASSIGNED
    peer.says(Heartbeat(as_of_seq=Seq(0), resting=RESTING, tasks=(peer.runs(task_id),)))
    assert stage.state(stage.submit()) is State.QUEUED, "it rests again, with a free slot"


def test_a_run_of_a_task_that_is_not_known_takes_an_ordinary_slot() -> None:
    assert claim_of(None) == Claim()
    agent = Agent(AgentRecord(agent_id=AgentId("a")))
    run = (TaskId("t"), Generation(1))
    assert agent.keep(run, Claim("gpu"), 9)
    assert not agent.keep(run, Claim("gpu"), 99), "it is kept once"
    assert (agent.free_slots, agent.free_of("gpu"), agent.revoked[run]) == (1, -1, 9)
    assert agent.release(run) == Claim("gpu")
    assert agent.release(run) is None
    agent.unseat(TaskId("never had it"))
    assert not agent.taken


# --- who of those that fit -------------------------------------------------------------------------------


def test_the_agent_with_the_most_of_the_preferred_labels_comes_first() -> None:
    stage = Stage()
    stage.joined("none", slots=9)
    stage.joined("one", slots=9, labels={"disk": "fast"})
    stage.joined("both", slots=2, labels={"disk": "fast", "zone": "b"})
    for _ in range(4):
        stage.submit(preferred_labels={"disk": "fast", "zone": "b"})
    held = {seat.agent_id: len(seat.running_tasks) for seat in stage.board.view_agents(stage.now)}
    assert held == {"none": 0, "one": 2, "both": 2}


@pytest.mark.parametrize(("number", "counts"), [(PREFERRED_MAX, True), (PREFERRED_MAX + 1, False)])
def test_only_so_many_preferred_labels_are_counted(number: int, counts: bool) -> None:
    stage = Stage()
    stage.joined("plain", slots=2)
    stage.joined("labelled", slots=2, labels={f"l{number:02}": "x"})
    task_id = stage.submit(preferred_labels={f"l{n + 1:02}": "x" for n in range(number)})
    holder = stage.task(task_id).holder
    assert holder is not None
    assert (holder.agent_id == "labelled") is counts


def test_tasks_of_a_sticky_key_go_where_the_last_one_went_while_there_is_a_seat() -> None:
    stage = Stage()
    for name in "abc":
        stage.joined(name, slots=3)
    ids = [stage.submit(sticky_key="s") for _ in range(3)]
    names = {stage.rows[task_id].holder for task_id in ids}
    assert len(names) == 1
    elsewhere = stage.submit(sticky_key="s")
    assert stage.task(elsewhere).holder not in names
    nowhere = stage.submit(sticky_key="s", needed_capabilities=("flying",))
    assert stage.state(nowhere) is State.QUEUED


def test_the_key_that_was_not_used_for_the_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stickiness, "STICKY_KEYS_MAX", 3)
    sticky = Sticky()
    for key in ("a", "b", "c", "a", "d"):
        sticky.note(key, AgentId("agent"))
    assert len(sticky) == 3
    assert [sticky.agent_of(key) for key in "abcd"] == ["agent", None, "agent", "agent"]


def test_load_is_compared_by_the_kind_of_slot_that_is_wanted() -> None:
    small, large = (Agent(AgentRecord(agent_id=AgentId(name))) for name in ("small", "large"))
    small.slot_kinds, large.slot_kinds = {"gpu": 1}, {"gpu": 4}
    small.taken["gpu"], large.taken["gpu"] = 1, 2
    assert is_less_loaded(large, small, "gpu")
    assert not is_less_loaded(large, small, "")


# --- rules -----------------------------------------------------------------------------------------------


def test_what_asks_for_nobody_by_name_and_no_plugin_is_for_no_part_of_the_hub() -> None:
    inner = Agent(AgentRecord(agent_id=AgentId(f"{INNER_PREFIX}x")))
    inner.link_id = 1
    scene = Scene(TaskId("t"), 0, is_hub_draining=False)
    assert first_rule(Demand(), inner, scene) == "inner_agent"
    assert first_rule(Demand(inner.agent_id), inner, scene) is None
    streams = demand_of(Spec(run=RunSpec(plugin_run_id="r", user_id=1, route="streams"), plugin="p"))
    assert streams == Demand(AgentId(f"{INNER_PREFIX}streams"))


@pytest.mark.parametrize("name", TASK_RULES)
def test_what_bars_a_task_from_everybody_is_named_last(name: str) -> None:
    agent = Agent(AgentRecord(agent_id=AgentId("a")))
    agent.link_id = 1
    assert first_rule(Demand(), agent, Scene(TaskId("t"), 0, False, name)) == name
    agent.link_id = 0
    assert first_rule(Demand(), agent, Scene(TaskId("t"), 0, False, name)) == "not_connected"
    assert [rule for rule, _ in RULES[-len(TASK_RULES) :]] == list(TASK_RULES)


def test_the_rules_have_the_last_word_over_the_index() -> None:
    stage = Stage()
    stage.joined("a")
    stage.board._office.fleet.agents[AgentId("a")].resting = RESTING
    assert rules(stage, stage.submit()) == {"a": "resting"}


def test_what_two_have_declined_goes_to_the_one_that_is_forgiven_first() -> None:
    stage = Stage()
    first, second = stage.joined("a"), stage.joined("b")
    task_id = stage.submit()
    first.reject(task_id)
    stage.wait(300)
    second.reject(task_id)
    assert rules(stage, task_id) == {"a": "declined_recently", "b": "declined_recently"}
    stage.wait(700)
    assert [order.task_id for order in first.orders()] == [task_id]


# --- how much is looked at -------------------------------------------------------------------------------


def crowd(stage: Stage, agents: int, tasks: int, specs: list[Spec]) -> None:
    """Busy agents, and tasks that wait."""
    for number in range(agents):
        stage.joined(f"a{number}", capabilities=("x",), labels={"n": str(number % 10)})
    stage.turn(*(TaskSubmitted(task_id=stage.new_id(), spec=specs[n % len(specs)]) for n in range(tasks)))


def effort_of_one(agents: int, tasks: int, specs: list[Spec]) -> Counter[str]:
    """What is looked at when one agent ends a task and is given the next, twenty times."""
    stage = Stage()
    crowd(stage, agents, agents + tasks, specs)
    effort = stage.board._office.effort
    looks, candidates, assigned = effort.looks, effort.candidates, stage.board.count().rows["T2"]
    for peer in list(stage.peers.values())[:20]:
        seats = {seat.agent_id: seat for seat in stage.board.view_agents(stage.now)}
        mine = seats[peer.agent_id].running_tasks
        g = peer.generation(mine[0])
        accepted = TaskAccepted(task_id=mine[0], generation=g, seq=Seq(1))
        done = TaskComplete(task_id=mine[0], generation=g, seq=Seq(2))
        stage.turn(*(FrameHeard(sender=peer.sender, frame=frame) for frame in (accepted, done)))
    assert stage.board.count().rows["T2"] == assigned + 20
    return Counter(looks=effort.looks - looks, candidates=effort.candidates - candidates)


@pytest.mark.parametrize(
    "specs",
    [
        [Spec()],
        [Spec(needed_capabilities=("x",), needed_labels={"n": str(n)}) for n in range(10)],
        [Spec(concurrency_key=f"k{n}", limit=3) for n in range(200)],
    ],
    ids=["one demand", "many demands", "many keys"],
)
def test_what_a_match_looks_at_grows_neither_with_the_queue_nor_with_the_fleet(specs: list[Spec]) -> None:
    small = effort_of_one(20, 200, specs)
    assert effort_of_one(20, 3_000, specs) == small
    large = effort_of_one(120, 3_000, specs)
    assert large["looks"] <= small["looks"] + 20
    assert large["candidates"] <= small["candidates"] + 20


def test_a_pass_is_cut_after_so_many_lines_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """L25: what could be given is given, however many lines that fit nobody stand before it."""
    assert LOOKS_MAX >= 1_000
    monkeypatch.setattr(matching, "LOOKS_MAX", 10)
    stage = Stage()
    for number in range(35):
        stage.submit(needed_capabilities=("x", f"y{number}"))
    last = stage.submit(needed_capabilities=("x", "z"))
    peer = stage.peer("a")
    peer.identify(capabilities=("x", "z"), slots=2)
    passes = 0
    while stage.state(last) is State.QUEUED:
        assert stage.board.next_deadline() == 0
        stage.turn()
        passes += 1
    assert passes == 3
    assert rules(stage, last) == {}
    while stage.board.next_deadline() == 0:
        stage.turn()
        passes += 1
    assert passes == 3


def test_an_agent_that_is_full_is_not_hungry_any_more_when_a_pass_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matching, "LOOKS_MAX", 3)
    stage = Stage()
    for _ in range(6):
        stage.submit(needed_capabilities=("x", "y"))
        stage.submit(needed_capabilities=("x", "z"))
    letters = []
    for name in ("a", "b"):
        peer = stage.peer(name)
        peer.link_id = stage.new_link(peer)
        letters.append(
            AgentIdentified(sender=peer.sender, name=name, capabilities=("x", "z"), holding=(), slots=2)
        )
    stage.turn(*letters)
    stage.turn()
    held = [len(seat.running_tasks) for seat in stage.board.view_agents(stage.now)]
    assert held == [2, 2]
    due_ms = stage.board.next_deadline()
    assert due_ms is not None
    assert due_ms > 0


def test_an_agent_out_of_the_index_leaves_no_word_behind() -> None:
    """L110: memory that grows with every connection."""
    stage = Stage()
    for _ in range(3):
        peer = stage.joined("a", labels={"n": "1"}, capabilities=("x",), slot_kinds={"gpu": 1})
        peer.drop()
    fleet = stage.board._office.fleet
    assert (fleet._with_word, fleet._free, fleet.hungry) == ({}, {}, {})
    assert isinstance(fleet, Fleet)
