"""A question outlives its run, and so do answers and steps: what was said or paid for is not lost (T9)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from hub.core.effects import RefusalKind
from hub.core.events import HubStarted, InputAnswered
from hub.core.orders import answers_given, step_bytes_max
from hub.core.policy import Policy
from hub.core.task import State, Task
from protocol import limits
from protocol.codec import Wire, encode_frame
from protocol.frames import TaskAssign, TaskDone, TaskInput
from protocol.ids import Generation, RequestId, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage, working


def answer(task_id: TaskId, value: bytes = b'"blue"', ordinal: int = 1) -> InputAnswered:
    return InputAnswered(
        task_id=task_id, request_id=RequestId(f"{task_id}-{ordinal}"), value=Raw(value), by="a person"
    )


def asked_and_failed(stage: Stage, **spec: Any) -> tuple[Peer, TaskId]:
    """A run has asked and died; its task waits in the queue, and somebody could still know the answer."""
    peer, task_id = working(stage, **spec)
    assert peer.ask(task_id) == "asked"
    peer.fail(task_id)
    assert stage.state(task_id) is State.QUEUED
    return peer, task_id


def answers_of(order: TaskAssign) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bytes(order.answers)) if order.answers is not None else []
    return found


def open_question(task: Task) -> RequestId | None:
    return task.question.request_id if task.question is not None else None


# --- in every state on the way ------------------------------------------------------------------------------


def test_a_question_stays_open_when_its_run_dies_and_the_answer_rides_in_the_next_order() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    assert open_question(stage.task(task_id)) == f"{task_id}-1"
    assert stage.granted(answer(task_id)).note == "answered"
    assert stage.state(task_id) is State.QUEUED
    assert open_question(stage.task(task_id)) is None
    assert stage.events(task_id)[-1] == "task_input"
    stage.wait(10_000)
    assert answers_of(peer.last(TaskAssign)) == [{"request_id": f"{task_id}-1", "value": "blue"}]


def test_an_answer_given_while_assigned_is_there_when_the_next_run_asks_the_same() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    stage.wait(10_000)
    assert answers_of(peer.last(TaskAssign)) == []
    assert stage.state(task_id) is State.ASSIGNED
    stage.granted(answer(task_id))
    assert peer.accept(task_id) == "accepted"
    assert peer.ask(task_id) == "asked"
    assert peer.last(TaskInput).value == Raw(b'"blue"')
    assert peer.take_answer(task_id) == "answered"
    assert [given.request_id for given in stage.task(task_id).answers] == [f"{task_id}-1"]


def test_an_answer_given_while_the_next_run_has_not_asked_again_is_there_when_it_does() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    stage.wait(10_000)
    peer.accept(task_id)
    assert (stage.state(task_id), open_question(stage.task(task_id))) == (State.RUNNING, f"{task_id}-1")
    stage.granted(answer(task_id))
    assert stage.state(task_id) is State.RUNNING
    assert not peer.hears(TaskInput), "this run has asked nothing"
    peer.ask(task_id)
    assert peer.hears(TaskInput)


def test_an_answer_given_while_the_next_holder_is_out_of_reach_is_kept() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    stage.wait(10_000)
    peer.accept(task_id)
    peer.drop()
    assert stage.state(task_id) is State.RECOVERING
    stage.granted(answer(task_id))
    peer.comes_back(peer.has(task_id))
    assert stage.state(task_id) is State.RUNNING, "an open question of an earlier run is no wait of this one"
    assert not peer.hears(TaskInput)
    peer.ask(task_id)
    assert peer.last(TaskInput).value == Raw(b'"blue"')


def test_a_question_survives_a_lost_holder_and_a_restart_of_the_hub() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    stage.restart()
    stage.tell(HubStarted())
    stage.wait(stage.policy.grace_ms)
    assert stage.state(task_id) is State.QUEUED
    stage.granted(answer(task_id))
    stage.restart()
    stage.tell(HubStarted())
    other = stage.joined("b")
    stage.wait_until(State.ASSIGNED, task_id)
    assert answers_of(other.last(TaskAssign)) == [{"request_id": f"{task_id}-1", "value": "blue"}]


def test_the_wait_of_an_open_question_does_not_end_the_task() -> None:
    stage = Stage(Policy(input_ms=50_000))
    peer, task_id = asked_and_failed(stage)
    peer.drop()
    stage.wait(200_000)
    assert (stage.state(task_id), open_question(stage.task(task_id))) == (State.QUEUED, f"{task_id}-1")


def test_a_run_with_an_open_question_of_an_earlier_one_has_its_own_time_only() -> None:
    stage = Stage(Policy(input_ms=10_000_000))
    peer, task_id = asked_and_failed(stage, timeout_ms=60_000)
    stage.wait(10_000)
    peer.accept(task_id)
    for _ in range(10):
        stage.wait(10_000)
        peer.beat(*([peer.runs(task_id)] if stage.state(task_id) is State.RUNNING else []))
    assert stage.task(task_id).attempt == 2, "the run timer, not the wait for a person, has ended it"


# --- one question, one answer -------------------------------------------------------------------------------


def test_an_answer_is_never_given_to_another_question() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    stage.granted(answer(task_id))
    stage.wait(10_000)
    peer.accept(task_id)
    assert peer.ask(task_id, 2) == "asked"
    assert not peer.hears(TaskInput)
    assert open_question(stage.task(task_id)) == f"{task_id}-2"
    stage.granted(answer(task_id, b'"red"', ordinal=2))
    assert peer.last(TaskInput).request_id == f"{task_id}-2"
    peer.fail(task_id)
    stage.wait(20_000)
    assert [given["value"] for given in answers_of(peer.last(TaskAssign))] == ["blue", "red"]


def test_asking_something_else_closes_what_nobody_has_answered() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    stage.wait(10_000)
    peer.accept(task_id)
    peer.ask(task_id, 2)
    assert stage.refused(answer(task_id)).kind is RefusalKind.NO_SUCH_QUESTION


def test_an_answer_ahead_of_time_is_given_once() -> None:
    stage = Stage()
    _, task_id = asked_and_failed(stage)
    stage.granted(answer(task_id))
    assert stage.granted(answer(task_id)).is_repeat
    assert stage.refused(answer(task_id, b'"red"')).kind is RefusalKind.ANSWER_CONFLICT


def test_the_same_answer_that_dies_with_two_runs_is_kept_once() -> None:
    stage = Stage()
    peer, task_id = asked_and_failed(stage)
    stage.granted(answer(task_id))
    stage.wait(10_000)
    peer.accept(task_id)
    peer.ask(task_id)
    peer.fail(task_id)
    assert len(stage.task(task_id).answers) == 1


@pytest.mark.parametrize("way", ["cancel", "complete"])
def test_a_question_is_closed_with_its_task(way: str) -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    if way == "cancel":
        peer.fail(task_id)
        stage.cancel(task_id)
    else:
        peer.complete(task_id)
    assert stage.state(task_id).is_final
    assert stage.task(task_id).question is None
    assert stage.refused(answer(task_id)).kind is RefusalKind.INVALID_STATE


# --- kept steps that come late ------------------------------------------------------------------------------


def step(peer: Peer, task_id: TaskId, index: int, output: bytes, generation: int | None = None) -> str | None:
    g = peer.generation(task_id) if generation is None else Generation(generation)
    return peer.fact(
        lambda seq: TaskDone(task_id=task_id, generation=g, seq=seq, index=index, output=Raw(output))
    )


def test_a_step_that_is_heard_after_the_grace_is_kept_for_the_next_attempt() -> None:
    """It was paid for; a result that is heard then counts as well (T14)."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(stage.policy.grace_ms)
    assert stage.state(task_id) is State.QUEUED
    identified = peer.comes_back(peer.has(task_id))
    assert identified.drop is not None
    assert len(identified.drop) == 1
    assert step(peer, task_id, 0, b'"first"') == "kept"
    assert stage.state(task_id) is State.QUEUED
    assert peer.stop(task_id) == "stopped"
    stage.wait_until(State.ASSIGNED, task_id)
    order = peer.last(TaskAssign)
    assert order.done is not None
    assert json.loads(bytes(order.done)) == [{"index": 0, "output": "first"}]


