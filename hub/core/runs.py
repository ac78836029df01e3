"""Runs of plugins, as other services know them: a view of tasks, and what makes a task one.

Owns the status of a run, its output and its error, when a run answers a second request of the same kind, and
how a run is pushed. The retries of a run are attempts of its one task, so its id never changes. Never keeps
a status: it is derived from the task every time.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from hub.core.policy import MINUTE_MS
from hub.core.task import RunSpec, Spec, State, Task
from protocol.ids import AgentId

RUN_ATTEMPTS: Final = 3
"""The first and two retries."""

RUN_MS: Final = 10 * MINUTE_MS

UNIQUE_MS: Final = 30 * MINUTE_MS
"""From the creation of a run that has succeeded: so long it answers who asks for the same."""

INNER_PREFIX: Final = "hub:"
"""Agents within the hub's own process are called so, and nobody else."""

STREAMS_AGENT: Final = AgentId("hub:streams")
"""Hands runs to workers that only speak Redis Streams."""

NOT_CONFIGURED: Final = "streams publisher not configured"
"""The words of a run that was to go there when there is no such way (contracts §3)."""

CANCELLED: Final = "cancelled"
"""Also the reason of a cancel that names none."""

CAUSES: Final = {
    "grace_over": "its agent was out of reach for too long",
    "lease_expired": "its agent did not speak of it any more",
    "orphaned": "its agent was there and did not have it any more",
    "rebound": "its agent's name went to another instance",
    "history_lost": "the hub had lost its history",
    "not_accepted": "no agent accepted it in time",
    "stopped": "its agent stopped it, and nobody had asked for that",
    "sidecar_crash": "the sidecar died under it",
    "sidecar_shutdown": "the sidecar was told to go",
    "result_too_big": "its result is too big to travel",
    "result_not_acceptable": "its result is no JSON that can be taken",
}
"""The words by which lost runs and results are counted, as sentences for whoever asked for them."""

SUMMARY_LENGTH_MAX: Final = 300
"""Characters of a briefing's summary."""

_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class RunStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


LIVE: Final = frozenset({RunStatus.PENDING, RunStatus.PROCESSING})


class Section(Struct, frozen=True):
    title: str
    content: str


class Briefing(Struct, frozen=True):
    """The output of a plugin that briefs people."""

    summary: str
    sections: tuple[Section, ...]


# --- asking -------------------------------------------------------------------------------------------------


def digest_of(user_id: int, plugin: str, settings: object) -> str:
    """The same user, plugin and settings have the same digest, in whatever order the settings came."""
    return hashlib.sha256(_sorted((user_id, plugin, settings))).hexdigest()


def run_key(plugin_run_id: str) -> str:
    """The idempotency key of a run's task: however often it is asked for, there is one."""
    return f"run:{plugin_run_id}"


def spec_of_run(
    run: RunSpec,
    plugin: str,
    settings: Raw,
    *,
    by: str,
    wall_ms: int,
    timeout_ms: int = RUN_MS,
    stream_id: str | None = None,
) -> Spec:
    """What a run asks of the hub. `settings` are those without credentials."""
    return Spec(
        description=f"Run of the plugin {plugin} for user {run.user_id}",
        plugin=plugin,
        inputs=settings,
        assign_to=STREAMS_AGENT if run.route == "streams" else None,
        attempts_max=RUN_ATTEMPTS,
        timeout_ms=timeout_ms,
        stream_id=stream_id,
        idempotency_key=run_key(run.plugin_run_id),
        fingerprint=run.digest,
        submitted_by=by,
        submitted_wall_ms=wall_ms,
        run=run,
    )


def answers_again(task: Task, now_wall_ms: int) -> bool:
    """Whether this run answers who asks for the same again: while it is live, and when it has succeeded for
    half an hour after it was created. One that has failed may be asked for again at once.
    """
    status = status_of(task)
    if status is RunStatus.COMPLETED:
        return now_wall_ms < task.created_wall_ms + UNIQUE_MS
    return status in LIVE


# --- looking ------------------------------------------------------------------------------------------------


def status_of(task: Task) -> RunStatus:
    """Where a run stands. What has been at work is never pending again, also while it waits for its retry."""
    if task.is_final:
        return RunStatus.COMPLETED if task.state is State.COMPLETED else RunStatus.FAILED
    is_begun = task.started_wall_ms is not None or task.state is State.CANCELLING
    return RunStatus.PROCESSING if is_begun else RunStatus.PENDING


def output_of(task: Task) -> str | None:
    """What a run has made, as text: a text as it is, anything else as JSON (L88)."""
    if task.state is not State.COMPLETED or task.result is None:
        return None
    found = msgspec.json.decode(task.result)
    text = found.get("output") if isinstance(found, dict) and len(found) == 1 else found
    return text if isinstance(text, str) else str(task.result, "utf-8")


def error_of(task: Task) -> str | None:
    """Why a run has failed, in a sentence; None for one that has not."""
    if not task.is_final or task.state is State.COMPLETED:
        return None
    if task.state is State.CANCELLED:
        return cancelled_by(task)
    error = task.error or "it failed without a reason"
    return CAUSES.get(error, error)


def cancelled_by(task: Task) -> str:
    """That it was cancelled, by whom and why, as far as they have said so."""
    by = f" by {task.cancelled_by}" if task.cancelled_by else ""
    is_said = task.cancel_reason not in (None, "", CANCELLED)
    return f"{CANCELLED}{by}: {task.cancel_reason}" if is_said else f"{CANCELLED}{by}"


def ended_wall_ms(task: Task) -> int | None:
    """A final task does not change any more: when it last did is when it ended."""
    return task.updated_wall_ms if task.is_final else None


def briefing_of(task: Task) -> Briefing | None:
    """The briefing that a completed run is, if it is one."""
    if task.state is not State.COMPLETED or task.result is None:
        return None
    try:
        found = msgspec.convert(_structured(msgspec.json.decode(task.result)), Briefing)
    except msgspec.ValidationError:
        return None
    is_fit = bool(found.summary.strip()) and len(found.summary) <= SUMMARY_LENGTH_MAX
    return found if is_fit else None


def _structured(found: Any) -> Any:
    """What lies in a text, when a worker has sent its JSON as one."""
    if isinstance(found, dict) and set(found) == {"output"}:
        found = found["output"]
    if not isinstance(found, str):
        return found
    try:
        return msgspec.json.decode(found)
    except msgspec.DecodeError:
        return None
