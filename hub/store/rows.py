"""The only bridge between a task and its row.

Owns which members are columns, how the rest lies in `life` and `spec` as JSON, and the change of clocks: in
the core a deadline is monotonic, on the disk it is wall time, after a restart it is rebased. Never touches a
database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hub.core import runs
from hub.core.fingerprints import fingerprint_of
from hub.core.task import Ending, Holder, Now, Question, Spec, State, StepKept, Task, Timer, TimerKind, Usage
from protocol.ids import Generation, TaskId

# msgspec (seen with 0.22) reads `Raw | None` as null and nothing else. A member that is absent when it is
# None can be `Raw` to it: then JSON's own null comes back as `null`, and what was never there as None.
if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw


class Life(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes in a task and is no column. What a later program added is ignored; absent is default."""

    unaccepted: int = 0
    resends: int = 0
    is_accepted: bool = False
    started_wall_ms: int | None = None
    holder: Holder | None = None
    last_holder: Holder | None = None
    timer_kind: TimerKind | None = None
    timer_due_wall_ms: int = 0
    run_due_wall_ms: int | None = None
    run_left_ms: int | None = None
    not_before_wall_ms: int = 0
    start_by_wall_ms: int | None = None
    waits_for: tuple[TaskId, ...] = ()
    recovering_from: State | None = None
    question: Question | None = None
    answers: tuple[Question, ...] = ()
    done: tuple[StepKept, ...] = ()
    cancel_reason: str | None = None
    cancelled_by: str | None = None
    result: OptionalRaw = None
    error: str | None = None
    ending: Ending | None = None
    progress: float | None = None
    message: str | None = None
    usage: Usage | None = None
    tokens_wasted: int = 0


class Said(Struct, frozen=True, omit_defaults=True):
    """What of a progress frame is kept. Read from the frame, and written to the row."""

    progress: float | None = None
    message: str | None = None


encode: Final = msgspec.json.Encoder().encode
life_of: Final = msgspec.json.Decoder(Life).decode
spec_of: Final = msgspec.json.Decoder(Spec).decode

said_of: Final = msgspec.json.Decoder(Said).decode

COLUMNS: Final = (
    "task_id",
    "version",
    "state",
    "generation",
    "attempt",
    "strikes",
    "created_wall_ms",
    "updated_wall_ms",
    "life",
)
"""What a reader selects from `tasks`, in the order in which `task_of` takes them; `SPEC_COLUMNS` follow."""

SPEC_COLUMNS: Final = ("description", "spec")

MOVED_COLUMNS: Final = (
    "number",
    "expected",
    "version",
    "state",
    "agent_id",
    "generation",
    "attempt",
    "strikes",
    "holder",
    "last_holder",
    "updated_wall_ms",
    "due_wall_ms",
    "life",
    "unique_key",
    "waits",
    "fingerprint",
    "ended_wall_ms",
)
"""What a saved change writes; the first two say to which row."""

NEW_COLUMNS: Final = (
    "number",
    *MOVED_COLUMNS[2:],
    "task_id",
    "priority",
    "plugin",
    "idempotency_key",
    "created_wall_ms",
    "retry_of",
    "submitted_by",
)
"""What a new task writes into `tasks`; `SPEC_COLUMNS` go into `submissions`."""


def wall_less_mono(now: Now) -> int:
    """What must be added to monotonic time to get wall time, as of this moment."""
    return now.wall_ms - now.ms


def life_row(task: Task, shift_ms: int) -> Life:
    timer = task.timer
    return Life(
        unaccepted=task.unaccepted,
        resends=task.resends,
        is_accepted=task.is_accepted,
        started_wall_ms=task.started_wall_ms,
        holder=task.holder,
        last_holder=task.last_holder,
        timer_kind=timer.kind if timer is not None else None,
        timer_due_wall_ms=timer.due_ms + shift_ms if timer is not None else 0,
        run_due_wall_ms=shifted(task.run_due_ms, shift_ms),
        run_left_ms=task.run_left_ms,
        not_before_wall_ms=task.not_before_ms + shift_ms if task.not_before_ms else 0,
        start_by_wall_ms=shifted(task.start_by_ms, shift_ms),
        waits_for=task.waits_for,
        recovering_from=task.recovering_from,
        question=task.question,
        answers=task.answers,
        done=task.done,
        cancel_reason=task.cancel_reason,
        cancelled_by=task.cancelled_by,
        result=task.result,
        error=task.error,
        ending=task.ending,
        progress=task.progress,
        message=task.message,
        usage=task.usage,
        tokens_wasted=task.tokens_wasted,
    )


