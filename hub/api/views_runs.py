"""What callers get to see of runs: a PluginRun as contracts §3 names it, a briefing, a page of either.

Owns the shapes and the one function each that makes them out of a task. Never reads a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, Struct

from hub.api.words import RunWord
from hub.core import runs
from hub.core.runs import Section
from hub.core.task import State, Task

# msgspec (seen with 0.22) reads `Raw | None` as null and nothing else; see `bodies.py`.
if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw


class StartedView(Struct, frozen=True, kw_only=True):
    """The run that answers: a new one is 202, one that exists is 200."""

    plugin_run_id: str
    task_id: str
    status: str


class RunView(Struct, frozen=True, kw_only=True):
    """A PluginRun. Times are unix milliseconds."""

    plugin_run_id: str
    task_id: str
    user_id: int
    plugin_id: str | int
    """As the caller has named the plugin; its name, if the caller said nothing."""
    plugin_name: str
    status: RunWord
    input: OptionalRaw
    """The settings without credentials: those are kept nowhere."""
    output: str | None
    error_message: str | None
    attempts: int
    """How often it has been at work, this time included."""
    origin: str
    route: str
    progress: float | None
    message: str | None
    created_at: int
    started_at: int | None
    completed_at: int | None


class RunPage(Struct, frozen=True, kw_only=True):
    runs: tuple[RunView, ...]
    count: int
    next: str | None


class BriefingView(Struct, frozen=True, kw_only=True):
    """A completed run of a plugin that briefs people."""

    plugin_run_id: str
    task_id: str
    user_id: int
    plugin_id: str | int
    plugin_name: str
    summary: str
    sections: tuple[Section, ...]
    started_at: int | None
    completed_at: int | None


class BriefingPage(Struct, frozen=True, kw_only=True):
    briefings: tuple[BriefingView, ...]
    count: int
    next: str | None


def attempts_of(task: Task) -> int:
    """The core counts an attempt when it has come to nothing."""
    has_come_to_nothing = task.state in (State.QUEUED, State.FAILED, State.DEAD_LETTER)
    is_one_more = task.state is State.COMPLETED or (task.is_accepted and not has_come_to_nothing)
    return task.attempt + is_one_more


def view_run(task: Task) -> RunView:
    run = task.spec.run
    assert run is not None, f"{task.task_id} is no run"
    name = task.spec.plugin or ""
    return RunView(
        plugin_run_id=run.plugin_run_id,
        task_id=task.task_id,
        user_id=run.user_id,
        plugin_id=name if run.plugin_id == "" else run.plugin_id,
        plugin_name=name,
        status=runs.status_of(task).value,
        input=task.spec.inputs,
        output=runs.output_of(task),
        error_message=runs.error_of(task),
        attempts=attempts_of(task),
        origin=run.origin,
        route=run.route,
        progress=task.progress,
        message=task.message,
        created_at=task.created_wall_ms,
        started_at=task.started_wall_ms,
        completed_at=runs.ended_wall_ms(task),
    )


def view_briefing(task: Task) -> BriefingView | None:
    """None when the run is none after all."""
    run, briefing = task.spec.run, runs.briefing_of(task)
    if run is None or briefing is None:
        return None
    name = task.spec.plugin or ""
    return BriefingView(
        plugin_run_id=run.plugin_run_id,
        task_id=task.task_id,
        user_id=run.user_id,
        plugin_id=name if run.plugin_id == "" else run.plugin_id,
        plugin_name=name,
        summary=briefing.summary,
        sections=briefing.sections,
        started_at=task.started_wall_ms,
        completed_at=runs.ended_wall_ms(task),
    )
