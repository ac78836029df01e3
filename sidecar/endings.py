"""From the runner's words to the wire's: an assign becomes an order, an outcome the one fact that ends it.

Owns the bounds of what a run may say as a fact. Pure; numbers nothing (`desk.py` does) and remembers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from protocol import limits
from protocol.frames import (
    FactFrame,
    InputAck,
    InputRequired,
    StopProof,
    TaskAssign,
    TaskComplete,
    TaskDone,
    TaskFailed,
    TaskInput,
    TaskStopped,
)
from protocol.ids import Generation, TaskId
from sidecar.hands import Run
from sidecar.runners.contract import Asked, Failed, Finished, Order, Outcome, StepDone, Stopped
from sidecar.wording import clean_count, clean_json, clean_json_or_none, clean_object_or_none, clean_text

ERROR_LENGTH_MAX: Final = 8 * limits.KIB
"""Characters of an error on the wire: the runner's own bound lies below, a stranger's may not."""

OWNERS_CAP: Final = "; that is as long as the owner of this sidecar lets a run take"
"""Behind the error of a run whose time the owner's own rule has cut."""


def order_of(assign: TaskAssign, generation: Generation) -> Order:
    """What a runner needs to know of an assign."""
    return Order(
        task_id=assign.task_id,
        generation=generation,
        attempt=assign.attempt or 1,
        attempts_max=assign.attempts_max or 1,
        description=assign.description,
        metadata=bytes(assign.metadata),
        plugin=assign.plugin,
        slot=assign.slot or "",
        inputs=None if assign.inputs is None else bytes(assign.inputs),
        time_left_ms=assign.deadline_ms,
        done=None if assign.done is None else bytes(assign.done),
        answers=None if assign.answers is None else bytes(assign.answers),
        trace=assign.trace,
    )


def ending_fact(run: Run, outcome: Outcome, result_bytes_max: int) -> FactFrame:
    """Exactly one ending, whatever the run was told meanwhile: a result that was made is not thrown away."""
    task_id, generation = run.task_id, run.generation
    match outcome:
        case Finished():
            return _completed(run, outcome, result_bytes_max)
        case Failed(cause="result_too_big"):
            return _without_result(run, "result_too_big", outcome.error)
        case Failed():
            is_timeout = outcome.cause == "timeout"
            error = outcome.error + OWNERS_CAP if is_timeout and run.order.is_cut_by_owner else outcome.error
            return TaskFailed(
                task_id=task_id,
                generation=generation,
                error=clean_text(error, ERROR_LENGTH_MAX),
                reason="timeout" if is_timeout else None,
                fault=fault_of(run, outcome),
                retryable=outcome.retryable,
                retry_after_ms=clean_count(outcome.retry_after_ms),
            )
        case Stopped() if run.stop_reason == "shutdown":
            return TaskFailed(task_id=task_id, generation=generation, error="sidecar_shutdown")
        case Stopped():
            proof = outcome.proof
            return TaskStopped(
                task_id=task_id,
                generation=generation,
                how=outcome.how,
                proof=StopProof(signals=proof.signals, reaped=proof.reaped, survivors=proof.survivors),
            )
        case _:
            assert_never(outcome)


def fault_of(run: Run, failed: Failed) -> str | None:
    """Whose fault it is, as far as can be told from here; None: the work's."""
    match failed.cause:
        case "timeout":
            return "policy" if run.order.is_cut_by_owner else "time"
        case "machine":
            return "infrastructure"
        case _:
            return None


def _completed(run: Run, outcome: Finished, result_bytes_max: int) -> FactFrame:
    if len(outcome.result) > result_bytes_max:
        sentence = f"{len(outcome.result)} bytes, at most {result_bytes_max} are allowed"
        return _without_result(run, "result_too_big", sentence)
    result = clean_json(outcome.result, result_bytes_max)
    if isinstance(result, str):
        return _without_result(run, "result_not_acceptable", result)
    return TaskComplete(
        task_id=run.task_id,
        generation=run.generation,
        result=result,
        tokens_used=clean_count(outcome.tokens_used),
    )


def _without_result(run: Run, error: str, sentence: str) -> TaskFailed:
    """The task fails alone, with a name; the socket and all other work never notice."""
    return TaskFailed(
        task_id=run.task_id,
        generation=run.generation,
        error=error,
        reason=clean_text(sentence, ERROR_LENGTH_MAX),
        retryable=False,
    )


def never_ran(task_id: TaskId, generation: Generation) -> TaskStopped:
    """The ending of a generation that was withdrawn before anything of it was started."""
    return TaskStopped(task_id=task_id, generation=generation, how="was_not_running")


def died_with_the_sidecar(live: Mapping[TaskId, tuple[Generation, ...]]) -> list[TaskFailed]:
    """The endings of what the journal calls live, said by the next process."""
    return [
        TaskFailed(task_id=task_id, generation=generation, error="sidecar_crash")
        for task_id, generations in live.items()
        for generation in generations
    ]


def asked_fact(run: Run, asked: Asked) -> InputRequired:
    """A question to a person, within the bounds of the wire."""
    return InputRequired(
        task_id=run.task_id,
        generation=run.generation,
        request_id=asked.request_id,
        prompt=clean_text(asked.prompt, limits.TEXT_LENGTH_MAX),
        schema=clean_object_or_none(asked.schema, limits.METADATA_BYTES_MAX),
    )


def answered_facts(run: Run, given: TaskInput) -> list[FactFrame]:
    """The run has its answer, and may ask what it had to ask beside that. Empty for an answer to nothing:
    it was answered before, or the run that asked is over, and the hub keeps the answer.
    """
    if not run.is_open(given.request_id):
        return []
    del run.questions[given.request_id]
    ack = InputAck(task_id=run.task_id, generation=run.generation, request_id=given.request_id)
    return [ack, *(asked_fact(run, asked) for asked in list(run.questions.values())[:1])]


def step_fact(run: Run, step: StepDone) -> TaskDone | None:
    """A step to keep; None when it is no JSON, or when all kept steps would not fit into a later assign."""
    output = clean_json_or_none(step.output, limits.RESULT_BYTES_MAX)
    if output is None or run.steps_bytes + len(step.output) > limits.DONE_BYTES_MAX:
        return None
    run.steps_bytes += len(step.output)
    return TaskDone(
        task_id=run.task_id,
        generation=run.generation,
        index=max(0, min(step.index, limits.INTEGER_MAX)),
        output=output,
    )