def shifted(due_ms: int | None, shift_ms: int) -> int | None:
    return None if due_ms is None else due_ms + shift_ms


def moved_row(task: Task, number: int, expected: int, now: Now) -> tuple[Any, ...]:
    """The values of MOVED_COLUMNS; `life` is JSON text as bytes."""
    life = life_row(task, wall_less_mono(now))
    holder, last = task.holder, task.last_holder
    shown = holder or last
    return (
        number,
        expected,
        task.version,
        task.state.value,
        shown.agent_id if shown is not None else task.spec.assign_to,
        task.generation,
        task.attempt,
        task.strikes,
        holder.instance_id if holder is not None else None,
        last.instance_id if last is not None else None,
        task.updated_wall_ms,
        life.timer_due_wall_ms if task.timer is not None else None,
        str(encode(life), "utf-8"),
        unique_key_of(task),
        len(task.waits_for) or None if not task.is_final else None,
        fingerprint_of(task),
        task.updated_wall_ms if task.is_final else None,
    )


def unique_key_of(task: Task) -> str | None:
    """What no other row may have: a task lets go of its key when it ends."""
    return None if task.is_final else task.spec.unique_key


def new_row(task: Task, number: int, now: Now) -> tuple[Any, ...]:
    """The values of NEW_COLUMNS."""
    spec = task.spec
    tail = (
        task.task_id,
        spec.priority.value,
        spec.plugin,
        spec.idempotency_key,
        task.created_wall_ms,
        spec.retry_of,
        spec.submitted_by,
    )
    return (number, *moved_row(task, number, 0, now)[2:], *tail)


def submission_row(task: Task, number: int) -> tuple[int, str, str]:
    """The number and the values of SPEC_COLUMNS."""
    return number, task.spec.description, str(encode(replace(task.spec, description="")), "utf-8")


def run_row(task: Task) -> tuple[Any, ...]:
    """What of a run is a column, besides its number."""
    run = task.spec.run
    assert run is not None, f"{task.task_id} is no run"
    return (
        run.plugin_run_id,
        task.task_id,
        str(run.user_id),
        task.spec.plugin or "",
        run.digest,
        run.origin,
        run.route,
        task.created_wall_ms,
        runs.ended_wall_ms(task),
        int(runs.briefing_of(task) is not None),
    )


def task_of(row: Sequence[Any], shift_ms: int) -> Task:
    """A task from COLUMNS and SPEC_COLUMNS, its deadlines on the clock that is `shift_ms` behind the wall."""
    life = life_of(row[8])
    timer = None
    if life.timer_kind is not None:
        timer = Timer(life.timer_kind, life.timer_due_wall_ms - shift_ms)
    return Task(
        task_id=TaskId(row[0]),
        spec=replace(spec_of(row[10]), description=row[9]),
        version=row[1],
        state=State(row[2]),
        generation=Generation(row[3]),
        attempt=row[4],
        strikes=row[5],
        created_wall_ms=row[6],
        updated_wall_ms=row[7],
        unaccepted=life.unaccepted,
        resends=life.resends,
        is_accepted=life.is_accepted,
        started_wall_ms=life.started_wall_ms,
        holder=life.holder,
        last_holder=life.last_holder,
        timer=timer,
        run_due_ms=shifted(life.run_due_wall_ms, -shift_ms),
        run_left_ms=life.run_left_ms,
        not_before_ms=life.not_before_wall_ms - shift_ms if life.not_before_wall_ms else 0,
        start_by_ms=shifted(life.start_by_wall_ms, -shift_ms),
        waits_for=life.waits_for,
        recovering_from=life.recovering_from,
        question=life.question,
        answers=life.answers,
        done=life.done,
        cancel_reason=life.cancel_reason,
        cancelled_by=life.cancelled_by,
        result=life.result,
        error=life.error,
        ending=life.ending,
        progress=life.progress,
        message=life.message,
        usage=life.usage,
        tokens_wasted=life.tokens_wasted,
    )


def with_progress(task: Task, generation: int, said: str) -> Task:
    """The task with what its run last said, if it is still that run; the row may be older, for talk moves no
    row.
    """
    kept = said_of(said)
    if task.generation != generation or kept == Said():
        return task
    return replace(
        task,
        progress=task.progress if kept.progress is None else kept.progress,
        message=task.message if kept.message is None else kept.message,
    )
