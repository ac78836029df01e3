"""Small talk, mail, and people who steer agents."""

from __future__ import annotations

import pytest
from msgspec import Raw

from hub.core.effects import Granted, HangUp, MailKept, RefusalKind
from hub.core.events import (
    AgentDisconnectRequested,
    AgentDrainRequested,
    AgentPaused,
    AgentUnpaused,
    FrameHeard,
    HubDrained,
    HubStarted,
    MessageSubmitted,
)
from hub.core.task import State
from protocol.frames import (
    Agents,
    Draining,
    Goaway,
    ListAgents,
    Message,
    MessageDelivered,
    MessageSent,
    Ping,
    Pong,
    Status,
    StatusChanged,
    StatusUpdated,
    TaskUsage,
)
from protocol.ids import AgentId, Generation, MessageId, TaskId
from tests.core.stage import Stage, working


def test_a_ping_is_answered_with_the_time() -> None:
    stage = Stage()
    assert stage.joined("a").says(Ping()) == [Pong(timestamp=stage.now.wall_ms)]


def test_a_status_is_for_other_agents_eyes() -> None:
    stage = Stage()
    first, second = stage.joined("a"), stage.joined("b")
    assert second.says(Status(status="thinking")) == [StatusUpdated()]
    assert first.last(StatusChanged).agent.status == "thinking"
    assert stage.state(stage.submit(assign_to=second.agent_id)) is State.ASSIGNED


def test_agents_see_each_other() -> None:
    stage = Stage()
    first = stage.joined("a")
    stage.joined("b").drop()
    listed = first.says(ListAgents())[0]
    assert isinstance(listed, Agents)
    assert [card.agent_id for card in listed.agents] == ["a"]


# --- mail --------------------------------------------------------------------------------------------------


def message(to: str | None) -> Message:
    return Message(payload=Raw(b'{"text":"hello"}'), to=None if to is None else AgentId(to))


@pytest.mark.parametrize("to", [None, "broadcast"])
def test_a_broadcast_reaches_everybody_but_its_sender(to: str | None) -> None:
    stage = Stage()
    first, second = stage.joined("a"), stage.joined("b")
    assert first.says(message(to), "m1") == [MessageSent(id=MessageId("m1"))]
    heard = second.last(MessageDelivered)
    assert (heard.from_, heard.id, heard.payload) == ("a", "m1", Raw(b'{"text":"hello"}'))
    assert stage.passed_by() == ["message"]


def test_a_message_goes_to_the_one_who_is_meant() -> None:
    stage = Stage()
    first, second, third = stage.joined("a"), stage.joined("b"), stage.joined("c")
    first.says(message("b"), "m1")
    assert second.hears(MessageDelivered)
    assert not third.hears(MessageDelivered)
    assert first.says(message("a"), "m2") == [MessageSent(id=MessageId("m2"))], "not back to its sender"


@pytest.mark.parametrize("to", ["nobody", "away"])
def test_a_message_for_one_who_is_not_there_is_kept(to: str) -> None:
    stage = Stage()
    stage.joined("away").drop()
    stage.joined("a").says(message(to), "m1")
    kept = [change for change in stage.changes if isinstance(change, MailKept)]
    assert [(one.to, one.sender) for one in kept] == [(to, "a")]


def test_a_person_can_write_to_an_agent() -> None:
    stage = Stage()
    peer = stage.joined("a")
    letter = MessageSubmitted(
        message_id=MessageId("m1"), sender="boss", to=peer.agent_id, message_type="chat", payload=Raw(b"{}")
    )
    reply = stage.tell(letter)
    assert isinstance(reply, Granted)
    assert (reply.note, reply.message_id) == ("sent", "m1")
    assert peer.last(MessageDelivered).from_ == "boss"


# --- steering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "letter", [AgentPaused, AgentUnpaused, AgentDrainRequested, AgentDisconnectRequested]
)
def test_only_an_agent_that_is_there_can_be_steered(
    letter: type[AgentPaused | AgentUnpaused | AgentDrainRequested | AgentDisconnectRequested],
) -> None:
    stage = Stage()
    assert stage.refused(letter(agent_id=AgentId("a"), by="x")).kind is RefusalKind.AGENT_NOT_CONNECTED
    stage.joined("a").drop()
    assert stage.refused(letter(agent_id=AgentId("a"), by="x")).kind is RefusalKind.AGENT_NOT_CONNECTED


def test_a_paused_agent_finishes_what_it_has_and_gets_nothing_new_across_a_restart() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert stage.granted(AgentPaused(agent_id=peer.agent_id, by="x")).note == "paused"
    stage.granted(AgentPaused(agent_id=peer.agent_id, by="x"))
    assert stage.board.view_agents(stage.now)[0].state == "paused"
    waiting = stage.submit()
    assert peer.complete(task_id) == "complete"
    peer.comes_back()
    assert stage.state(waiting) is State.QUEUED
    assert stage.granted(AgentUnpaused(agent_id=peer.agent_id, by="x")).note == "resumed"
    assert stage.state(waiting) is State.ASSIGNED
    assert [line.event for line in stage.log if line.agent_id == "a" and line.task_id is None] == [
        "agent_joined",
        "agent_paused",
        "agent_unpaused",
    ]


