"""The desk, one dialogue a rule: what it hears, and what it records, says, starts and stops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import frames as f
from protocol import limits
from protocol.frames import HUB_FRAMES
from protocol.ids import AgentId, Generation, MessageId, RequestId, Seq
from sidecar.desk import UNRECEIPTED_MAX
from sidecar.effects import GiveAnswer, HangUp, Leave, Say, StartRun
from sidecar.events import (
    DrainRequested,
    HubSaid,
    LinkLost,
    LinkOpened,
    Restarted,
    StopRequested,
    StorageFilled,
    StorageFreed,
    TimePassed,
)
from sidecar.memory import EpochHeard, FactNoted, MarkHeard, Receipted, Renumbered
from sidecar.runners.contract import (
    Asked,
    Failed,
    Finished,
    Logged,
    Order,
    Progress,
    Rejection,
    StepDone,
    Used,
)
from tests.sidecar.dialogue import AGENT, Dialogue, raw, stopped, task


@pytest.fixture
def talk() -> Dialogue:
    """A desk of two seats whose hub has identified it."""
    dialogue = Dialogue()
    dialogue.connect()
    return dialogue


# --- taking work --------------------------------------------------------------------------------------------


def test_an_acceptance_is_recorded_before_it_is_said_and_before_the_run_starts(talk: Dialogue) -> None:
    talk.assign(1, description="write a poem", attempt=2, attempts_max=3, plugin="poet", deadline_ms=5_000)
    (record,) = talk.records
    assert isinstance(record, FactNoted)
    assert (
        talk.facts
        == [record.frame]
        == [f.TaskAccepted(task_id=task(1), generation=Generation(1), seq=Seq(1))]
    )
    order = talk.only(StartRun)[0].order
    assert (order.description, order.attempt, order.attempts_max, order.plugin, order.time_left_ms) == (
        "write a poem",
        2,
        3,
        "poet",
        5_000,
    )
    assert [type(effect) for effect in talk.effects] == [Say, StartRun]


def test_the_same_generation_is_never_started_twice(talk: Dialogue) -> None:
    """L76"""
    talk.assign(1)
    talk.assign(1)
    assert (talk.records, talk.started, talk.remarks) == ([], [], ["order_repeated"])
    talk.end(1)
    talk.assign(1)
    assert talk.started == []
    talk.receipt_all()
    talk.assign(1)
    assert talk.started == []


def test_a_lower_generation_is_ignored(talk: Dialogue) -> None:
    talk.assign(1, generation=5)
    talk.assign(1, generation=4)
    assert (talk.records, talk.started, talk.stops) == ([], [], [])


def test_a_higher_generation_starts_only_when_the_older_run_is_gone(talk: Dialogue) -> None:
    talk.assign(1, generation=1)
    talk.assign(1, generation=2)
    assert talk.started == []
    assert talk.stops == [(task(1), 1, "revoke")]
    assert [type(fact) for fact in talk.facts] == [f.TaskAccepted]
    assert {(held.generation, held.state) for held in talk.desk.holding()} == {
        (1, "running"),
        (2, "accepted"),
    }
    talk.end(1, stopped("TERM"), generation=1)
    assert talk.started == [(task(1), 2)]
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskStopped)
    assert (fact.generation, fact.how, fact.proof.signals) == (1, "terminated", ("TERM",))


def test_a_third_generation_replaces_the_second_that_waits(talk: Dialogue) -> None:
    for generation in (1, 2, 3):
        talk.assign(1, generation=generation)
    assert [(type(fact), fact.generation) for fact in talk.facts] == [(f.TaskStopped, 2), (f.TaskAccepted, 3)]
    talk.end(1, stopped(), generation=1)
    assert talk.started == [(task(1), 3)]


def test_a_task_that_waits_for_its_older_run_takes_no_second_seat(talk: Dialogue) -> None:
    talk.assign(1, generation=1)
    talk.assign(1, generation=2)
    talk.assign(2)
    assert talk.started == [(task(2), 1)]
    talk.assign(3)
    assert talk.facts == [
        f.TaskRejected(task_id=task(3), generation=Generation(1), seq=talk.facts[0].seq, reason="busy")
    ]


def test_a_full_sidecar_says_busy_and_starts_nothing(talk: Dialogue) -> None:
    """L2"""
    talk.assign(1)
    talk.assign(2)
    talk.assign(3)
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskRejected)
    assert (fact.reason, talk.started) == ("busy", [])
    talk.end(1)
    talk.assign(4)
    assert talk.started == [(task(4), 1)]


def test_a_seat_is_free_when_the_run_is_gone_and_not_before() -> None:
    talk = Dialogue(slots=1)
    talk.connect()
    talk.assign(1)
    talk.revoke(1)
    talk.assign(2)
    assert isinstance(talk.facts[0], f.TaskRejected)
    talk.end(1, stopped("TERM"))
    talk.assign(3)
    assert talk.started == [(task(3), 1)]


def test_an_order_that_the_runner_declines_is_rejected_with_its_reason() -> None:
    def only_poets(order: Order) -> Rejection | None:
        return None if order.plugin == "poet" else Rejection(reason="unknown_plugin")

    talk = Dialogue(accepts=only_poets)
    talk.connect()
    talk.assign(1, plugin="miner")
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskRejected)
    assert fact.reason == "unknown_plugin"
    talk.assign(2, plugin="poet")
    assert talk.started == [(task(2), 1)]


def test_an_assign_without_a_generation_is_ignored(talk: Dialogue) -> None:
    talk.hear(f.TaskAssign(task_id=task(1)))
    assert (talk.records, talk.started, talk.remarks) == ([], [], ["assign_ignored"])


def test_a_hub_that_gives_no_receipts_is_hung_up_on() -> None:
    talk = Dialogue(slots=1)
    talk.connect()
    talk.assign(1)
    for n in range(2, UNRECEIPTED_MAX + 1):
        talk.assign(n)
    assert len(talk.memory.facts) == UNRECEIPTED_MAX
    talk.assign(UNRECEIPTED_MAX + 1)
    assert [type(effect) for effect in talk.effects] == [HangUp]
    assert talk.records == []


# --- the end of a run ---------------------------------------------------------------------------------------


def test_a_result_is_recorded_before_it_is_said(talk: Dialogue) -> None:
    talk.assign(1)
    talk.end(1, Finished(result=b'{"poem": 1}', tokens_used=7))
    (record,) = talk.records
    (fact,) = talk.facts
    assert isinstance(record, FactNoted)
    assert (
        record.frame
        == fact
        == f.TaskComplete(
            task_id=task(1), generation=Generation(1), seq=Seq(2), result=raw('{"poem": 1}'), tokens_used=7
        )
    )


def test_a_failed_run_is_reported_as_failed(talk: Dialogue) -> None:
    """L70"""
    talk.assign(1)
    talk.end(1, Failed(error="the model is\0 ill", retryable=False, retry_after_ms=-5))
    (fact,) = talk.facts
    assert fact == f.TaskFailed(
        task_id=task(1),
        generation=Generation(1),
        seq=Seq(2),
        error="the model is\ufffd ill",
        retryable=False,
        retry_after_ms=0,
    )


def test_a_result_that_is_too_big_fails_its_task_alone(talk: Dialogue) -> None:
    """L60"""
    talk.assign(1)
    talk.assign(2)
    talk.end(1, Finished(result=b'"' + b"x" * limits.RESULT_BYTES_MAX + b'"'))
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskFailed)
    assert (fact.error, fact.retryable) == ("result_too_big", False)
    talk.end(2)
    assert isinstance(talk.facts[0], f.TaskComplete)


def test_the_runners_own_word_that_a_result_is_too_big_keeps_its_name(talk: Dialogue) -> None:
    talk.assign(1)
    talk.end(1, Failed(error="300 KiB of output", cause="result_too_big"))
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskFailed)
    assert (fact.error, fact.reason, fact.retryable) == ("result_too_big", "300 KiB of output", False)


def test_a_result_larger_than_this_hub_takes_fails_its_task(talk: Dialogue) -> None:
    talk.connect(frame_bytes_max=limits.IDENTIFY_TRUSTED_BYTES_MAX)
    talk.assign(1)
    talk.end(1, Finished(result=b'"' + b"x" * (limits.RESULT_BYTES_MAX - 100) + b'"'))
    assert isinstance(talk.facts[0], f.TaskFailed)


def test_a_result_that_no_hub_would_accept_fails_its_task_by_name(talk: Dialogue) -> None:
    talk.assign(1)
    talk.end(1, Finished(result=b"{not json"))
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskFailed)
    assert (fact.error, fact.reason) == ("result_not_acceptable", "not JSON")


def test_a_generation_has_exactly_one_ending(talk: Dialogue) -> None:
    """L73"""
    talk.assign(1)
    talk.cancel(1)
    talk.end(1)
    endings = [type(fact.frame) for fact in talk.memory.facts.values()]
    assert endings == [f.TaskAccepted, f.TaskComplete]
    talk.cancel(1)
    talk.revoke(1)
    assert (talk.records, talk.effects) == ([], [])


# --- stopping -----------------------------------------------------------------------------------------------


def test_a_cancel_stops_the_run_and_its_proof_is_said_when_it_is_gone(talk: Dialogue) -> None:
    """L74"""
    talk.assign(1)
    talk.cancel(1, grace_ms=300)
    assert talk.stops == [(task(1), 1, "cancel")]
    assert talk.records == []
    talk.end(1, stopped("TERM", "KILL"))
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskStopped)
    assert fact.proof == f.StopProof(signals=("TERM", "KILL"), reaped=1)


def test_a_cancel_for_work_not_seen_yet_is_remembered_and_it_never_starts(talk: Dialogue) -> None:
    talk.cancel(1, generation=3)
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskStopped)
    assert (fact.how, fact.generation) == ("was_not_running", 3)
    talk.assign(1, generation=3)
    assert talk.started == []
    talk.receipt_all("stopped")
    talk.assign(1, generation=3)
    assert talk.started == []
    talk.assign(1, generation=4)
    assert talk.started == [(task(1), 4)]


def test_a_cancel_of_a_newer_generation_stops_the_older_run_too(talk: Dialogue) -> None:
    talk.assign(1, generation=1)
    talk.cancel(1, generation=2)
    assert talk.stops == [(task(1), 1, "revoke")]
    assert [(type(fact), fact.generation) for fact in talk.facts] == [(f.TaskStopped, 2)]


def test_a_cancel_of_a_run_that_waits_ends_it_unstarted(talk: Dialogue) -> None:
    talk.assign(1, generation=1)
    talk.assign(1, generation=2)
    talk.cancel(1, generation=2)
    assert [(type(fact), fact.generation) for fact in talk.facts] == [(f.TaskStopped, 2)]
    talk.end(1, stopped(), generation=1)
    assert talk.started == []
    assert talk.desk.runs_in_hand == 0


def test_a_cancel_of_an_older_generation_leaves_the_newer_one_that_waits(talk: Dialogue) -> None:
    talk.assign(1, generation=2)
    talk.assign(1, generation=4)
    talk.cancel(1, generation=3)
    assert (talk.records, talk.effects) == ([], [])


def test_a_revoked_run_is_stopped_and_says_so(talk: Dialogue) -> None:
    talk.assign(1)
    talk.revoke(1)
    assert talk.stops == [(task(1), 1, "revoke")]
    talk.end(1, stopped("TERM"))
    assert isinstance(talk.facts[0], f.TaskStopped)


def test_a_cancel_outranks_a_shutdown_so_that_its_proof_is_said(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(StopRequested())
    talk.cancel(1)
    talk.end(1, stopped("TERM"))
    assert isinstance(talk.facts[0], f.TaskStopped)


def test_a_cancel_that_is_sent_again_reaches_the_run_again(talk: Dialogue) -> None:
    talk.assign(1)
    talk.cancel(1, grace_ms=10_000)
    talk.cancel(1, grace_ms=0)
    assert talk.stops == [(task(1), 1, "cancel")]


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
        f.MessageDelivered(id=MessageId("m"), from_="b", message_type="chat", payload=raw("{}"), timestamp=1),
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
    assert {type(frame) for frame in frames + v1} | own | {f.ErrorFrame} == set(HUB_FRAMES)


# --- receipts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["accepted", "stale", "duplicate", "refused", "dead_letter"])
def test_any_receipt_drops_the_entry(talk: Dialogue, status: f.AckStatus) -> None:
    talk.assign(1)
    talk.hear(f.TaskAck(task_id=task(1), status=status, seq=Seq(1), generation=Generation(1)))
    assert talk.records == [Receipted(Seq(1))]
    assert talk.memory.facts == {}
    assert talk.remarks == (["fact_refused"] if status == "refused" else [])


def test_a_receipt_for_nothing_is_ignored(talk: Dialogue) -> None:
    talk.hear(f.TaskAck(task_id=task(1), status="accepted", seq=Seq(9)))
    talk.hear(f.TaskAck(task_id=task(1), status="accepted"))
    assert (talk.records, talk.effects) == ([], [])


def test_facts_are_numbered_without_a_gap(talk: Dialogue) -> None:
    for n in range(1, 6):
        talk.assign(n)
        talk.end(n) if n < 3 else None
    assert list(talk.memory.facts) == list(range(1, 8))


def test_a_heartbeat_lists_everything_in_hand_and_how_far_it_knows(talk: Dialogue) -> None:
    talk.assign(1)
    talk.assign(2)
    talk.end(2)
    beat = talk.desk.heartbeat()
    assert (beat.as_of_seq, beat.load) == (3, 0.5)
    assert {held.task_id for held in beat.tasks} == {task(1), task(2)}
    talk.receipt_all()
    assert {held.task_id for held in talk.desk.heartbeat().tasks} == {task(1)}


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


# --- questions and steps ------------------------------------------------------------------------------------


def test_a_question_is_a_fact_and_its_answer_reaches_the_run_once(talk: Dialogue) -> None:
    talk.assign(1)
    request = RequestId(f"{task(1)}-1")
    talk.report(1, Asked(request_id=request, prompt="which colour?", schema=b'{"type":"string"}'))
    assert talk.facts == [
        f.InputRequired(
            task_id=task(1),
            generation=Generation(1),
            seq=Seq(2),
            request_id=request,
            prompt="which colour?",
            schema=raw('{"type":"string"}'),
        )
    ]
    given = f.TaskInput(task_id=task(1), request_id=request, value=raw('"red"'))
    talk.hear(given)
    assert [type(fact) for fact in talk.facts] == [f.InputAck]
    assert talk.only(GiveAnswer) == [GiveAnswer(task(1), Generation(1), request, b'"red"')]
    assert [held.state for held in talk.desk.holding()] == ["running"]
    talk.hear(given)
    assert (talk.records, talk.effects) == ([], [])


def test_an_answer_for_nobody_is_ignored(talk: Dialogue) -> None:
    talk.hear(f.TaskInput(task_id=task(1), request_id=RequestId("q"), value=raw("1")))
    assert (talk.records, talk.effects) == ([], [])


def test_a_finished_step_is_kept_until_there_is_no_room_for_more(talk: Dialogue) -> None:
    talk.assign(1)
    output = b'"' + b"x" * (limits.RESULT_BYTES_MAX - 2) + b'"'
    for index in range(3):
        talk.report(1, StepDone(index=index, output=output))
        assert [type(fact) for fact in talk.facts] == [f.TaskDone]
    talk.report(1, StepDone(index=3, output=b'"one more"'))
    assert (talk.facts, talk.remarks) == ([], ["step_not_kept"])


# --- passing talk -------------------------------------------------------------------------------------------


def progress(talk: Dialogue) -> list[tuple[float | None, str | None, int]]:
    return [
        (frame.progress, frame.message, frame.dropped)
        for frame in talk.said
        if isinstance(frame, f.TaskProgress)
    ]


def test_progress_is_merged_to_two_a_second_and_the_merging_is_said(talk: Dialogue) -> None:
    """L62"""
    talk.assign(1)
    talk.report(1, Progress(progress=10, message="start"))
    assert progress(talk) == [(10, "start", 0)]
    for n in range(20, 50, 10):
        talk.wait(10)
        talk.report(1, Progress(progress=n))
        assert talk.said == []
    assert talk.desk.next_deadline() == 1_500
    talk.wait(470)
    talk.tell(TimePassed())
    assert progress(talk) == [(40, None, 2)]
    assert talk.desk.next_deadline() is None


def test_merged_progress_keeps_what_the_newer_left_out(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Progress(progress=10))
    talk.report(1, Progress(progress=20, message="half", execution_event=b'{"a":1}'))
    talk.report(1, Progress(progress=None))
    talk.wait(500)
    talk.tell(TimePassed())
    (frame,) = talk.said
    assert isinstance(frame, f.TaskProgress)
    assert (frame.progress, frame.message, frame.execution_event) == (20, "half", raw('{"a":1}'))


def test_the_last_words_of_a_run_go_out_before_its_end(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Progress(progress=10))
    talk.report(1, Progress(progress=99))
    talk.report(1, Used(tokens_in=5, tokens_out=6, model="m", cost=0.5))
    talk.end(1)
    assert [type(frame) for frame in talk.said] == [f.TaskProgress, f.TaskUsage, f.TaskComplete]


def test_log_lines_are_numbered_and_a_flood_loses_the_oldest(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Logged(text="first"))
    assert [frame.n for frame in talk.said if isinstance(frame, f.TaskLog)] == [1]
    for n in range(300):
        talk.report(1, Logged(text=f"line {n}", data=b"{}" if n else b"{"))
        assert talk.said == []
    talk.wait(100)
    talk.tell(TimePassed())
    numbers = [frame.n for frame in talk.said if isinstance(frame, f.TaskLog)]
    assert numbers == list(range(46, 302))


def test_facts_are_never_slowed_by_a_flood_of_talk(talk: Dialogue) -> None:
    """L7"""
    talk.assign(1)
    for n in range(1_000):
        talk.report(1, Progress(progress=n / 10))
        talk.report(1, Logged(text="noise"))
    talk.report(1, StepDone(index=0, output=b"1"))
    assert [type(frame) for frame in talk.said] == [f.TaskDone]
    talk.end(1)
    assert isinstance(talk.said[-1], f.TaskComplete)


def test_talk_while_the_hub_is_away_is_merged_and_said_when_it_is_back(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(LinkLost(1))
    for n in (1, 2, 3):
        talk.report(1, Progress(progress=n))
        assert talk.said == []
    assert talk.desk.next_deadline() is None
    talk.connect()
    assert talk.desk.next_deadline() is not None
    talk.tell(TimePassed())
    assert progress(talk) == [(3, None, 2)]


def test_talk_of_a_run_that_is_over_is_ignored(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Progress(progress=1), generation=9)
    assert talk.effects == []
    talk.end(1)
    talk.report(1, Progress(progress=1))
    assert talk.effects == []


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


# --- whatever a run says ------------------------------------------------------------------------------------


outcomes = st.one_of(
    st.builds(
        Finished,
        result=st.binary(max_size=40) | st.sampled_from([b"1", b'"\\u0000"', b"[" * 99 + b"]" * 99]),
        tokens_used=st.none() | st.integers(),
    ),
    st.builds(
        Failed,
        error=st.text(max_size=50) | st.just("\ud800\0" * 10_000),
        retryable=st.booleans(),
        retry_after_ms=st.none() | st.integers(),
    ),
)
reports = st.one_of(
    st.builds(
        Progress,
        progress=st.none() | st.floats() | st.integers(),
        message=st.none() | st.text(),
        execution_event=st.none() | st.binary(max_size=20),
    ),
    st.builds(Logged, text=st.text(), kind=st.text(), data=st.none() | st.binary(max_size=20)),
    st.builds(Used, tokens_in=st.integers(), tokens_out=st.integers(), cost=st.none() | st.floats()),
    st.builds(StepDone, index=st.integers(), output=st.binary(max_size=20)),
    st.builds(
        Asked, request_id=st.just(RequestId("q")), prompt=st.text(), schema=st.none() | st.binary(max_size=20)
    ),
)


@settings(max_examples=300, deadline=None)
@given(outcome=outcomes, said=st.lists(reports, max_size=4))
def test_whatever_a_run_says_a_hub_can_read_and_the_journal_can_read_back(
    outcome: Finished | Failed, said: list[Progress | Logged | Used | StepDone | Asked]
) -> None:
    from protocol.badframe import BadFrame
    from protocol.conversation import AgentConversation, HubConversation

    talk = Dialogue()
    talk.link_id = 1
    effects = list(talk.tell(LinkOpened(1)))
    agent, hub = AgentConversation(), HubConversation(is_trusted=True)
    hub.receive(agent.say(*[effect.frame for effect in effects if isinstance(effect, Say)])[0])
    hello = f.Identified(
        agent_id=AGENT, protocol_version=2, seq_received=Seq(0), frame_bytes_max=limits.FRAME_BYTES_MAX
    )
    for message in hub.say(hello):
        agent.receive(message)
    talk.hear(hello)
    talk.assign(1)
    effects = list(talk.effects)
    for report in said:
        effects += talk.report(1, report)
    effects += talk.end(1, outcome)
    for message in agent.say(*[effect.frame for effect in effects if isinstance(effect, Say)]):
        for heard in hub.receive(message):
            assert not isinstance(heard, BadFrame), heard
