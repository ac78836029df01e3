"""Webhooks over HTTP: name who is told of events, look at what they got, and send it again.

Owns the bodies and which refusal is which status. Everything here is an admin's: a webhook is told what only
viewers may read, and the hub calls where it says. What is told when is the business of `hub/notices`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from hub.api import problems
from hub.api.bodies import AgentName, Key, Labels, Name, WallMs
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.problems import Problem
from hub.api.views_webhooks import (
    DeliveryDetailView,
    DeliveryListView,
    DeliveryView,
    NewWebhookView,
    RemovedView,
    ReplayView,
    WebhookListView,
    WebhookView,
    number_in,
    view_delivery,
    view_webhook,
    with_log,
    with_secret,
)
from hub.auth import Scope
from hub.lines import BadCursor, parse_cursor
from hub.notices.office import NotEnabled, NotThere
from hub.ports import StorageFull
from hub.store.receivers import EVERYTHING, Receiver, Wanted
from hub.store.webhook_log import Delivery
from hub.store.webhooks import DELIVERED, FAILED, PENDING, RECEIVERS_MAX, TooManyWebhooks
from hub.webhooks.guard import URL_LENGTH_MAX, BadTarget
from protocol.limits import NAME_LENGTH_MAX

T = TypeVar("T")

PATTERNS_MAX: Final = 64
DESCRIPTION_LENGTH_MAX: Final = 500
STATES: Final = (DELIVERED, FAILED, PENDING)

Url = Annotated[str, Meta(min_length=1, max_length=URL_LENGTH_MAX)]
Pattern = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z_*]+$")]
Patterns = Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=PATTERNS_MAX)]
Sentence = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH_MAX)]


class WebhookBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/webhooks. `events` are names as the feed has them, `*` stands for any letters; without it all
    are told. Whatever else is given must hold, too; a filter that is mistyped would tell more than was meant.
    """

    url: Url
    description: Sentence = ""
    events: Patterns = EVERYTHING
    agent_id: AgentName | None = None
    plugin: Name | None = None
    labels: Labels | None = None


class WebhookChangeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /api/webhooks/{id}: what is left out stays as it is, null takes a filter away. Once it is
    enabled again it is told of what happens from then on; a replay tells the rest."""

    url: Url | UnsetType = UNSET
    description: Sentence | UnsetType = UNSET
    events: Patterns | UnsetType | None = UNSET
    agent_id: AgentName | UnsetType | None = UNSET
    plugin: Name | UnsetType | None = UNSET
    labels: Labels | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class ReplayBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/webhooks/{id}/replay: after a cursor of the feed, or from a moment on."""

    since: Key | None = None
    since_time: WallMs | None = None


def shown(call: Call, receiver: Receiver) -> WebhookView:
    feed, notices = call.parts.feed, call.parts.notices
    return view_webhook(
        receiver,
        epoch=feed.epoch,
        last_offset=feed.last_offset,
        pending=notices.pending(receiver.webhook_id),
    )


def known(call: Call) -> Receiver:
    webhook_id = call.path("webhook_id")
    receiver = call.parts.notices.receivers.get(webhook_id)
    if receiver is None:
        raise no_such_webhook(webhook_id)
    return receiver


def no_such_webhook(webhook_id: str) -> Problem:
    return Problem(
        404,
        "webhook_not_found",
        "There is no webhook with that id. GET /api/webhooks lists them.",
        members={"webhook_id": webhook_id[:NAME_LENGTH_MAX]},
    )


async def done(call: Call, act: Awaitable[T]) -> T:
    """What came of it, or the Problem of why not."""
    problem: Problem
    try:
        return await act
    except BadTarget as bad:
        problem = problems.invalid_field("url", "not_allowed", f"The hub does not call there: {bad}.")
    except TooManyWebhooks:
        problem = Problem(409, "too_many_webhooks", f"A hub keeps {RECEIVERS_MAX}. Remove one first.")
    except NotEnabled:
        problem = Problem(
            409, "invalid_state", "It is told nothing while it is disabled.", members={"state": "disabled"}
        )
    except NotThere as gone:
        problem = no_such_webhook(str(gone))
    except StorageFull:
        problem = problems.storage_full()
    raise problem