def test_a_step_of_a_run_that_is_somebody_else_s_by_now_is_stale() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    stage.wait(stage.policy.grace_ms)
    other = stage.joined("b")
    stage.wait_until(State.ASSIGNED, task_id)
    other.accept(task_id)
    peer.comes_back(peer.has(task_id, generation=1))
    assert step(peer, task_id, 0, b'"late"', generation=1) == "stale"
    assert stage.task(task_id).done == ()


def test_a_step_that_is_done_again_takes_those_after_it_away() -> None:
    """An attempt that could not go on began anew: what the first one made of its own first step is void."""
    stage = Stage()
    peer, task_id = working(stage)
    for index, output in enumerate((b'"a0"', b'"a1"', b'"a2"')):
        assert step(peer, task_id, index, output) == "kept"
    assert step(peer, task_id, 1, b'"a1"') == "kept", "the same again is no other outcome"
    assert len(stage.task(task_id).done) == 3
    peer.fail(task_id)
    stage.wait(10_000)
    peer.accept(task_id)
    assert step(peer, task_id, 0, b'"b0"') == "kept"
    assert [(kept.index, bytes(kept.output)) for kept in stage.task(task_id).done] == [(0, b'"b0"')]


# --- an order always fits -----------------------------------------------------------------------------------


def value_of(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def test_all_answers_together_are_bounded_and_one_byte_more_is_refused_with_nothing_changed() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    half = limits.ANSWERS_BYTES_MAX // 2
    peer.ask(task_id)
    stage.granted(answer(task_id, value_of(half)))
    peer.take_answer(task_id)
    peer.ask(task_id, 2)
    taken = len(bytes(answers_given(stage.task(task_id).answers)))
    room = limits.ANSWERS_BYTES_MAX - taken - len(f',{{"request_id":"{task_id}-2","value":}}')
    refusal = stage.refused(answer(task_id, value_of(room + 1), ordinal=2))
    assert refusal.kind is RefusalKind.ANSWERS_TOO_BIG
    assert open_question(stage.task(task_id)) == f"{task_id}-2"
    stage.granted(answer(task_id, value_of(room), ordinal=2))
    peer.take_answer(task_id, 2)
    assert len(bytes(answers_given(stage.task(task_id).answers))) == limits.ANSWERS_BYTES_MAX


def test_answers_that_no_sidecar_could_read_are_refused() -> None:
    """Nested or crowded beyond what the wire takes, an order would be dropped as a bad frame each time."""
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    depth = limits.JSON_DEPTH_MAX - 1
    refusal = stage.refused(answer(task_id, b"[" * depth + b"]" * depth))
    assert refusal.kind is RefusalKind.ANSWERS_TOO_BIG
    stage.granted(answer(task_id, b"[" * (depth - 1) + b"]" * (depth - 1)))


def test_steps_that_together_have_too_many_members_are_refused() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    crowd = b"[" + b",".join([b"1"] * 6_000) + b"]"
    assert step(peer, task_id, 0, crowd) == "kept"
    assert step(peer, task_id, 1, crowd) == "refused"


def test_the_biggest_order_fits_into_one_frame_on_every_wire() -> None:
    stage = Stage()
    peer, task_id = big_work(stage)
    answered = 0
    while True:
        peer.ask(task_id, answered + 1)
        reply = stage.tell(answer(task_id, value_of(32 * limits.KIB), ordinal=answered + 1))
        if getattr(reply, "kind", None) is RefusalKind.ANSWERS_TOO_BIG:
            break
        peer.take_answer(task_id, answered + 1)
        answered += 1
    left = step_bytes_max(stage.task(task_id))
    steps = 0
    while step(peer, task_id, steps, value_of(left // 4)) == "kept":
        steps += 1
    assert (answered, steps) == (3, 3)
    stage.granted(answer(task_id, value_of(20 * limits.KIB), ordinal=answered + 1))
    peer.fail(task_id)
    stage.wait(10_000)
    order = peer.last(TaskAssign)
    assert order.done is not None
    for wire in Wire:
        size = len(encode_frame(order, wire))
        assert limits.FRAME_BYTES_MAX // 2 < size <= limits.FRAME_BYTES_MAX


def big_work(stage: Stage) -> tuple[Peer, TaskId]:
    """A task as big as a push may be, every byte of its text one that JSON makes six of."""
    free = value_of(limits.METADATA_BYTES_MAX)
    peer = stage.joined("a", plugins=("p" * limits.NAME_LENGTH_MAX,))
    task_id = stage.submit(
        description="\x01" * limits.DESCRIPTION_BYTES_MAX,
        metadata=Raw(b'{"a":' + free[:-7] + b'"}'),
        inputs=Raw(free),
        plugin="p" * limits.NAME_LENGTH_MAX,
        trace="t" * limits.NAME_LENGTH_MAX,
    )
    peer.accept(task_id)
    return peer, task_id
