"""Names, instances and their links: who is let in, who is replaced, and what a restored backup gives away."""

from __future__ import annotations

from hub.core.effects import AgentSaved, EpochRenewed, HangUp, InstanceSaved
from hub.core.events import AgentIdentified, FrameHeard, LinkLost
from hub.core.task import State
from protocol.frames import (
    AgentJoined,
    AgentLeft,
    ErrorFrame,
    Held,
    Holding,
    Identified,
    Identify,
    TaskAck,
    TaskAssign,
    TaskComplete,
)
from protocol.ids import Generation, InstanceId, Seq, TaskId
from tests.core.stage import Stage, working


def test_an_agent_is_welcomed_with_the_rules_of_the_house() -> None:
    stage = Stage()
    identified = stage.peer("a").comes_back()
    assert (identified.hub_epoch, identified.seq_received, identified.session_id) == (
        "epoch-1",
        0,
        "session-1",
    )
    assert (identified.lease_ms, identified.accept_ms) == (stage.policy.lease_ms, stage.policy.accept_ms)
    assert any(isinstance(change, AgentSaved) for change in stage.changes)
    assert any(isinstance(change, InstanceSaved) for change in stage.changes)


def test_others_hear_of_who_joins_and_leaves_and_the_one_who_joined_does_not() -> None:
    stage = Stage()
    first = stage.joined("a")
    second = stage.joined("b", capabilities=("code",))
    assert first.last(AgentJoined).agent.capabilities == ("code",)
    assert not second.hears(AgentJoined)
    second.drop()
    assert first.last(AgentLeft).agent_id == "b"
    assert [line.event for line in stage.log] == ["agent_joined", "agent_joined", "agent_left"]


def test_the_newest_link_of_an_instance_wins_and_its_work_goes_on() -> None:
    """L10: a second connection with the same id: the old socket keeps the route, and its close
    unregisters the live one.
    """
    stage = Stage()
    peer, task_id = working(stage)
    old_link = peer.link_id
    peer.comes_back(peer.has(task_id))
    closed = [effect for effect in stage.effects if isinstance(effect, HangUp)]
    assert [(one.link_id, int(one.code)) for one in closed] == [(old_link, 4409)]
    assert stage.state(task_id) is State.RUNNING
    stage.tell(LinkLost(link_id=old_link))
    assert stage.changes == []
    assert stage.board.is_connected(peer.agent_id)
    assert peer.complete(task_id) == "complete"


def test_the_highest_dial_wins_whichever_identify_arrives_last() -> None:
    stage = Stage()
    peer = stage.joined("a")
    peer.comes_back()
    late = stage.peer("a")
    late.connection = 0
    assert late.identify() is None
    assert late.closed is not None
    assert late.closed[0] == 4409
    assert stage.board.is_connected(peer.agent_id)


def test_a_new_boot_of_the_sidecar_begins_its_dials_anew() -> None:
    stage = Stage()
    peer = stage.joined("a")
    peer.comes_back()
    assert peer.comes_back(boot_id="boot-2", connection=1).agent_id == "a"


def test_a_second_identify_on_one_socket_is_refused_and_the_socket_stays() -> None:
    """L12: identify twice on one socket gives double delivery or a ghost."""
    stage = Stage()
    peer = stage.joined("a")
    heard = peer.says(Identify(agent_id=peer.agent_id))
    assert isinstance(heard[0], ErrorFrame)
    assert heard[0].error == "invalid_state"
    assert peer.closed is None


def test_the_same_letter_asked_again_seats_nobody_twice() -> None:
    stage = Stage()
    peer = stage.joined("a")
    letter = AgentIdentified(sender=peer.sender, name="a", holding=(), connection=1, boot_id="boot-1")
    stage.tell(letter)
    assert not any(isinstance(effect, HangUp) for effect in stage.effects)
    assert peer.hears(Identified)
    assert [line.event for line in stage.log] == ["agent_joined"]


def test_a_name_sticks_to_its_instance_while_that_is_live() -> None:
    stage = Stage()
    stage.joined("a")
    other = stage.peer("a", instance="other/1")
    assert other.identify() is None
    assert other.last(ErrorFrame).error == "name_in_use"
    assert other.last(ErrorFrame).retry_after_ms == stage.policy.name_in_use_retry_ms
    assert other.closed is not None
    assert other.closed[0] == 4410


def test_a_name_sticks_to_its_instance_while_that_holds_work_in_its_grace() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(20_000)
    other = stage.peer("a", instance="other/1")
    other.identify()
    assert other.last(ErrorFrame).retry_after_ms == stage.policy.grace_ms - 20_000
    stage.wait(stage.policy.grace_ms)
    other.identify()
    assert other.hears(Identified)
    assert stage.task(task_id).strikes == 1