# --- webhooks -----------------------------------------------------------------------------------------------


async def add_webhook(call: Call) -> Told:
    body = await call.body(WebhookBody)
    wanted = Wanted(
        events=body.events, agent_id=body.agent_id, plugin=body.plugin, labels=dict(body.labels or {})
    )
    adding = call.parts.notices.add(body.url, wanted, description=body.description, by=call.by)
    receiver, secret = await done(call, adding)
    await call.note("webhook_added", f"{receiver.webhook_id} {place_of(receiver)}")
    return Told(201, with_secret(shown(call, receiver), secret))


def place_of(receiver: Receiver) -> str:
    """For the audit and the log, which more people read: what comes behind the host may be a key."""
    parts = urlsplit(receiver.url)
    return f"{parts.scheme}://{parts.netloc}/…"


async def list_webhooks(call: Call) -> Told:
    views = tuple(shown(call, receiver) for receiver in call.parts.notices.receivers.values())
    return Told(200, WebhookListView(webhooks=views, count=len(views)))


async def get_webhook(call: Call) -> Told:
    return Told(200, shown(call, known(call)))


async def change_webhook(call: Call) -> Told:
    body = await call.body(WebhookChangeBody)
    before = known(call)
    changing = call.parts.notices.change(before.webhook_id, lambda receiver: edited(receiver, body))
    receiver = await done(call, changing)
    detail = f"{receiver.webhook_id} {place_of(receiver)} {shown(call, receiver).status}"
    await call.note("webhook_changed", detail)
    return Told(200, shown(call, receiver))


def edited(receiver: Receiver, body: WebhookChangeBody) -> Receiver:
    own = {"url": body.url, "description": body.description, "is_enabled": body.enabled}
    filters: dict[str, Any] = {"agent_id": body.agent_id, "plugin": body.plugin}
    if body.events is not UNSET:
        filters["events"] = body.events or EVERYTHING
    if body.labels is not UNSET:
        filters["labels"] = dict(body.labels or {})
    wanted = replace(receiver.wanted, **said(filters))
    return replace(receiver, wanted=wanted, **said(own))


def said(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not UNSET}


async def remove_webhook(call: Call) -> Told:
    receiver = known(call)
    await done(call, call.parts.notices.remove(receiver.webhook_id))
    await call.note("webhook_removed", f"{receiver.webhook_id} {place_of(receiver)}")
    return Told(200, RemovedView(status="removed", webhook_id=receiver.webhook_id))


async def rotate_secret(call: Call) -> Told:
    receiver, secret = await done(call, call.parts.notices.rotate(known(call).webhook_id))
    await call.note("webhook_rotated", receiver.webhook_id)
    return Told(200, with_secret(shown(call, receiver), secret))


async def send_test(call: Call) -> Told:
    receiver = known(call)
    number = await done(call, call.parts.notices.test(receiver.webhook_id))
    await call.note("webhook_tested", receiver.webhook_id)
    return Told(202, view_delivery(await delivery_of(call, number)))


async def replay(call: Call) -> Told:
    body = await call.body(ReplayBody)
    receiver = known(call)
    offset = await offset_of(call, body)
    cursor = await done(call, call.parts.notices.replay(receiver.webhook_id, offset))
    await call.note("webhook_replayed", f"{receiver.webhook_id} from {cursor}")
    view = ReplayView(
        status="replaying", webhook_id=receiver.webhook_id, cursor=f"{call.parts.feed.epoch}:{cursor}"
    )
    return Told(202, view)


async def offset_of(call: Call, body: ReplayBody) -> int:
    """Events after this one are meant."""
    if (body.since is None) == (body.since_time is None):
        raise problems.invalid_field("since", "missing", "Give one of since and since_time.")
    if body.since_time is not None:
        return await call.parts.notices.offset_before(body.since_time)
    assert body.since is not None, "one of both was given"
    try:
        epoch, offset = parse_cursor(body.since)
    except BadCursor as bad:
        raise problems.invalid_field("since", "invalid", f"{bad}.") from bad
    if epoch != call.parts.feed.epoch:
        raise problems.invalid_field("since", "invalid", "That cursor is of a history that is lost.")
    return offset


# --- deliveries ---------------------------------------------------------------------------------------------


