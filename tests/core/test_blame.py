"""Whose fault it was: of the work, of the machine, of a rule, of time, or of a person."""

from __future__ import annotations

import pytest

from hub.core.effects import AlertKind
from hub.core.events import RetryRequested
from hub.core.policy import SECOND_MS, Policy
from hub.core.task import Fault, State
from protocol.ids import TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage, working

QUARANTINED = AlertKind.AGENT_QUARANTINED.value


# --- faults that a sidecar names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (None, Fault.WORK),
        ("work", Fault.WORK),
        ("policy", Fault.POLICY),
        ("time", Fault.TIME),
        ("person", Fault.PERSON),
        ("the moon", Fault.WORK),
    ],
)
def test_the_fault_that_a_sidecar_names_is_that_of_the_ending(fault: str | None, told: Fault) -> None:
    stage = Stage()
    peer, task_id = working(stage, attempts_max=2)
    peer.fail(task_id, retryable=False, fault=fault)
    ending = stage.task(task_id).ending
    assert ending is not None
    assert (ending.how, ending.whose_fault) == ("failed", told)


def test_a_fault_is_kept_through_the_last_attempt() -> None:
    stage = Stage()
    peer, task_id = working(stage, attempts_max=2)
    peer.fail(task_id, fault="policy")
    stage.wait(10 * SECOND_MS)
    peer.accept(task_id)
    peer.fail(task_id, fault="policy")
    ending = stage.task(task_id).ending
    assert ending is not None
    assert (ending.how, ending.whose_fault) == ("attempts", Fault.POLICY)


def test_a_machine_that_fails_costs_a_strike_and_no_attempt() -> None:
    stage = Stage(Policy(strikes_max=2))
    peer, task_id = working(stage, attempts_max=1)
    peer.fail(task_id, "no room on its disk", fault="infrastructure", retry_after_ms=40 * SECOND_MS)
    task = stage.task(task_id)
    assert (task.state, task.attempt, task.strikes) == (State.QUEUED, 0, 1)
    assert task.not_before_ms == stage.now_ms + 40 * SECOND_MS, "the hint of the runner counts"
    assert b'"cause":"infrastructure","reason":"no room on its disk"' in bytes(stage.log[-1].payload)
    stage.wait(40 * SECOND_MS)
    peer.accept(task_id)
    peer.fail(task_id, "no room on its disk", fault="infrastructure")
    ending = stage.task(task_id).ending
    assert stage.state(task_id) is State.DEAD_LETTER
    assert ending is not None
    assert (ending.how, ending.whose_fault) == ("strikes", Fault.INFRASTRUCTURE)
    assert stage.task(task_id).error == "no room on its disk"


def test_a_machine_that_says_that_trying_again_is_no_use_is_believed() -> None:
    stage = Stage()
    peer, task_id = working(stage, attempts_max=3)
    peer.fail(task_id, "no such interpreter", fault="infrastructure", retryable=False)
    ending = stage.task(task_id).ending
    assert stage.state(task_id) is State.FAILED
    assert ending is not None
    assert (ending.how, ending.whose_fault) == ("failed", Fault.INFRASTRUCTURE)


def test_an_old_client_knows_no_faults() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    task_id = stage.submit(attempts_max=2)
    peer.accept(task_id)
    peer.fail(task_id, fault="infrastructure")
    assert (stage.task(task_id).attempt, stage.task(task_id).strikes) == (1, 0)


# --- agents on which everything breaks down --------------------------------------------------------------


def broken_down(stage: Stage, peer: Peer, error: str = "broke") -> TaskId:
    """One more task that breaks down on this agent."""
    task_id = stage.submit(assign_to=peer.agent_id)
    peer.accept(task_id)
    peer.fail(task_id, error, fault="infrastructure")
    return task_id


def alerts_after(stage: Stage, peer: Peer, count: int) -> list[str]:
    found = []
    for _ in range(count):
        broken_down(stage, peer)
        found += stage.alerts()
    return found


def test_three_tasks_in_a_row_that_break_down_are_the_fault_of_their_agent() -> None:
    """L24: failures are counted per agent, and it is left alone for a while."""
    stage = Stage()
    peer = stage.joined("a")
    assert alerts_after(stage, peer, 2) == []
    assert alerts_after(stage, peer, 1) == [QUARANTINED]
    waiting = stage.submit()
    assert stage.state(waiting) is State.QUEUED
    stage.wait(stage.policy.quarantine_ms)
    assert any(task.state is State.ASSIGNED for task in stage.board.open_tasks()), "it gets work again"


def test_after_its_quarantine_an_agent_is_counted_anew() -> None:
    stage = Stage()
    peer = stage.joined("a")
    alerts_after(stage, peer, 3)
    for task in stage.board.open_tasks():
        stage.cancel(task.task_id)
    stage.wait(stage.policy.quarantine_ms)
    assert alerts_after(stage, peer, 2) == []


def test_a_completion_between_forgives_what_was_before() -> None:
    stage = Stage()
    peer = stage.joined("a")
    alerts_after(stage, peer, 2)
    good = stage.submit(assign_to=peer.agent_id)
    peer.accept(good)
    peer.complete(good)
    assert alerts_after(stage, peer, 2) == []
    assert alerts_after(stage, peer, 1) == [QUARANTINED]


