"""How webhooks and their deliveries look from outside.

Owns these structures and how they are made of rows. A secret is in one of them, and only in the answer to
whoever has just made it.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from hub.store.receivers import Receiver
from hub.store.webhook_log import Delivery, TryKept

DELIVERY_PREFIX = "dlv-"


class SecretView(Struct, frozen=True, kw_only=True):
    """When a secret began to hold, and when it will not any more; null: it is the newest."""

    since: int
    until: int | None


class WebhookView(Struct, frozen=True, kw_only=True):
    """Times are unix milliseconds. `behind` counts events of the log that were not looked at for it yet,
    `pending` the deliveries it still has to get.
    """

    webhook_id: str
    url: str
    description: str
    events: tuple[str, ...]
    agent_id: str | None
    plugin: str | None
    labels: dict[str, str]
    status: str
    disabled_why: str | None
    failing_since: int | None
    pending: int
    behind: int
    cursor: str
    secrets: tuple[SecretView, ...]
    created_by: str
    created_at: int
    updated_at: int


class NewWebhookView(WebhookView, frozen=True, kw_only=True):
    """The same with its newest secret, which is shown here and never again."""

    secret: str


class WebhookListView(Struct, frozen=True, kw_only=True):
    webhooks: tuple[WebhookView, ...]
    count: int
    next: str | None = None
    """There are never more than one page."""


class DeliveryView(Struct, frozen=True, kw_only=True):
    """`message_id` is what the receiver sees as `webhook-id`; `tries` counts the round that is on."""

    delivery_id: str
    webhook_id: str
    message_id: str
    event: str
    task_id: str | None
    agent_id: str | None
    state: str
    tries: int
    next_try_at: int | None
    created_at: int
    updated_at: int


class TryView(Struct, frozen=True, kw_only=True):
    """One try: the status that came, or why none did, and the beginning of the answer."""

    at: int
    status: int | None
    error: str | None
    took_ms: int
    answer: str


class DeliveryDetailView(DeliveryView, frozen=True, kw_only=True):
    log: tuple[TryView, ...]
    body: Raw | None


class DeliveryListView(Struct, frozen=True, kw_only=True):
    deliveries: tuple[DeliveryView, ...]
    count: int
    next: str | None


class ReplayView(Struct, frozen=True, kw_only=True):
    """`cursor`: events after it are looked at again."""

    status: str
    webhook_id: str
    cursor: str


class RemovedView(Struct, frozen=True, kw_only=True):
    status: str
    webhook_id: str


def view_webhook(receiver: Receiver, *, epoch: str, last_offset: int, pending: int) -> WebhookView:
    wanted = receiver.wanted
    return WebhookView(
        webhook_id=receiver.webhook_id,
        url=receiver.url,
        description=receiver.description,
        events=wanted.events,
        agent_id=wanted.agent_id,
        plugin=wanted.plugin,
        labels=wanted.labels,
        status="enabled" if receiver.is_enabled else "disabled",
        disabled_why=receiver.disabled_why,
        failing_since=receiver.failing_since_wall_ms,
        pending=pending,
        behind=max(0, last_offset - receiver.cursor) if receiver.is_enabled else 0,
        cursor=f"{epoch}:{receiver.cursor}",
        secrets=tuple(SecretView(since=key.since_wall_ms, until=key.until_wall_ms) for key in receiver.keys),
        created_by=receiver.created_by,
        created_at=receiver.created_wall_ms,
        updated_at=receiver.updated_wall_ms,
    )


def with_secret(view: WebhookView, secret: str) -> NewWebhookView:
    members = {name: getattr(view, name) for name in WebhookView.__struct_fields__}
    return NewWebhookView(**members, secret=secret)


def view_delivery(one: Delivery) -> DeliveryView:
    return DeliveryView(
        delivery_id=f"{DELIVERY_PREFIX}{one.number}",
        webhook_id=one.webhook_id,
        message_id=one.message_id,
        event=one.event,
        task_id=one.task_id,
        agent_id=one.agent_id,
        state=one.state,
        tries=one.tries,
        next_try_at=one.due_wall_ms or None,
        created_at=one.created_wall_ms,
        updated_at=one.updated_wall_ms,
    )


def with_log(view: DeliveryView, tries: tuple[TryKept, ...], body: str | None) -> DeliveryDetailView:
    members = {name: getattr(view, name) for name in DeliveryView.__struct_fields__}
    log = tuple(
        TryView(at=one.wall_ms, status=one.status, error=one.error, took_ms=one.took_ms, answer=one.answer)
        for one in tries
    )
    return DeliveryDetailView(**members, log=log, body=None if body is None else Raw(body.encode()))


def number_in(delivery_id: str) -> int | None:
    """The number of a delivery by its id; None if it is none of ours."""
    digits = delivery_id.removeprefix(DELIVERY_PREFIX)
    is_ours = delivery_id.startswith(DELIVERY_PREFIX) and digits.isascii() and digits.isdigit()
    return int(digits) if is_ours and len(digits) <= 15 else None
