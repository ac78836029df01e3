"""Questions to people, and kept steps (T8, T9, T22)."""

from __future__ import annotations

from msgspec import Raw

from hub.core.effects import RefusalKind
from hub.core.events import (
    InputAnswered,
)
from hub.core.policy import Policy
from hub.core.task import Fault, State
from protocol.frames import (
    Identified,
    TaskAssign,
    TaskCancel,
    TaskDone,
    TaskInput,
)
from protocol.ids import RequestId, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage, working

# --- T8, T9, T22: asking a person -----------------------------------------------------------------------


def answer(stage: Stage, task_id: TaskId, value: bytes = b'"blue"', ordinal: int = 1) -> InputAnswered:
    return InputAnswered(
        task_id=task_id, request_id=RequestId(f"{task_id}-{ordinal}"), value=Raw(value), by="a person"
    )


def test_a_question_stops_the_clock_of_the_run_and_its_answer_starts_it_again() -> None:
    stage = Stage()
    peer, task_id = working(stage, timeout_ms=60_000)
    stage.wait(10_000)
    assert peer.ask(task_id) == "asked"
    for _ in range(30):
        stage.wait(10_000)
        peer.beat(peer.runs(task_id))
    assert stage.state(task_id) is State.INPUT_REQUIRED
    assert stage.granted(answer(stage, task_id)).note == "answered"
    assert peer.last(TaskInput).value == Raw(b'"blue"')
    assert stage.state(task_id) is State.INPUT_REQUIRED, "until the run has it"
    assert peer.take_answer(task_id) == "answered"
    task = stage.task(task_id)
    assert task.state is State.RUNNING
    assert task.run_due_ms == stage.now_ms + 50_000 + stage.policy.run_slack_ms
    assert task.answers[0].is_acked


def test_the_same_answer_again_is_fine_and_another_one_is_not() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    stage.granted(answer(stage, task_id))
    assert stage.granted(answer(stage, task_id)).is_repeat
    assert stage.refused(answer(stage, task_id, b'"red"')).kind is RefusalKind.ANSWER_CONFLICT
    peer.take_answer(task_id)
    assert stage.granted(answer(stage, task_id)).is_repeat
    assert stage.refused(answer(stage, task_id, ordinal=9)).kind is RefusalKind.NO_SUCH_QUESTION
    peer.complete(task_id)
    assert stage.refused(answer(stage, task_id, ordinal=9)).kind is RefusalKind.INVALID_STATE
    assert stage.refused(answer(stage, TaskId("task-none"))).kind is RefusalKind.TASK_NOT_FOUND


def test_an_answer_can_be_given_while_recovering_and_is_sent_again_at_every_resume() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    peer.drop()
    assert stage.granted(answer(stage, task_id)).note == "answered"
    peer.comes_back(peer.has(task_id, "asking"))
    assert stage.state(task_id) is State.INPUT_REQUIRED
    assert peer.hears(TaskInput)
    peer.drop()
    peer.comes_back(peer.has(task_id, "asking"))
    assert peer.hears(TaskInput)
    assert isinstance(peer.heard[0], Identified), "and never before `identified`"


def test_a_question_while_cancelling_can_not_be_answered() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    stage.cancel(task_id)
    refusal = stage.refused(answer(stage, task_id))
    assert (refusal.kind, refusal.state) == (RefusalKind.INVALID_STATE, "cancelling")


def test_a_kept_answer_rides_in_the_next_order_and_answers_the_same_question_again() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    stage.granted(answer(stage, task_id))
    peer.fail(task_id)
    stage.wait(10_000)
    order = peer.last(TaskAssign)
    assert order.answers is not None
    assert bytes(order.answers) == f'[{{"request_id":"{task_id}-1","value":"blue"}}]'.encode()
    peer.accept(task_id)
    assert peer.ask(task_id) == "asked"
    assert peer.hears(TaskInput)
    assert peer.take_answer(task_id) == "answered"
    assert len(stage.task(task_id).answers) == 1


def test_one_question_twice_is_one_and_a_second_beside_it_is_refused() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert peer.ask(task_id) == "asked"
    assert peer.ask(task_id) == "asked"
    assert peer.ask(task_id, 2) == "refused"
    assert peer.take_answer(task_id) == "refused", "nobody has answered yet"
    stage.granted(answer(stage, task_id))
    assert peer.take_answer(task_id, 2) == "refused"
    assert peer.take_answer(task_id) == "answered"
    assert peer.take_answer(task_id) == "answered", "said again, it is the same receipt"
    assert peer.take_answer(task_id, 2) == "stale"


def test_a_question_that_nobody_answers_ends_the_task_and_the_run() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.ask(task_id)
    stage.wait(stage.policy.input_ms)
    task = stage.task(task_id)
    assert task.state is State.DEAD_LETTER
    assert task.ending is not None
    assert (task.ending.how, task.ending.whose_fault) == ("input_timeout", Fault.PERSON)
    assert peer.last(TaskCancel).reason == "input_timeout"
    assert peer.stop(task_id) == "stopped"


def test_the_wait_for_an_answer_is_not_prolonged_by_a_lost_link() -> None:
    stage = Stage(Policy(input_ms=100_000))
    peer, task_id = working(stage)
    peer.ask(task_id)
    stage.wait(60_000)
    peer.drop()
    stage.wait(40_000)
    task = stage.task(task_id)
    assert task.ending is not None
    assert task.ending.how == "input_timeout"


# --- kept steps -----------------------------------------------------------------------------------------


def step(peer: Peer, task_id: TaskId, index: int, output: bytes) -> str | None:
    g = peer.generation(task_id)
    return peer.fact(
        lambda seq: TaskDone(task_id=task_id, generation=g, seq=seq, index=index, output=Raw(output))
    )


def test_kept_steps_are_handed_to_the_next_attempt() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    assert step(peer, task_id, 1, b'"second"') == "kept"
    assert step(peer, task_id, 0, b'"first"') == "kept"
    assert step(peer, task_id, 1, b'"again"') == "kept"
    peer.fail(task_id)
    stage.wait(5_000)
    done = peer.last(TaskAssign).done
    assert done is not None
    assert bytes(done) == b'[{"index":0,"output":"first"},{"index":1,"output":"again"}]'


def test_a_step_beyond_768_kib_is_refused_and_the_run_goes_on() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    big = b'"' + b"x" * 250 * 1024 + b'"'
    assert [step(peer, task_id, n, big) for n in range(4)] == ["kept", "kept", "kept", "refused"]
    assert len(stage.task(task_id).done) == 3
    assert stage.log[-1].event == "task_done"
    assert b'"kept":false' in bytes(stage.log[-1].payload)
    assert peer.complete(task_id) == "complete"
