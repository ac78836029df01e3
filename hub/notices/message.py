"""The body of a notice: a CloudEvent 1.0 in its structured form, the same for everybody who is told.

Owns its members. What is in it never changes once it is written down: a try in a day says what the first one
said. Pure; whoever calls brings the task.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from hub.api.views import view_event
from hub.api.views_tasks import TaskView
from hub.ports import CommittedEvent

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
"""By this a CloudEvents library knows the form. Standard Webhooks signs the bytes, whatever their type."""

TYPE_PREFIX: Final = "crewhub."
TEST: Final = "test"
"""The event of a notice that only tries whether notices come."""


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Names as in the specification; `traceparent` is its extension for distributed tracing."""

    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    subject: str | None = None
    traceparent: str | None = None


def message_id(epoch: str, offset: int) -> str:
    """Stable for ever: an epoch belongs to the database, an offset to one event in it. No dots, for a
    signature separates its parts by them."""
    return f"msg_{epoch}_{offset}"


def body_of(
    event: CommittedEvent, epoch: str, source: str, *, task: TaskView | None = None, trace: str | None = None
) -> str:
    """What is told of an event: itself as the feed shows it, and its task if this was the end."""
    shown = view_event(event, epoch)
    told: dict[str, Any] = {"event": shown}
    if task is not None:
        told["task"] = task
    return encoded(
        CloudEvent(
            id=f"{epoch}:{event.offset}",
            source=source,
            type=TYPE_PREFIX + event.event,
            time=written(event.timestamp),
            data=told,
            subject=event.task_id or event.agent_id,
            traceparent=trace,
        )
    )


def body_of_test(webhook_id: str, name: str, source: str, wall_ms: int) -> str:
    """A notice of nothing."""
    told = {"webhook_id": webhook_id, "message": "Notices of this hub arrive here."}
    return encoded(
        CloudEvent(
            id=name,
            source=source,
            type=TYPE_PREFIX + TEST,
            time=written(wall_ms),
            data=told,
            subject=webhook_id,
        )
    )


def encoded(event: CloudEvent) -> str:
    """`specversion` and its like are defaults, and must be there all the same."""
    members = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    return str(msgspec.json.encode(members), "utf-8")


def written(wall_ms: int) -> str:
    """RFC 3339, in UTC."""
    moment = datetime.fromtimestamp(wall_ms / 1_000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