def test_a_name_is_free_when_its_owner_is_gone_and_holds_nothing() -> None:
    stage = Stage()
    stage.joined("a").drop()
    assert stage.peer("a", instance="other/1").identify() is not None


def test_a_name_given_to_another_instance_takes_what_the_old_one_held_with_it() -> None:
    """T13 by rebinding: the grace is over and its timer has not been looked at yet."""
    stage = Stage()
    peer, task_id = working(stage)
    _, cancelled = working(stage, "b")
    peer.drop()
    stage.now_ms += stage.policy.grace_ms
    assert stage.peer("a", instance="other/1").identify() is not None
    assert stage.task(task_id).strikes == 1
    assert stage.state(cancelled) is State.RUNNING


def test_a_finished_result_that_the_hub_already_has_is_adopted() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.complete(task_id)
    peer.drop()
    identified = peer.comes_back(peer.has(task_id, "result_pending"), seq_next=Seq(2))
    assert identified.adopted == (peer.runs(task_id),)
    assert identified.seq_received == 2


def test_a_run_of_a_task_that_is_over_is_dropped() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.complete(task_id)
    peer.drop()
    assert peer.comes_back(peer.has(task_id)).drop == (peer.runs(task_id),)


def test_an_unknown_run_is_dropped_and_an_unknown_result_is_awaited() -> None:
    stage = Stage()
    unknown = Held(task_id=TaskId("task-unknown"), generation=Generation(3))
    peer = stage.peer("a")
    running = Holding(task_id=unknown.task_id, generation=unknown.generation)
    assert peer.comes_back(running).drop == (unknown,)
    done = Holding(task_id=unknown.task_id, generation=unknown.generation, state="result_pending")
    assert peer.comes_back(done).keep == (unknown,)


def test_a_result_of_an_older_generation_is_dropped() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.fail(task_id)
    stage.wait_until(State.ASSIGNED, task_id)
    peer.drop()
    old = peer.has(task_id, "result_pending", 1)
    identified = peer.comes_back(old)
    assert identified.drop == (Held(task_id=task_id, generation=Generation(1)),)
    assert peer.hears(TaskAssign), "and the order of the current one is sent again"


# --- lost history ------------------------------------------------------------------------------------------


def test_a_number_beyond_the_mark_shows_that_the_hub_has_lost_history() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    peer.seq = 40
    identified = peer.comes_back(peer.has(task_id))
    renewed = [change for change in stage.changes if isinstance(change, EpochRenewed)]
    assert [one.epoch for one in renewed] == ["epoch-2"]
    assert renewed[0].generation_floor == 1_000_001
    assert (identified.hub_epoch, identified.seq_received) == ("epoch-2", 40)
    assert stage.alerts() == ["history_lost"]
    assert stage.board.epoch == "epoch-2"
    assert peer.complete(task_id) == "complete"
    later = stage.submit()
    assert stage.task(later).generation == 1_000_002
    assert stage.board.generation_floor == 1_000_001


def test_history_is_lost_once_however_many_instances_show_it() -> None:
    stage = Stage()
    for name in ("a", "b"):
        peer = stage.peer(name)
        peer.seq = 7
        assert peer.comes_back().seq_received == 7
    assert sum(isinstance(change, EpochRenewed) for change in stage.changes) == 0
    assert stage.board.mark_of(InstanceId("b/1")) == 7
    assert stage.board.mark_of(InstanceId("nobody")) == 0


def test_a_result_of_a_generation_that_the_hub_forgot_is_kept_as_a_stray() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    peer.seq = 9
    ahead = peer.has(task_id, "result_pending", 8)
    identified = peer.comes_back(ahead)
    assert identified.keep == (Held(task_id=task_id, generation=Generation(8)),)
    assert peer.complete(task_id, generation=8) == "complete"
    assert stage.alerts() == ["stray_fact"]
    assert stage.task(task_id).strikes == 1, "generation 1 was lost with the history"


def test_an_old_copy_of_a_journal_changes_no_mark() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.complete(task_id)
    peer.seq = 0
    assert peer.comes_back().seq_received == 2
    ack = peer.says(TaskComplete(task_id=task_id, generation=Generation(1), seq=Seq(1)))[0]
    assert isinstance(ack, TaskAck)
    assert ack.status == "duplicate"


def test_frames_of_a_link_that_never_identified_change_nothing() -> None:
    stage = Stage()
    peer = stage.peer("a")
    stage.tell(FrameHeard(sender=peer.sender, frame=TaskComplete(task_id=TaskId("x"))))
    assert stage.changes == []
    assert peer.says_badly(1) == []
