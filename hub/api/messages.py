"""Messages between agents over HTTP: send one, read a mailbox, acknowledge it.

Owns who may read which box. Delivery to a live link, and keeping for an absent one, is the board's decision.
"""

from __future__ import annotations

import secrets
from typing import Final

from hub.api import problems
from hub.api.bodies import MESSAGE_BYTES_MAX, MailAckBody, MessageBody, judged
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.views import MailPage, MailView, StatusView
from hub.auth import Role, Scope
from hub.core.events import MessageSubmitted
from protocol.ids import AgentId, MessageId

MESSAGE_ID_BYTES: Final = 8
BROADCAST: Final = "broadcast"


def sender_of(call: Call, said: str | None) -> str:
    """An agent speaks for itself; an admin may say for whom, or speaks as `admin`."""
    who = call.identity
    if who.role is Role.ADMIN:
        return said or "admin"
    if said is not None and said != who.agent_id:
        raise problems.forbidden("the agent itself, or admin")
    return str(who.agent_id)


def own_box(call: Call) -> AgentId:
    """The mailbox in the path, if it is the caller's own."""
    agent_id = AgentId(call.path("agent_id"))
    if call.identity.role is not Role.ADMIN and call.identity.agent_id != agent_id:
        raise problems.forbidden("the agent itself, or admin")
    return agent_id


async def send_message(call: Call) -> Told:
    body = await call.body(MessageBody)
    payload = judged(bytes(body.payload), "payload", bytes_max=MESSAGE_BYTES_MAX)
    if not bytes(payload).startswith(b"{"):
        raise problems.invalid_field("payload", "invalid", "Expected a JSON object.")
    to = None if body.to in (None, BROADCAST) else AgentId(body.to or "")
    granted = await call.ask(
        MessageSubmitted(
            message_id=MessageId(secrets.token_hex(MESSAGE_ID_BYTES)),
            sender=sender_of(call, body.from_),
            to=to,
            message_type=body.message_type or "chat",
            payload=payload,
            reply_to=body.reply_to,
        )
    )
    return Told(200, StatusView(status="sent", id=granted.message_id))


async def read_mailbox(call: Call) -> Told:
    """Oldest first, from the first message after `since` (L59)."""
    agent_id = own_box(call)
    kept = await call.parts.queries.mail(agent_id, since=call.integer("since", 0), limit=call.page_rows())
    messages = tuple(
        MailView(
            seq=mail.seq,
            id=mail.message_id,
            from_=mail.sender,
            message_type=mail.message_type,
            payload=mail.payload,
            reply_to=mail.reply_to,
            timestamp=mail.wall_ms,
        )
        for mail in kept
    )
    last_seq = messages[-1].seq if messages else call.integer("since", 0)
    return Told(200, MailPage(messages=messages, last_seq=last_seq, count=len(messages)))


async def acknowledge(call: Call) -> Told:
    agent_id = own_box(call)
    body = await call.body(MailAckBody)
    await call.parts.mailboxes.acknowledge(agent_id, body.up_to)
    return Told(200, StatusView(status="acked", up_to=body.up_to))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/message",
        "Send a message to an agent, or to all",
        send_message,
        Scope.MAIL,
        reply=StatusView,
        body=MessageBody,
        refusals=(413, 422, 503),
        tag="messages",
    ),
    Endpoint(
        "GET",
        "/api/mailbox/{agent_id}",
        "Read an agent's kept messages",
        read_mailbox,
        Scope.MAIL,
        reply=MailPage,
        query=("since", "limit"),
        refusals=(422,),
        tag="messages",
    ),
    Endpoint(
        "POST",
        "/api/mailbox/{agent_id}/ack",
        "Acknowledge kept messages",
        acknowledge,
        Scope.MAIL,
        reply=StatusView,
        body=MailAckBody,
        refusals=(422,),
        tag="messages",
    ),
)
