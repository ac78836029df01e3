"""The desk, one dialogue a rule: what it takes, how runs end, and how they are stopped."""

from __future__ import annotations

import pytest

from protocol import frames as f
from protocol import limits
from protocol.ids import Generation, Seq
from sidecar.desk import UNRECEIPTED_MAX
from sidecar.effects import HangUp, Say, StartRun
from sidecar.events import (
    StopRequested,
)
from sidecar.memory import FactNoted, Receipted
from sidecar.runners.contract import (
    Failed,
    Finished,
    Order,
    Rejection,
)
from tests.sidecar.dialogue import Dialogue, raw, stopped, task

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


def test_a_cancel_of_what_has_its_receipt_is_answered_again(talk: Dialogue) -> None:
    """A hub that has refused the ending, or lost it with a restored backup, asks for a proof until it has
    one.
    """
    talk.assign(1)
    talk.end(1)
    talk.cancel(1)
    assert talk.facts == []
    talk.receipt_all("refused")
    talk.cancel(1)
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskStopped)
    assert (fact.how, fact.generation) == ("was_not_running", 1)
    talk.cancel(1)
    assert talk.facts == []
    talk.receipt_all("stopped")
    talk.revoke(1)
    assert talk.facts == []


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
