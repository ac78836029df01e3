"""Going on where an earlier attempt ended: each finished task is kept, and given back to the next attempt.

Owns both halves, and the rule when they hold: tasks one after the other, the finished ones a prefix of them.
Everything else begins anew and says so. A step that was interrupted is done again: `idempotency_key`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from crewai import Crew, Process, Task
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput
from pydantic import BaseModel, ValidationError

from crews.line import Line, encoded
from crews.order import Step
from crews.present import Present
from protocol.limits import RESULT_BYTES_MAX

STEP_BYTES_MAX: Final = RESULT_BYTES_MAX
"""What one task may leave for the next attempt; a task's output is a result like the whole's."""

REASON_LENGTH_MAX: Final = 300


class CannotResume(Exception):
    """Why the crew begins at its first task although an earlier attempt had finished some."""


# ---- keeping ----------------------------------------------------------------------------------------------


@contextmanager
def keeping(crew: Crew, line: Line, run: Present) -> Iterator[None]:
    """Say each finished task of the crew while this block runs, and tell the run at which one it is."""
    index = {str(task.id): number for number, task in enumerate(crew.tasks)}

    def hear(_source: Any, event: Any) -> None:
        kind = getattr(event, "type", "")
        if kind not in {"task_started", "task_completed"}:
            return
        number = index.get(str(getattr(event, "task_id", None) or getattr(event.task, "id", "")))
        if number is None:
            return  # a task that an agent made up for another one
        if kind == "task_started":
            run.step = number
        else:
            keep(line, number, event.output)

    token = add_stream_sink(hear)
    try:
        yield
    finally:
        reset_stream_sinks(token)


def keep(line: Line, number: int, output: TaskOutput) -> None:
    """Say one finished task; an output that is too big is done again by a later attempt."""
    kept = dumped(output)
    size = len(encoded(kept))
    if size <= STEP_BYTES_MAX:
        line.say(step=number, output=kept)
        return
    text = (
        f"the output of task {number + 1} has {size} bytes, and at most {STEP_BYTES_MAX} are kept: "
        "another attempt would do it again"
    )
    line.say(log=text, level="warning", kind="warning")


def dumped(output: TaskOutput) -> dict[str, Any]:
    """A task's output without the conversation that led to it."""
    return output.model_dump(mode="json", exclude={"messages"}, serialize_as_any=True, fallback=str)


# ---- giving back ------------------------------------------------------------------------------------------


def resume(crew: Crew, done: Sequence[Step] | None, line: Line, task_id: str) -> int:
    """Let the crew go on at its first unfinished task; returns how many it need not do again."""
    if not done:
        return 0
    total = len(crew.tasks)
    try:
        outputs = restored(crew, done)
    except CannotResume as reason:
        line.say(event={"resumed_from": 0}, message=f"Begins again at task 1/{total}")
        line.say(log=f"begins again at task 1/{total}: {reason}", level="warning", kind="resumed")
        return 0
    for task, output in zip(crew.tasks, outputs, strict=False):
        task.output = output
    crew.checkpoint_kickoff_event_id = task_id
    begun = len(outputs)
    where = f"Resumed at task {begun + 1}/{total}" if begun < total else f"All {total} tasks were finished"
    line.say(event={"resumed_from": begun}, message=where)
    line.say(log=where, kind="resumed", data={"index": begun, "of": total})
    return begun


def restored(crew: Crew, done: Sequence[Step]) -> list[TaskOutput]:
    """The outputs that the crew may begin with. `CannotResume` says why there are none."""
    refuse_other_crews(crew)
    kept = {step.index: step.output for step in done}
    outputs: list[TaskOutput] = []
    for number, task in enumerate(crew.tasks):
        if number not in kept:
            break
        outputs.append(output_of(task, number, kept[number]))
    if not outputs:
        raise CannotResume("its first task was not among the finished ones")
    return outputs


def refuse_other_crews(crew: Crew) -> None:
    if crew.process is not Process.sequential:
        raise CannotResume(f"a {crew.process.value} crew cannot go on in the middle")
    for number, task in enumerate(crew.tasks, 1):
        if task.async_execution:
            raise CannotResume(f"task {number} runs beside the others, so their order is not known")
        if isinstance(task, ConditionalTask):
            raise CannotResume(f"task {number} is conditional, so it is not known whether it would run")


def output_of(task: Task, number: int, kept: Any) -> TaskOutput:
    """A kept output for this very task: a plugin may have changed between two attempts, and an agent that is
    no crew keeps whatever it likes.
    """
    if not isinstance(kept, dict):
        raise CannotResume(f"what was kept of task {number + 1} is no output of a crew")
    name = kept.get("name")
    if task.name and name and name != task.name:
        raise CannotResume(f"task {number + 1} was {name} then and is {task.name} now")
    try:
        structured = model_of(task, kept.get("pydantic"))
        return TaskOutput(**(kept | {"pydantic": structured, "messages": []}))
    except (ValidationError, TypeError) as trouble:
        reason = " ".join(str(trouble).split())[:REASON_LENGTH_MAX]
        raise CannotResume(f"what was kept of task {number + 1} does not fit any more: {reason}") from None


def model_of(task: Task, kept: Any) -> BaseModel | None:
    """The structured output as the type that the task asks for."""
    wanted = task.output_pydantic
    if kept is None or not isinstance(wanted, type):
        return None
    model: BaseModel = wanted.model_validate(kept)
    return model