def test_a_drained_agent_is_sent_away_when_its_hands_are_empty() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert stage.granted(AgentDrainRequested(agent_id=peer.agent_id, by="x")).note == "draining"
    stage.granted(AgentDrainRequested(agent_id=peer.agent_id, by="x"))
    waiting = stage.submit()
    assert not peer.hears(Goaway)
    peer.complete(task_id)
    assert peer.last(Goaway).reason == "drained"
    peer.comes_back()
    assert stage.state(waiting) is State.QUEUED, "a drain by hand outlives the link"
    stage.granted(AgentUnpaused(agent_id=peer.agent_id, by="x"))
    assert stage.state(waiting) is State.ASSIGNED


def test_a_drain_by_hand_ends_with_the_process_that_was_drained() -> None:
    """Another boot is what a person drains for: a new process takes work, a mere redial does not."""
    stage = Stage()
    peer = stage.joined("a")
    stage.granted(AgentDrainRequested(agent_id=peer.agent_id, by="x"))
    waiting = stage.submit()
    peer.comes_back()
    assert stage.state(waiting) is State.QUEUED
    peer.comes_back(boot_id="boot-2")
    assert stage.state(waiting) is State.ASSIGNED
    peer.accept(waiting)
    stage.wait(stage.policy.heartbeat_ms)
    peer.heard.clear()
    peer.complete(waiting)
    assert not peer.hears(Goaway), "nothing is left of the drain"


def test_a_drain_that_takes_too_long_ends_all_the_same() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    stage.granted(AgentDrainRequested(agent_id=peer.agent_id, by="x"))
    for _ in range(stage.policy.drain_ms // 20_000):
        stage.wait(20_000)
        if not peer.hears(Goaway):
            peer.beat(peer.runs(task_id))
    assert stage.state(task_id) is State.RUNNING
    assert peer.hears(Goaway)


def test_an_agent_that_leaves_by_itself_gets_nothing_new_until_it_is_back() -> None:
    stage = Stage()
    peer = stage.joined("a")
    for _ in range(2):
        stage.tell(FrameHeard(sender=peer.sender, frame=Draining()))
    assert stage.board.view_agents(stage.now)[0].state == "draining"
    waiting = stage.submit()
    assert stage.state(waiting) is State.QUEUED
    peer.comes_back()
    assert stage.state(waiting) is State.ASSIGNED


def test_an_agent_can_be_disconnected_by_hand() -> None:
    stage = Stage()
    peer = stage.joined("a")
    assert stage.granted(AgentDisconnectRequested(agent_id=peer.agent_id, by="boss")).note == "disconnected"
    reasons = [effect.reason for effect in stage.effects if isinstance(effect, HangUp)]
    assert reasons == ["disconnected by boss"]


def test_a_draining_hub_assigns_nothing_and_sends_everybody_elsewhere() -> None:
    stage = Stage()
    peer = stage.joined("a")
    stage.tell(HubDrained())
    assert peer.last(Goaway).retry_in_ms == 0
    peer.heard.clear()
    stage.tell(HubDrained())
    assert not peer.hears(Goaway)
    assert stage.board.is_draining
    assert stage.state(stage.submit()) is State.QUEUED


def test_the_board_can_be_counted() -> None:
    stage = Stage()
    working(stage)
    stage.submit()
    counts = stage.board.count()
    assert counts.tasks == {"running": 1, "queued": 1}
    assert (counts.agents_known, counts.agents_connected, counts.slots, counts.slots_free) == (1, 1, 1, 0)
    assert counts.rows["T3"] == 1
    assert len(stage.board.open_tasks()) == 2
    assert not stage.board.is_connected(None)


def test_a_drain_by_hand_of_an_agent_that_has_gone_meanwhile_is_remembered_and_sends_nobody_away() -> None:
    stage = Stage()
    peer, _ = working(stage)
    stage.granted(AgentDrainRequested(agent_id=peer.agent_id, by="x"))
    peer.drop()
    stage.wait(stage.policy.drain_ms)
    assert not peer.hears(Goaway)
    peer.comes_back()
    assert stage.board.view_agents(stage.now)[0].state == "draining"


def test_a_drained_agent_of_the_first_generation_has_no_word_for_it() -> None:
    stage = Stage()
    peer = stage.joined("old", version=1)
    peer.heard.clear()
    stage.granted(AgentDrainRequested(agent_id=peer.agent_id, by="x"))
    assert peer.heard == []
    assert stage.state(stage.submit()) is State.QUEUED


def test_usage_of_a_run_that_is_not_its_own_is_nothing() -> None:
    stage = Stage()
    peer = stage.joined("a")
    assert peer.says(TaskUsage(task_id=TaskId("task-x"), generation=Generation(1), tokens_in=5)) == []
    assert stage.passed_by() == []


def test_a_bill_that_comes_right_after_a_resume_is_added_up() -> None:
    """A run that ended while the hub was away says first what it used, then that it failed."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.says(TaskUsage(task_id=task_id, generation=Generation(1), tokens_in=7, tokens_out=3))
    stage.restart()
    stage.tell(HubStarted())
    peer.comes_back(peer.has(task_id, "result_pending"))
    peer.says(TaskUsage(task_id=task_id, generation=Generation(1), tokens_in=70, tokens_out=30))
    assert peer.fail(task_id) == "retried"
    stage.wait(10_000)
    peer.accept(task_id)
    peer.says(TaskUsage(task_id=task_id, generation=Generation(2), tokens_in=5, tokens_out=5))
    peer.complete(task_id)
    task = stage.task(task_id)
    assert task.usage is not None
    assert task.ending is not None
    assert (task.usage.tokens_in, task.ending.tokens_wasted) == (5, 100)
