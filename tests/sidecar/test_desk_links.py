"""The desk while links, processes and disks come and go: nothing is lost, nothing is said twice."""

from __future__ import annotations

import pytest

from protocol import frames as f
from protocol.frames import HUB_FRAMES
from protocol.ids import AgentId, Generation, MessageId, RequestId, Seq
from sidecar.effects import HangUp, Leave, Remark
from sidecar.events import (
    DrainRequested,
    HubSaid,
    LinkLost,
    LinkOpened,
    Restarted,
    StopRequested,
    StorageFilled,
    StorageFreed,
)
from sidecar.memory import EpochHeard, FactNoted, MarkHeard, Renumbered
from sidecar.runners.contract import (
    Asked,
)
from sidecar.wording import MESSAGE_SHOWN_MAX
from tests.sidecar.dialogue import AGENT, Dialogue, raw, stopped, task

# --- links come and go --------------------------------------------------------------------------------------


def test_no_fact_is_said_before_identified(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(LinkLost(talk.link_id))
    talk.end(1)
    assert len(talk.records) == 1
    assert talk.said == []
    talk.tell(LinkOpened(2))
    assert [type(frame) for frame in talk.said] == [f.Identify]


def test_a_result_made_while_the_hub_is_away_arrives_once(talk: Dialogue) -> None:
    """L6"""
    talk.assign(1)
    talk.receipt_all()
    talk.tell(LinkLost(1))
    talk.end(1)
    talk.connect()
    assert [(type(fact), fact.seq) for fact in talk.facts] == [(f.TaskComplete, 2)]
    talk.receipt_all("complete")
    talk.connect()
    assert talk.facts == []
    assert talk.memory.facts == {}


def test_a_link_that_comes_back_goes_on_with_the_same_run(talk: Dialogue) -> None:
    """L4, L5"""
    talk.assign(1)
    talk.receipt_all()
    talk.tell(LinkLost(1))
    held = f.Held(task_id=task(1), generation=Generation(1))
    talk.connect(keep=(held,))
    assert (talk.started, talk.stops, talk.facts) == ([], [], [])


def test_identify_lists_what_is_held_and_the_oldest_fact_without_a_receipt(talk: Dialogue) -> None:
    talk.assign(1)
    talk.assign(2)
    talk.receipt_all()
    talk.end(2)
    talk.hear(f.TaskAssign(task_id=task(3), generation=Generation(7)))
    talk.report(3, Asked(request_id=RequestId("q"), prompt="why?"), generation=7)
    talk.tell(LinkLost(1))
    talk.tell(LinkOpened(9))
    (identify,) = talk.said
    assert isinstance(identify, f.Identify)
    assert (identify.connection, identify.seq_next, identify.agent_id) == (9, 3, AGENT)
    assert {(held.task_id, held.generation, held.state) for held in identify.holding} == {
        (task(1), 1, "running"),
        (task(2), 1, "result_pending"),
        (task(3), 7, "asking"),
    }


def test_a_mark_drops_what_the_hub_has_and_the_rest_is_said_again_in_order(talk: Dialogue) -> None:
    talk.assign(1)
    talk.assign(2)
    talk.end(1)
    talk.end(2)
    talk.connect(mark=2)
    assert MarkHeard(Seq(2)) in talk.records
    assert [fact.seq for fact in talk.facts] == [3, 4]


def test_work_that_the_hub_gave_away_is_stopped(talk: Dialogue) -> None:
    talk.assign(1)
    talk.assign(2)
    talk.end(2)
    talk.receipt_all()
    drop = tuple(f.Held(task_id=task(n), generation=Generation(1)) for n in (1, 2, 3))
    talk.connect(drop=drop)
    assert talk.stops == [(task(1), 1, "revoke")]
    assert [(type(fact), fact.task_id) for fact in talk.facts] == [(f.TaskStopped, task(3))]


def test_an_adopted_result_needs_nothing_more(talk: Dialogue) -> None:
    talk.assign(1)
    talk.end(1)
    talk.connect(mark=2, adopted=(f.Held(task_id=task(1), generation=Generation(1)),))
    assert talk.facts == []
    assert talk.memory.facts == {}


def test_a_new_epoch_is_remembered(talk: Dialogue) -> None:
    talk.connect(hub_epoch="e1")
    assert talk.records == [EpochHeard("e1")]
    talk.connect(hub_epoch="e1")
    assert talk.records == []
    assert talk.desk.identify().hub_epoch == "e1"


@pytest.mark.parametrize("mark", [0, 40])
def test_facts_are_numbered_anew_when_the_hub_has_another_mark_than_the_journal(
    talk: Dialogue, mark: int
) -> None:
    talk.assign(1)
    talk.receipt_all()
    talk.end(1)
    talk.connect(mark=mark)
    assert Renumbered(Seq(mark + 1)) in talk.records
    assert [(type(fact), fact.seq) for fact in talk.facts] == [(f.TaskComplete, mark + 1)]
    talk.assign(2)
    assert [fact.seq for fact in talk.facts] == [mark + 2]


def test_a_ghost_of_an_older_link_is_not_heard(talk: Dialogue) -> None:
    talk.tell(LinkOpened(2))
    talk.tell(HubSaid(1, f.TaskAssign(task_id=task(1), generation=Generation(1))))
    assert (talk.records, talk.effects) == ([], [])
    talk.tell(LinkLost(1))
    talk.connect()
    talk.tell(LinkLost(1))
    assert talk.desk.is_taking_work


def test_nothing_but_identified_and_errors_is_heard_before_identified(talk: Dialogue) -> None:
    talk.tell(LinkOpened(2))
    talk.tell(HubSaid(2, f.TaskAssign(task_id=task(1), generation=Generation(1))))
    assert talk.remarks == ["said_before_identified"]
    talk.tell(HubSaid(2, f.ErrorFrame(error="name_in_use", retry_after_ms=5)))
    assert talk.remarks == ["hub_error"]


def test_a_goaway_names_the_time_to_come_back(talk: Dialogue) -> None:
    talk.hear(f.Goaway(reason="deploy", retry_in_ms=7_000))
    assert talk.only(HangUp) == [HangUp(1, "goaway: deploy", 7_000)]


def test_talk_that_is_not_for_this_sidecar_changes_nothing(talk: Dialogue) -> None:
    card = f.AgentCard(agent_id=AgentId("b"), name="b", status="idle", capabilities=(), connected_at=1)
    frames: tuple[f.HubFrame, ...] = (
        f.Pong(timestamp=1),
        f.Agents(agents=(card,)),
        f.AgentJoined(agent=card),
        f.AgentLeft(agent_id=AgentId("b")),
        f.StatusChanged(agent=card),
        f.StatusUpdated(),
        f.MessageSent(id=MessageId("m")),
    )
    for frame in frames:
        assert talk.hear(frame) == []
    v1: tuple[f.HubFrame, ...] = (
        f.TaskCancelled(task_id=task(1), timestamp=1),
        f.TaskReassign(task_id=task(1)),
        f.TaskContinue(task_id=task(1), generation=Generation(1)),
        f.StateReportAck(task_id=task(1), action="abort"),
    )
    for frame in v1:
        talk.hear(frame)
        assert talk.remarks == ["v1_frame_ignored"]
    own = {f.TaskAssign, f.TaskAck, f.TaskCancel, f.TaskRevoke, f.TaskInput, f.Identified, f.Goaway}
    assert {type(frame) for frame in frames + v1} | own | {f.ErrorFrame, f.MessageDelivered} == set(
        HUB_FRAMES
    )


def test_a_message_is_a_line_of_the_log_with_its_sender_and_the_beginning_of_what_it_says(
    talk: Dialogue,
) -> None:
    def shown(payload: str) -> str:
        talk.hear(
            f.MessageDelivered(
                id=MessageId("m-1"), from_="boss", message_type="note", payload=raw(payload), timestamp=1
            )
        )
        (remark,) = talk.only(Remark)
        assert (remark.event, talk.records) == ("message", [])
        return remark.detail

    assert shown('{"say":"tea"}') == 'note m-1 from boss: {"say":"tea"}'
    text = '{"say":"%s"}' % ("x" * (MESSAGE_SHOWN_MAX - 10))
    assert len(text) == MESSAGE_SHOWN_MAX
    assert shown(text).endswith(text)
    assert shown(text.replace("x", "xx", 1)).endswith("x" * 20 + '"…')


# --- a new process ------------------------------------------------------------------------------------------


def test_what_ran_when_the_sidecar_died_is_reported_as_a_crash(talk: Dialogue) -> None:
    talk.assign(1)
    talk.assign(2)
    talk.receipt_all()
    talk.end(2)
    fresh = talk.crash()
    assert [
        (type(record), record.frame.task_id) for record in fresh.records if isinstance(record, FactNoted)
    ] == [(FactNoted, task(1))]
    fresh.connect()
    assert [(type(fact), fact.task_id) for fact in fresh.facts] == [
        (f.TaskComplete, task(2)),
        (f.TaskFailed, task(1)),
    ]
    crash = fresh.facts[1]
    assert isinstance(crash, f.TaskFailed)
    assert (crash.error, crash.retryable) == ("sidecar_crash", True)
    again = fresh.crash()
    assert again.records == []


def test_a_new_process_never_starts_what_the_old_one_had_accepted(talk: Dialogue) -> None:
    talk.assign(1)
    talk.receipt_all()
    fresh = talk.crash()
    fresh.connect()
    fresh.receipt_all()
    fresh.assign(1)
    assert fresh.started == []


def test_an_empty_journal_restarts_silently() -> None:
    talk = Dialogue()
    talk.tell(Restarted())
    assert (talk.records, talk.effects) == ([], [])


# --- leaving ------------------------------------------------------------------------------------------------


def test_a_draining_sidecar_takes_nothing_new_and_leaves_with_all_receipts(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(DrainRequested())
    assert talk.said == [f.Draining()]
    talk.tell(DrainRequested())
    assert talk.said == []
    talk.assign(2)
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskRejected)
    assert fact.reason == "draining"
    talk.end(1)
    assert talk.only(Leave) == []
    talk.connect()
    assert f.Draining() in talk.said
    seqs = list(talk.memory.facts)
    for seq in seqs:
        assert talk.only(Leave) == []
        talk.hear(f.TaskAck(task_id=task(1), status="accepted", seq=seq))
    assert len(talk.only(Leave)) == 1
    talk.tell(DrainRequested())
    assert talk.only(Leave) == []


def test_a_draining_sidecar_does_not_wait_for_a_hub_that_is_away(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(DrainRequested())
    talk.tell(LinkLost(1))
    assert talk.only(Leave) == []
    talk.end(1)
    assert len(talk.only(Leave)) == 1
    assert len(talk.memory.facts) == 2


def test_a_stopped_sidecar_stops_its_runs_and_says_whose_doing_it_was(talk: Dialogue) -> None:
    talk.assign(1, generation=1)
    talk.assign(1, generation=2)
    talk.assign(2)
    talk.tell(StopRequested())
    assert talk.stops == [(task(1), 1, "shutdown"), (task(2), 1, "shutdown")]
    assert [(type(fact), fact.generation) for fact in talk.facts] == [(f.TaskStopped, 2)]
    talk.end(2, stopped("TERM"))
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskFailed)
    assert (fact.error, fact.retryable) == ("sidecar_shutdown", True)
    talk.end(1, stopped("TERM"))
    assert len(talk.only(Leave)) == 1


def test_a_sidecar_that_serves_once_leaves_after_one_task_is_receipted() -> None:
    talk = Dialogue(once=True)
    talk.connect()
    talk.assign(1)
    assert [type(frame) for frame in talk.said] == [f.TaskAccepted, f.Draining]
    talk.end(1)
    talk.tell(LinkLost(1))
    assert talk.only(Leave) == []
    talk.connect(mark=2)
    assert len(talk.only(Leave)) == 1


# --- no room ------------------------------------------------------------------------------------------------


def test_without_room_in_the_journal_no_work_is_taken_and_what_is_held_is_kept(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(StorageFilled())
    assert talk.said == [f.Draining()]
    assert not talk.desk.is_taking_work
    talk.assign(2)
    assert (talk.records, talk.remarks) == ([], ["assign_ignored"])
    talk.cancel(3)
    assert (talk.records, talk.remarks) == ([], ["stop_ignored"])
    talk.connect()
    assert f.Draining() in talk.said
    talk.end(1)
    assert len(talk.records) == 1
    talk.tell(StorageFreed())
    assert [type(effect) for effect in talk.effects] == [HangUp]
    talk.tell(LinkLost(talk.link_id))
    talk.tell(StorageFilled())
    talk.tell(StorageFreed())
    assert talk.effects == []
    talk.connect()
    talk.assign(2)
    assert talk.started == [(task(2), 1)]
