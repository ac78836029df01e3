"""A schedule: a plugin, a user and settings, run by the clock of a time zone.

Owns its shape and the one decision about it: what to do when the wall's time has come, or has long gone by.
Pure. Never begins a run.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from hub.runs import cron

LATE_MS: Final = 600_000
"""Due times up to this old are still kept: a restart or an upgrade of the hub is no downtime."""

SCHEDULES_MAX: Final = 1_000
"""Of one hub. Their settings lie in its database, and each is looked at when the hub starts."""


class Missed(StrEnum):
    """What becomes of due times that went by while the hub was away."""

    SKIP = "skip"
    ONCE = "once"


class LastDue(Struct, frozen=True, kw_only=True):
    """What came of the last due time that was kept."""

    due_wall_ms: int
    at_wall_ms: int
    plugin_run_id: str | None = None
    is_new: bool = False
    """False: the run before it, of the same settings, was still going, and stands for this one."""
    error: str | None = None
    """Why no run began."""


class Plan(Struct, frozen=True, kw_only=True):
    """What somebody has asked for; it never changes."""

    plugin: str
    user_id: int
    settings: dict[str, Any]
    """Without credentials: those are kept nowhere."""
    cron: str
    zone: str = "UTC"
    missed: Missed = Missed.SKIP
    plugin_id: str | int = ""


class Schedule(Struct, frozen=True, kw_only=True):
    schedule_id: str
    plan: Plan
    by: str
    created_wall_ms: int
    is_paused: bool = False
    next_due_wall_ms: int | None = None
    """None when it is paused, or when its time zone is not known here any more."""
    last: LastDue | None = None
    missed_wall_ms: int | None = None
    """The first of the due times that were last let go."""


class Step(Struct, frozen=True):
    """What to do at an instant: begin the run of a due time, or none, and when to look again."""

    due_wall_ms: int | None
    missed_wall_ms: int | None
    next_due_wall_ms: int | None


def schedule_id_of(plan: Plan) -> str:
    """The same asked for twice is one schedule."""
    digest = hashlib.sha256(msgspec.json.encode(plan, order="deterministic")).hexdigest()
    return f"sched-{digest[:16]}"


def once_of(schedule_id: str, due_wall_ms: int) -> str:
    """Names the run of a due time, so that it begins once however often the hub dies in between."""
    return f"{schedule_id} {due_wall_ms}"


def next_due(plan: Plan, wall_ms: int) -> int | None:
    """Raises CronError and ZoneError."""
    return cron.next_after(cron.parse(plan.cron), cron.zone_of(plan.zone), wall_ms)


def step(plan: Plan, due_wall_ms: int, wall_ms: int) -> Step:
    """A schedule whose due time has come. However many have gone by, at most one run begins."""
    assert due_wall_ms <= wall_ms, "nothing is due yet"
    following = next_due(plan, wall_ms)
    kept = latest(plan, max(due_wall_ms, wall_ms - LATE_MS), wall_ms)
    if due_wall_ms >= wall_ms - LATE_MS:
        return Step(kept or due_wall_ms, None, following)
    if kept is None and plan.missed is Missed.ONCE:
        return Step(due_wall_ms, None, following)
    return Step(kept, due_wall_ms if plan.missed is Missed.SKIP else None, following)


def latest(plan: Plan, from_wall_ms: int, wall_ms: int) -> int | None:
    """The last due time of a short while, at most one a minute of it."""
    found, look_ms = None, from_wall_ms - 1
    while (due_ms := next_due(plan, look_ms)) is not None and due_ms <= wall_ms:
        found = look_ms = due_ms
    return found
