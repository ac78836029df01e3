"""Runs of plugins: where one stands, what it has made, and when it answers who asks again."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.core.demands import demand_of
from hub.core.events import HubStarted, TaskSubmitted
from hub.core.policy import Policy
from hub.core.runs import (
    CAUSES,
    NOT_CONFIGURED,
    RUN_ATTEMPTS,
    RUN_MS,
    STREAMS_AGENT,
    SUMMARY_LENGTH_MAX,
    UNIQUE_MS,
    Briefing,
    RunStatus,
    Section,
    answers_again,
    briefing_of,
    digest_of,
    ended_wall_ms,
    error_of,
    output_of,
    run_key,
    spec_of_run,
    status_of,
)
from hub.core.task import Fault, RunSpec, Spec, State, Task
from protocol.frames import TaskAssign
from protocol.ids import TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage

RUN = RunSpec(plugin_run_id="run-1", user_id=7, digest="d")


def started(stage: Stage, run: RunSpec = RUN, plugin: str = "digest") -> TaskId:
    spec = spec_of_run(run, plugin, Raw(b'{"topics":[]}'), by="t", wall_ms=0)
    granted = stage.granted(TaskSubmitted(task_id=stage.new_id(), spec=spec))
    assert granted.task is not None
    return granted.task.task_id


def stands(stage: Stage, task_id: TaskId) -> str:
    return status_of(stage.task(task_id)).value


def at_work() -> tuple[Stage, Peer, TaskId]:
    stage = Stage()
    peer = stage.joined("a", plugins=("digest",))
    return stage, peer, started(stage)


# --- where it stands ----------------------------------------------------------------------------------------


def test_a_run_is_pending_until_it_is_at_work_then_it_ends() -> None:
    stage = Stage()
    task_id = started(stage)
    assert stands(stage, task_id) == "pending"
    peer = stage.joined("a", plugins=("digest",))
    assert (stage.state(task_id), stands(stage, task_id)) == (State.ASSIGNED, "pending")
    stage.now_ms += 5
    peer.accept(task_id)
    assert stands(stage, task_id) == "processing"
    assert stage.task(task_id).started_wall_ms == stage.now.wall_ms
    peer.drop()
    assert (stage.state(task_id), stands(stage, task_id)) == (State.RECOVERING, "processing")
    peer.comes_back(peer.has(task_id))
    peer.complete(task_id)
    assert stands(stage, task_id) == "completed"
    assert ended_wall_ms(stage.task(task_id)) == stage.now.wall_ms


def test_a_run_that_waits_for_its_retry_is_not_pending_again() -> None:
    """L85, L86: it goes on where it stood, under the same id, whatever happens in between."""
    stage, peer, task_id = at_work()
    peer.accept(task_id)
    begun_wall_ms = stage.task(task_id).started_wall_ms
    peer.fail(task_id)
    assert (stage.state(task_id), stands(stage, task_id)) == (State.QUEUED, "processing")
    stage.wait_until(State.ASSIGNED, task_id)
    assert stands(stage, task_id) == "processing"
    stage.restart()
    stage.tell(HubStarted())
    assert stands(stage, task_id) == "processing"
    task = stage.task(task_id)
    assert task.started_wall_ms == begun_wall_ms
    assert task.spec.run == RUN
    assert ended_wall_ms(task) is None


def test_a_run_lost_before_it_was_accepted_is_still_pending() -> None:
    stage, peer, task_id = at_work()
    peer.drop()
    assert (stage.state(task_id), stands(stage, task_id)) == (State.RECOVERING, "pending")
    stage.wait(stage.policy.grace_ms)
    assert stage.state(task_id) is State.QUEUED
    assert (stage.task(task_id).strikes, stands(stage, task_id)) == (1, "pending")


def test_a_run_that_is_being_cancelled_is_processing_and_then_failed() -> None:
    stage, peer, task_id = at_work()
    stage.cancel(task_id)
    assert stands(stage, task_id) == "processing"
    peer.stop(task_id, "was_not_running")
    assert stands(stage, task_id) == "failed"
    assert error_of(stage.task(task_id)) == "cancelled by a person"
    assert stage.task(task_id).started_wall_ms is None


def test_processing_never_follows_an_end() -> None:
    """L85: the acceptance was sent again after the result, and changes nothing."""
    stage, peer, task_id = at_work()
    peer.complete(task_id)
    assert stage.task(task_id).started_wall_ms is not None, "a result without an acceptance is a start too"
    peer.accept(task_id)
    assert stands(stage, task_id) == "completed"


def test_an_attempt_that_failed_without_an_acceptance_has_begun() -> None:
    stage, peer, task_id = at_work()
    peer.fail(task_id)
    assert stands(stage, task_id) == "processing"


def test_a_run_has_two_retries_and_ten_minutes() -> None:
    """Contracts §3, L86: the attempts are of one task, so the run keeps its id."""
    stage, peer, task_id = at_work()
    assert peer.last(TaskAssign).deadline_ms == RUN_MS == 600_000
    for attempt in range(1, RUN_ATTEMPTS + 1):
        stage.wait_until(State.ASSIGNED, task_id)
        peer.accept(task_id)
        assert stage.task(task_id).spec.run == RUN
        assert peer.fail(task_id, f"failure {attempt}") == ("retried" if attempt < 3 else "dead_letter")
    assert stands(stage, task_id) == "failed"
    assert error_of(stage.task(task_id)) == "failure 3"


# --- what it has made ---------------------------------------------------------------------------------------


def completed(result: bytes | None) -> Task:
    raw = None if result is None else Raw(result)
    return Task(task_id=TaskId("t"), spec=Spec(), state=State.COMPLETED, result=raw)


@pytest.mark.parametrize(
    ("result", "output"),
    [
        (b'"text, not JSON: {"', "text, not JSON: {"),
        (b'{"output":"only text"}', "only text"),
        (b'{"output":"text","exit_code":0}', '{"output":"text","exit_code":0}'),
        (b'{"output":[1]}', '{"output":[1]}'),
        (b'{"summary":"s"}', '{"summary":"s"}'),
        (b"[1, 2]", "[1, 2]"),
        (b"null", "null"),
        (None, None),
    ],
)
def test_any_result_has_an_output_as_text(result: bytes | None, output: str | None) -> None:
    """L88: raw text into a JSON column left runs in `processing` for ever."""
    assert output_of(completed(result)) == output


def test_a_run_that_has_not_succeeded_has_no_output_and_one_that_has_no_error() -> None:
    task = completed(b'"x"')
    assert error_of(task) is None
    assert error_of(replace(task, state=State.RUNNING, error="earlier")) is None
    failed = replace(task, state=State.FAILED)
    assert (output_of(failed), error_of(failed)) == (None, "it failed without a reason")


@pytest.mark.parametrize(("word", "sentence"), CAUSES.items())
def test_a_word_for_machines_is_told_as_a_sentence(word: str, sentence: str) -> None:
    """L92: a generic error that hid the cause."""
    task = replace(completed(None), state=State.DEAD_LETTER, error=word)
    assert error_of(task) == sentence
    assert " " in sentence


@pytest.mark.parametrize(
    ("by", "why", "sentence"),
    [
        (None, None, "cancelled"),
        ("eve", "cancelled", "cancelled by eve"),
        ("eve", "no need", "cancelled by eve: no need"),
        (None, "no need", "cancelled: no need"),
    ],
)
def test_a_cancelled_run_says_by_whom_and_why(by: str | None, why: str | None, sentence: str) -> None:
    task = replace(completed(None), state=State.CANCELLED, cancelled_by=by, cancel_reason=why)
    assert error_of(task) == sentence


BRIEFING = b'{"summary":"Today.","sections":[{"title":"a","content":"b"}]}'


@pytest.mark.parametrize(
    "result",
    [
        BRIEFING,
        b'{"output":' + BRIEFING + b"}",
        b'"{\\"summary\\":\\"Today.\\",\\"sections\\":[{\\"title\\":\\"a\\",\\"content\\":\\"b\\"}]}"',
    ],
)
def test_a_briefing_is_known_by_its_shape_also_in_a_text(result: bytes) -> None:
    assert briefing_of(completed(result)) == Briefing("Today.", (Section("a", "b"),))


@pytest.mark.parametrize(
    "result",
    [
        None,
        b"[]",
        b'"just text"',
        b'{"summary":"s"}',
        b'{"summary":7,"sections":[]}',
        b'{"summary":" ","sections":[]}',
        b'{"summary":"s","sections":[{"title":"a"}]}',
        b'{"summary":"s","sections":{}}',
    ],
)
def test_what_has_not_that_shape_is_no_briefing(result: bytes | None) -> None:
    assert briefing_of(completed(result)) is None


@pytest.mark.parametrize(("length", "is_one"), [(SUMMARY_LENGTH_MAX, True), (SUMMARY_LENGTH_MAX + 1, False)])
def test_a_summary_has_at_most_300_characters(length: int, is_one: bool) -> None:
    task = completed(b'{"summary":"%s","sections":[]}' % (b"x" * length))
    assert (briefing_of(task) is not None) is is_one


def test_only_a_completed_run_is_a_briefing() -> None:
    assert briefing_of(replace(completed(BRIEFING), state=State.FAILED)) is None


# --- asking again -------------------------------------------------------------------------------------------


def test_the_same_question_has_the_same_digest_in_whatever_order() -> None:
    one = digest_of(7, "digest", {"a": [1, {"x": 1, "y": 2}], "b": None})
    assert one == digest_of(7, "digest", {"b": None, "a": [1, {"y": 2, "x": 1}]})
    others = (digest_of(8, "digest", {}), digest_of(7, "other", {}), digest_of(7, "digest", {"a": 1}))
    assert len({one, *others}) == 4


@pytest.mark.parametrize(
    ("members", "age_ms", "is_answer"),
    [
        ({"state": State.QUEUED}, 10 * UNIQUE_MS, True),
        ({"state": State.RUNNING, "started_wall_ms": 1}, 10 * UNIQUE_MS, True),
        ({"state": State.COMPLETED}, UNIQUE_MS - 1, True),
        ({"state": State.COMPLETED}, UNIQUE_MS, False),
        ({"state": State.FAILED}, 0, False),
        ({"state": State.CANCELLED}, 0, False),
        ({"state": State.DEAD_LETTER}, 0, False),
    ],
)
def test_a_run_answers_who_asks_again_while_it_lives_and_half_an_hour_after_a_success(
    members: dict[str, Any], age_ms: int, is_answer: bool
) -> None:
    """L87: a unique lock released when the publish returned, not when the run ended."""
    task = replace(completed(None), created_wall_ms=1_000, **members)
    assert answers_again(task, 1_000 + age_ms) is is_answer


def test_one_run_id_is_one_task_however_often_it_is_asked_for() -> None:
    """L86, and an entry of a stream that is delivered twice."""
    stage = Stage()
    first = started(stage)
    assert stage.task(first).spec.idempotency_key == run_key("run-1")
    assert started(stage) == first


# --- runs that go out by streams ----------------------------------------------------------------------------

OUT = RunSpec(plugin_run_id="run-2", user_id=7, route="streams")


def joined_inside(stage: Stage) -> Peer:
    peer = stage.peer(STREAMS_AGENT)
    peer.identify(slots=2)
    return peer


def test_without_a_publisher_a_run_fails_at_once_and_is_not_tried_again() -> None:
    """Contracts §3: "streams publisher not configured", not retried; and its row is there."""
    stage = Stage()
    inside = joined_inside(stage)
    task_id = started(stage, OUT)
    task = stage.rows[task_id]
    assert (task.state, task.attempt, task.version) == (State.FAILED, 0, 2)
    assert task.ending is not None
    assert (task.ending.how, task.ending.whose_fault) == ("unpublished", Fault.POLICY)
    assert (error_of(task), status_of(task)) == (NOT_CONFIGURED, RunStatus.FAILED)
    assert stage.events(task_id) == ["task_queued", "task_failed"]
    assert not inside.orders()


def test_a_run_that_goes_out_is_given_to_the_agent_that_sends_it_and_to_nobody_else() -> None:
    stage = Stage(Policy(has_streams=True))
    fleet = stage.joined("a", plugins=("digest",), slots=9)
    inside = joined_inside(stage)
    inside.heard.clear()
    out = started(stage, OUT)
    assert [one.task_id for one in inside.orders()] == [out]
    assert demand_of(stage.task(out).spec).plugin is None
    own = started(stage)
    assert [one.task_id for one in fleet.orders()] == [own]


def test_work_for_anybody_is_never_given_to_a_part_of_the_hub() -> None:
    stage = Stage()
    inside = joined_inside(stage)
    anybody = stage.submit()
    able = stage.submit(needed_capabilities=("web",))
    assert (stage.state(anybody), stage.state(able)) == (State.QUEUED, State.QUEUED)
    explained = stage.board.explain(anybody, stage.now)
    assert explained is not None
    assert "inner_agent" in repr(explained)
    meant = stage.submit(assign_to=STREAMS_AGENT)
    assert [one.task_id for one in inside.orders()] == [meant]
