"""The owner's rules from the words of settings, with the clock that their hours are meant by.

Owns time zones: what a clock on the wall shows at a moment, also in the nights in which it is changed. Never
reads a clock itself, and judges nothing: `house_rules.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.house_rules import (
    MINUTE_MS,
    QUIET_HOURS_MAX,
    BadRule,
    HouseRules,
    Local,
    OnTheWall,
    quiet_hours,
)


def zone_named(name: str) -> tzinfo | None:
    """The time zone of a name from the tz database; None for the machine's own, as its C library knows it."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise BadRule(f"`{name}` is no time zone: write for example Europe/Berlin") from error


def wall_of(zone: tzinfo | None) -> Local:
    """The clock on a wall there."""

    def look(wall_ms: int) -> OnTheWall:
        moment = datetime.fromtimestamp(wall_ms / 1000, zone)
        return OnTheWall(moment.weekday(), moment.hour * 60 + moment.minute)

    return look


def rules_of(
    *,
    quiet: Sequence[str] = (),
    runs_per_hour: int = 0,
    runs_per_day: int = 0,
    run_minutes_max: int = 0,
    load_max: float = 0.0,
    time_zone: str = "",
) -> HouseRules:
    """Rules from the words of settings."""
    if len(quiet) > QUIET_HOURS_MAX:
        raise BadRule(f"{len(quiet)} windows of quiet hours, and at most {QUIET_HOURS_MAX} are looked at")
    return HouseRules(
        quiet=tuple(quiet_hours(one) for one in quiet),
        runs_per_hour=runs_per_hour,
        runs_per_day=runs_per_day,
        run_ms_max=run_minutes_max * MINUTE_MS,
        load_max=load_max,
        local=wall_of(zone_named(time_zone)),
    )
