"""Places where the hub can be made to die, for tests that prove that dying there loses nothing.

Owns the one list of places and the kill. Inert unless `HUB_CRASH_AT=name[:n]` names one: then the process
is killed with SIGKILL when it comes to that place for the n-th time. Never cleans up: that is the point.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from hub.core.events import AgentIdentified, CancelRequested, Event, FrameHeard, HubStarted, TaskSubmitted
from hub.errors import ConfigurationError
from protocol.frames import FACT_TYPES

ENVIRONMENT_NAME: Final = "HUB_CRASH_AT"


class CrashPoint(StrEnum):
    """Every place. `before_commit`: decided, nothing written. `after_commit`: durable, nobody told.
    `after_tell`: told."""

    PUSH_BEFORE_COMMIT = "push.before_commit"
    PUSH_AFTER_COMMIT = "push.after_commit"
    PUSH_AFTER_TELL = "push.after_tell"
    FACT_BEFORE_COMMIT = "fact.before_commit"
    FACT_AFTER_COMMIT = "fact.after_commit"
    FACT_AFTER_TELL = "fact.after_tell"
    IDENTIFY_BEFORE_COMMIT = "identify.before_commit"
    IDENTIFY_AFTER_COMMIT = "identify.after_commit"
    IDENTIFY_AFTER_TELL = "identify.after_tell"
    CANCEL_BEFORE_COMMIT = "cancel.before_commit"
    CANCEL_AFTER_COMMIT = "cancel.after_commit"
    CANCEL_AFTER_TELL = "cancel.after_tell"
    START_BEFORE_COMMIT = "start.before_commit"
    START_AFTER_COMMIT = "start.after_commit"
    TURN_BEFORE_COMMIT = "turn.before_commit"
    TURN_AFTER_COMMIT = "turn.after_commit"
    TURN_AFTER_TELL = "turn.after_tell"


class StreamPoint(StrEnum):
    """Every place between ledger and Redis. A request is taken, its run is committed, its result is
    published by the relay, and only then it is acknowledged."""

    CONSUME_BEFORE_SUBMIT = "consume.before_submit"
    CONSUME_AFTER_SUBMIT = "consume.after_submit"
    CONSUME_BEFORE_ANSWER = "consume.before_answer"
    CONSUME_AFTER_ANSWER = "consume.after_answer"
    RELAY_BEFORE_PUBLISH = "relay.before_publish"
    RELAY_AFTER_PUBLISH = "relay.after_publish"
    RELAY_AFTER_DELETE = "relay.after_delete"
    REQUEST_BEFORE_PUBLISH = "request.before_publish"
    REQUEST_AFTER_PUBLISH = "request.after_publish"
    RESULT_BEFORE_FACT = "result.before_fact"
    RESULT_BEFORE_ACK = "result.before_ack"
    RESULT_AFTER_ACK = "result.after_ack"


class NoticePoint(StrEnum):
    """Every place between the log of events and a webhook. A delivery is found and its webhook's cursor moves
    in one write, then it is called, then what came of it is written down."""

    SPREAD_BEFORE_WRITE = "spread.before_write"
    SPREAD_AFTER_WRITE = "spread.after_write"
    NOTICE_BEFORE_CALL = "notice.before_call"
    NOTICE_AFTER_CALL = "notice.after_call"
    NOTICE_AFTER_NOTE = "notice.after_note"


POINTS: Final[dict[str, CrashPoint | StreamPoint | NoticePoint]] = {
    point.value: point for point in (*CrashPoint, *StreamPoint, *NoticePoint)
}


def subjects(events: Iterable[Event]) -> frozenset[str]:
    """What a turn was about, in the words that crash points begin with."""
    found = {"turn"}
    for event in events:
        match event:
            case TaskSubmitted():
                found.add("push")
            case FrameHeard(frame=frame) if isinstance(frame, FACT_TYPES):
                found.add("fact")
            case AgentIdentified():
                found.add("identify")
            case CancelRequested():
                found.add("cancel")
            case HubStarted():
                found.add("start")
            case _:
                pass
    return frozenset(found)


class Crasher:
    """Counts the times a turn comes to the armed place."""

    def __init__(self, said: str = "") -> None:
        """`said` is `name[:n]`, or empty for a hub that never dies on purpose."""
        name, _, times = said.partition(":")
        if said and (name not in POINTS or (times and not times.isdigit())):
            known = ", ".join(POINTS)
            raise ConfigurationError(f"{ENVIRONMENT_NAME}={said} is not name[:n] with a name of: {known}")
        self._point = POINTS[name] if said else None
        self._times_left = int(times or 1)

    @property
    def is_armed(self) -> bool:
        return self._point is not None

    def reach(self, moment: str, events: Iterable[Event]) -> None:
        """Die here if `moment` (`before_commit`, `after_commit`, `after_tell`) of these events is the armed
        place."""
        if self._point is None:
            return
        if self._point.value in {f"{subject}.{moment}" for subject in subjects(events)}:
            self._count()

    def come_to(self, point: StreamPoint | NoticePoint) -> None:
        """Die here if this is the armed place."""
        if self._point is point:
            self._count()

    def _count(self) -> None:
        self._times_left -= 1
        if self._times_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
