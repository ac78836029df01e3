"""Waiting tasks and free seats: who gets what, and why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.effects import AgentRecord, RefusalKind
from hub.core.events import AgentPaused, AgentUnpaused, FrameHeard, HubDrained, TaskSubmitted
from hub.core.explaining import explain
from hub.core.fleet import Fleet
from hub.core.matching import CANDIDATES_MAX
from hub.core.policy import Policy
from hub.core.rations import Rations
from hub.core.task import Priority, Spec, State, Task
from hub.core.waiting import Waiting
from protocol.frames import Draining, Heartbeat, TaskAssign
from protocol.ids import AgentId, Seq, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage, task_id_of


def rules(stage: Stage, task_id: TaskId) -> dict[str, str]:
    found = stage.board.explain(task_id, stage.now)
    assert found is not None
    return {one.agent_id: one.rule for one in found.agents}


def reason(stage: Stage, task_id: TaskId) -> str:
    found = stage.board.explain(task_id, stage.now)
    assert found is not None
    return found.reason


def test_slots_hold_under_a_thousand_simultaneous_submits() -> None:
    """L1: two submits see the same agent idle and both assign it."""
    stage = Stage()
    peer = stage.joined("a", slots=7)
    ids = [stage.new_id() for _ in range(1_000)]
    stage.turn(*(TaskSubmitted(task_id=task_id, spec=Spec()) for task_id in ids))
    assert [order.task_id for order in peer.orders()] == ids[:7]
    assert sum(stage.state(task_id) is State.ASSIGNED for task_id in ids) == 7


def test_an_agent_that_comes_takes_what_waits_for_it() -> None:
    """L3: an agent becomes idle while tasks wait, and nothing triggers a match."""
    stage = Stage()
    first = stage.submit()
    urgent = stage.submit(priority=Priority.URGENT)
    peer = stage.joined("a", slots=2)
    assert [order.task_id for order in peer.orders()] == [urgent, first]


def test_one_task_nobody_can_take_blocks_nobody_behind_it() -> None:
    """L16: one task nobody can take blocks all behind it."""
    stage = Stage()
    stage.joined("a")
    stuck = stage.submit(needed_capabilities=("flying",), priority=Priority.URGENT)
    assert stage.state(stage.submit()) is State.ASSIGNED
    assert stage.state(stuck) is State.QUEUED


def test_a_declined_task_blocks_nobody_behind_it() -> None:
    stage = Stage()
    peer = stage.joined("a")
    first, second = stage.submit(), stage.submit()
    peer.reject(first)
    assert stage.state(second) is State.ASSIGNED
    assert rules(stage, first) == {"a": "declined_recently"}
    peer.accept(second)
    peer.complete(second)
    stage.wait(1_000)
    assert stage.state(first) is State.ASSIGNED


def test_a_pushed_task_is_a_task_like_any_other() -> None:
    """L9: pushed tasks bypass the queue, so their completion is "not found"."""
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit(assign_to=peer.agent_id, must_be_connected=True)
    assert stage.task(task_id).state is State.ASSIGNED
    peer.accept(task_id)
    assert peer.complete(task_id) == "complete"


def test_work_goes_to_the_least_loaded_of_those_who_can_do_it() -> None:
    stage = Stage()
    small = stage.joined("small", slots=2, capabilities=("code",))
    large = stage.joined("large", slots=8, capabilities=("code", "more"))
    other = stage.joined("other", slots=8)
    for _ in range(10):
        stage.submit(needed_capabilities=("code",))
    held = {seat.agent_id: len(seat.running_tasks) for seat in stage.board.view_agents(stage.now)}
    assert held == {"small": 2, "large": 8, "other": 0}
    assert small.hears(TaskAssign)
    assert large.hears(TaskAssign)
    assert not other.hears(TaskAssign)


def test_what_agents_report_of_themselves_only_orders_those_that_are_alike() -> None:
    stage = Stage()
    busy, calm = stage.joined("busy", slots=2), stage.joined("calm", slots=2)
    busy.says(Heartbeat(as_of_seq=Seq(0), load=0.9))
    calm.says(Heartbeat(as_of_seq=Seq(0), load=0.1))
    for _ in range(4):
        stage.submit()
    held = [len(seat.running_tasks) for seat in stage.board.view_agents(stage.now)]
    assert held == [2, 2]
    assert calm.orders()[0].task_id < busy.orders()[0].task_id


def test_an_agent_that_could_take_it_at_once_is_named_by_no_rule() -> None:
    stage = Stage()
    task_id = stage.submit()
    stage.peer("a")
    fleet = Fleet()
    agent = fleet.enter(AgentRecord(agent_id=AgentId("a")))
    agent.link_id = 1
    waiting = Waiting(Rations(), fleet.number_with, 1_000)
    found = explain(stage.task(task_id), waiting, fleet, stage.now_ms, is_hub_draining=False)
    assert (found.reason, found.agents) == ("an agent is free and it is next", ())


def test_idle_agents_take_turns() -> None:
    stage = Stage()
    for name in ("a", "b", "c"):
        stage.joined(name, slots=10)
    for _ in range(9):
        stage.submit()
    assert [len(seat.running_tasks) for seat in stage.board.view_agents(stage.now)] == [3, 3, 3]


def test_only_so_many_candidates_are_compared() -> None:
    stage = Stage()
    for number in range(CANDIDATES_MAX + 4):
        stage.joined(f"a{number}", slots=2)
    for _ in range(2 * (CANDIDATES_MAX + 4)):
        assert stage.state(stage.submit()) is State.ASSIGNED


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ({"assign_to": AgentId("b")}, "another_agent_is_meant"),
        ({"needed_capabilities": ("flying",)}, "missing_capability"),
        ({"plugin": "digest"}, "unknown_plugin"),
    ],
)
def test_what_a_task_asks_for_excludes_by_name(spec: dict[str, Any], rule: str) -> None:
    """L25: "no worker available" with no queue and no explanation."""
    stage = Stage()
    stage.joined("a")
    assert rules(stage, stage.submit(**spec)) == {"a": rule}


def test_the_state_of_an_agent_excludes_by_name() -> None:
    stage = Stage()
    peer = stage.joined("a")
    stage.granted(AgentPaused(agent_id=peer.agent_id, by="x"))
    task_id = stage.submit()
    assert rules(stage, task_id) == {"a": "paused"}
    assert reason(stage, task_id) == "no agent can take it now"
    stage.tell(FrameHeard(sender=peer.sender, frame=Draining()))
    stage.granted(AgentUnpaused(agent_id=peer.agent_id, by="x"))
    assert stage.state(task_id) is State.ASSIGNED
    assert rules(stage, stage.submit()) == {"a": "no_free_slot"}
    peer.drop()
    waiting = stage.submit()
    assert rules(stage, waiting) == {"a": "not_connected"}
    stage.tell(HubDrained())
    assert rules(stage, waiting) == {"a": "hub_is_draining"}


def test_what_is_not_waiting_is_explained_by_its_state() -> None:
    stage = Stage()
    assert stage.board.explain(TaskId("none"), stage.now) is None
    task_id = stage.submit()
    assert reason(stage, task_id) == "no agent has ever connected"
    peer = stage.joined("a")
    assert reason(stage, task_id) == "it is assigned"
    peer.accept(task_id)
    peer.fail(task_id)
    found = stage.board.explain(task_id, stage.now)
    assert found is not None
    assert found.reason == "it waits before it is tried again"
    assert found.wait_ms == stage.task(task_id).not_before_ms - stage.now_ms
    lonely = stage.submit(assign_to=AgentId("nobody"))
    assert reason(stage, lonely) == "the agent that is meant has never connected"
    later = stage.submit(run_at_wall_ms=stage.now.wall_ms + 9_000)
    assert reason(stage, later) == "it is to start later"


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("nobody", None),
        ("gone", None),
        ("holding", "out_of_reach"),
        ("paused", "paused"),
        ("hub", "hub_is_draining"),
    ],
)
def test_a_push_for_an_agent_that_is_not_there_is_refused_with_the_reason(
    trouble: str, reason: str | None
) -> None:
    stage = Stage()
    if trouble != "nobody":
        peer = stage.joined("a")
        if trouble == "holding":
            stage.submit()
        if trouble in ("gone", "holding"):
            peer.drop()
        elif trouble == "paused":
            stage.granted(AgentPaused(agent_id=peer.agent_id, by="x"))
        else:
            stage.tell(HubDrained())
    letter = TaskSubmitted(task_id=stage.new_id(), spec=Spec(assign_to=AgentId("a")), must_be_connected=True)
    refusal = stage.refused(letter)
    assert (refusal.kind, refusal.agent_id, refusal.reason) == (RefusalKind.AGENT_NOT_CONNECTED, "a", reason)
    assert stage.rows.get(letter.task_id) is None


def test_a_push_for_a_full_agent_waits_for_it() -> None:
    stage = Stage()
    peer = stage.joined("a")
    stage.submit()
    waiting = stage.submit(assign_to=peer.agent_id, must_be_connected=True)
    assert stage.state(waiting) is State.QUEUED


def test_the_queue_keeps_no_line_that_nobody_stands_in() -> None:
    """L110: memory that grows with every connection or task."""
    waiting = Waiting(Rations(), lambda word: 1, 1_000)
    tasks = [
        Task(task_id=task_id_of(number), spec=Spec(assign_to=AgentId(f"a{number % 3}")))
        for number in range(9)
    ]
    for task in tasks:
        waiting.enter(task, 0)
        waiting.enter(task, 0)
    assert (len(waiting), waiting.lines, len(waiting.groups)) == (9, 3, 3)
    for task in tasks:
        assert task.task_id in waiting
        waiting.leave(task.task_id)
        waiting.leave(task.task_id)
    assert (len(waiting), waiting.lines, waiting.groups, waiting.stirred) == (0, 0, {}, {})


Agents = st.lists(
    st.fixed_dictionaries(
        {
            "slots": st.integers(1, 2),
            "capabilities": st.sets(st.sampled_from("xyz"), max_size=2).map(tuple),
            "plugins": st.sets(st.sampled_from("pq"), max_size=1).map(tuple),
        }
    ),
    max_size=4,
)
Specs = st.lists(
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from(Priority),
            "needed_capabilities": st.sets(st.sampled_from("xyz"), max_size=2).map(tuple),
            "plugin": st.sampled_from((None, None, "p", "q")),
            "assign_to": st.sampled_from((None, None, AgentId("agent-0"), AgentId("agent-9"))),
        }
    ),
    max_size=8,
)
Deeds = st.lists(st.tuples(st.sampled_from("rcdpuw"), st.integers(0, 3)), max_size=12)


def of_hers(stage: Stage, peer: Peer) -> TaskId | None:
    """Something that this agent holds."""
    held = {seat.agent_id: seat.running_tasks for seat in stage.board.view_agents(stage.now)}
    return next(iter(held[peer.agent_id]), None)


def act(stage: Stage, peer: Peer, deed: str, card: dict[str, Any]) -> None:
    """Reject, complete, drop, pause, or come back and go on."""
    task_id = of_hers(stage, peer)
    if deed == "u":
        if not peer.is_up:
            peer.identify(**card)
        stage.tell(AgentUnpaused(agent_id=peer.agent_id, by="x"))
    elif not peer.is_up:
        return
    elif deed == "d":
        peer.drop()
    elif deed == "p":
        stage.tell(AgentPaused(agent_id=peer.agent_id, by="x"))
    elif task_id is not None:
        (peer.reject if deed == "r" else peer.complete)(task_id)


@settings(max_examples=150, deadline=None)
@given(agents=Agents, specs=Specs, deeds=Deeds)
def test_explain_agrees_with_the_scheduler(
    agents: list[dict[str, Any]], specs: list[dict[str, Any]], deeds: list[tuple[str, int]]
) -> None:
    """L25: after every turn, whatever waits has a rule against each agent, and seats are never overfilled."""
    stage = Stage(Policy(accept_timeouts_max=2))
    peers = [stage.joined(f"agent-{number}", **card) for number, card in enumerate(agents)]
    tasks = [stage.submit(**spec) for spec in specs]
    for deed, number in deeds:
        if deed == "w":
            stage.wait(700 * (number + 1))
        elif number < len(peers):
            act(stage, peers[number], deed, agents[number])
        for task in (stage.task(task_id) for task_id in tasks):
            if task.state is State.QUEUED and task.not_before_ms <= stage.now_ms:
                assert set(rules(stage, task.task_id)) == {peer.agent_id for peer in peers}
        assert all(seat.free_slots >= 0 for seat in stage.board.view_agents(stage.now))