def test_one_task_that_breaks_down_again_and_again_is_not_its_agents_fault() -> None:
    """L24: failures are counted per task, and a poison task ends as a dead letter."""
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.submit()
    for _ in range(stage.policy.strikes_max):
        stage.wait_until(State.ASSIGNED, task_id)
        peer.accept(task_id)
        peer.fail(task_id, fault="infrastructure")
        assert stage.alerts() == []
    assert stage.state(task_id) is State.DEAD_LETTER


def test_a_poison_task_does_not_quarantine_one_agent_after_the_other() -> None:
    """L24: what broke down on two agents is the suspect, and says nothing about a third."""
    stage = Stage(Policy(strikes_max=99))
    peers = [stage.joined(name) for name in ("a", "b", "c")]
    poison = [stage.submit() for _ in range(3)]
    seen: dict[str, set[TaskId]] = {}
    alerts: list[str] = []
    for _ in range(40):
        stage.wait(20 * SECOND_MS)
        for peer in peers:
            peer.beat()
            for task_id in poison:
                task = stage.task(task_id)
                if task.state is State.ASSIGNED and task.holder == peer_holder(peer):
                    peer.accept(task_id)
                    peer.fail(task_id, fault="infrastructure")
                    alerts += stage.alerts()
                    seen.setdefault(peer.agent_id, set()).add(task_id)
    assert len(alerts) <= 2, f"{alerts} by {seen}"
    assert any(agent.state == "online" for agent in stage.board.view_agents(stage.now))


def test_a_suspect_says_nothing_about_the_third_agent() -> None:
    """L24 at its edge: the first two agents are counted, the third is not."""
    stage = Stage()
    poison = stage.submit()
    peers = [stage.peer(name) for name in ("a", "b", "c")]
    for peer in peers:
        peer.identify()
        stage.wait_until(State.ASSIGNED, poison)
        peer.accept(poison)
        if peer is not peers[-1]:
            peer.fail(poison, fault="infrastructure")
            peer.drop()
    peers[-1].fail(poison, fault="infrastructure")
    stage.cancel(poison)
    assert alerts_after(stage, peers[-1], 2) == [], "two others, and the suspect does not count"
    assert alerts_after(stage, peers[-1], 1) == [QUARANTINED]


def peer_holder(peer: Peer) -> object:
    agent = next(one for one in peer.stage.board.view_agents(peer.stage.now) if one.agent_id == peer.agent_id)
    task = next((peer.stage.task(task_id) for task_id in agent.running_tasks), None)
    return None if task is None else task.holder


def test_all_that_one_death_of_a_sidecar_takes_with_it_counts_once() -> None:
    """A host without power is no broken agent, however many seats it had."""
    stage = Stage()
    peer = stage.joined("a", slots=4)
    tasks = [stage.submit() for _ in range(4)]
    for task_id in tasks:
        peer.accept(task_id)
    found = []
    for task_id in tasks:
        peer.fail(task_id, "sidecar_crash")
        found += stage.alerts()
    assert found == []


def test_a_sidecar_that_dies_again_and_again_is_left_alone() -> None:
    stage = Stage()
    peer = stage.joined("a", boot_id="boot-0")
    found: list[str] = []
    for number in range(1, 4):
        task_id = stage.submit()
        peer.accept(task_id)
        peer.drop()
        peer.comes_back(peer.has(task_id, "result_pending"), boot_id=f"boot-{number}")
        peer.fail(task_id, "sidecar_crash")
        found += stage.alerts()
        stage.cancel(task_id)
    assert found == [QUARANTINED]


def test_a_sidecar_that_was_told_to_go_is_not_blamed() -> None:
    stage = Stage()
    peer = stage.joined("a")
    for _ in range(4):
        task_id = stage.submit(assign_to=peer.agent_id)
        peer.accept(task_id)
        peer.fail(task_id, "sidecar_shutdown")
        assert stage.alerts() == []


def test_who_is_in_quarantine_is_not_put_there_again() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=4)
    tasks = [stage.submit() for _ in range(4)]
    for task_id in tasks:
        peer.accept(task_id)
    found = []
    for task_id in tasks:
        peer.fail(task_id, fault="infrastructure")
        found += stage.alerts()
    assert found == [QUARANTINED]


# --- times -----------------------------------------------------------------------------------------------


def test_a_time_to_start_by_counts_until_the_first_start_and_not_for_a_retry() -> None:
    """L18: a time-to-live counted from creation expires a retried task at once."""
    stage = Stage()
    start_by = stage.now.wall_ms + 10 * SECOND_MS
    peer, task_id = working(stage, attempts_max=2, start_by_wall_ms=start_by)
    stage.wait(20 * SECOND_MS)
    peer.beat(peer.runs(task_id))
    peer.fail(task_id)
    stage.wait(10 * SECOND_MS)
    assert stage.state(task_id) is State.ASSIGNED, "the second attempt is no start that could be late"
    peer.accept(task_id)
    peer.fail(task_id)
    assert stage.state(task_id) is State.DEAD_LETTER
    again = stage.granted(RetryRequested(task_id=task_id, new_task_id=stage.new_id(), by="x")).task
    assert again is not None
    assert (again.start_by_ms, again.spec.start_by_wall_ms, again.spec.run_at_wall_ms) == (None, None, None)
    assert again.state is State.ASSIGNED