async def list_deliveries(call: Call) -> Told:
    state = call.request.query_params.get("state") or None
    if state is not None and state not in STATES:
        raise problems.invalid_field("state", "invalid", f"Expected one of {', '.join(STATES)}.")
    page = await call.parts.notices.log.page(
        known(call).webhook_id,
        state=state,
        cursor=call.request.query_params.get("cursor") or None,
        limit=call.page_rows(),
    )
    if page is None:
        raise problems.invalid_field("cursor", "invalid", "That cursor is not one of ours; start without it.")
    views = tuple(map(view_delivery, page.deliveries))
    return Told(200, DeliveryListView(deliveries=views, count=len(views), next=page.next))


async def delivery_of(call: Call, number: int | None) -> Delivery:
    found = None if number is None else await call.parts.notices.log.get(number)
    if found is None or found.webhook_id not in call.parts.notices.receivers:
        raise Problem(
            404,
            "delivery_not_found",
            "There is no delivery with that id; after 30 days they are forgotten.",
            members={"delivery_id": call.request.path_params.get("delivery_id", "")[:NAME_LENGTH_MAX]},
        )
    return found


async def get_delivery(call: Call) -> Told:
    found = await delivery_of(call, number_in(call.path("delivery_id")))
    notices = call.parts.notices
    tries, body = await notices.log.tries(found.number), await notices.body(found.message_id)
    return Told(200, with_log(view_delivery(found), tries, body))


async def redeliver(call: Call) -> Told:
    """From the first try on, under the same message id: whoever has it already knows it by that."""
    found = await delivery_of(call, number_in(call.path("delivery_id")))
    await done(call, call.parts.notices.redeliver(found))
    await call.note("webhook_redelivered", f"{found.webhook_id} dlv-{found.number}")
    return Told(202, view_delivery(await delivery_of(call, found.number)))


def row(
    method: str,
    path: str,
    summary: str,
    handle: Any,
    reply: object,
    *refusals: int,
    status: int = 200,
    body: type[Any] | None = None,
    query: tuple[str, ...] = (),
) -> Endpoint:
    return Endpoint(
        method,
        f"/api/webhooks{path}",
        summary,
        handle,
        Scope.AGENTS_ADMIN,
        reply=reply,
        status=status,
        body=body,
        refusals=refusals,
        query=query,
        tag="webhooks",
    )


ONE: Final = "/{webhook_id}"
DELIVERY: Final = "/deliveries/{delivery_id}"
AGAIN: Final = f"{DELIVERY}/redeliver"

ENDPOINTS: Final = (
    row("GET", DELIVERY, "Get a delivery with every try of it", get_delivery, DeliveryDetailView, 404),
    row("POST", AGAIN, "Deliver it again", redeliver, DeliveryView, 404, 409, 503, status=202),
    row(
        *("POST", "", "Tell a webhook of events", add_webhook, NewWebhookView),
        *(400, 409, 413, 422, 503),
        status=201,
        body=WebhookBody,
    ),
    row("GET", "", "List webhooks", list_webhooks, WebhookListView),
    row("GET", ONE, "Get a webhook", get_webhook, WebhookView, 404),
    row(
        *("PATCH", ONE, "Change a webhook, or disable and enable it", change_webhook, WebhookView),
        *(400, 404, 413, 422, 503),
        body=WebhookChangeBody,
    ),
    row("DELETE", ONE, "Remove a webhook", remove_webhook, RemovedView, 404, 503),
    row("POST", f"{ONE}/rotate", "Give it a new secret", rotate_secret, NewWebhookView, 404, 503),
    row(
        "POST",
        f"{ONE}/test",
        "Send it a notice of nothing",
        send_test,
        DeliveryView,
        404,
        409,
        503,
        status=202,
    ),
    row(
        *("GET", f"{ONE}/deliveries", "List its deliveries, newest first", list_deliveries, DeliveryListView),
        *(404, 422),
        query=("state", "cursor", "limit"),
    ),
    row(
        *("POST", f"{ONE}/replay", "Tell it again of what has happened since", replay, ReplayView),
        *(400, 404, 409, 413, 422, 503),
        status=202,
        body=ReplayBody,
    ),
)
