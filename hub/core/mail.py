"""Messages between agents, and to agents from people.

Owns who hears a message now and whose mailbox keeps it. Never keeps one itself: the ledger does.
"""

from __future__ import annotations

from typing import Final

from hub.core.draft import Draft, payload_of
from hub.core.effects import Granted, MailKept, Tell, TellOthers
from hub.core.events import MessageSubmitted
from hub.core.office import Office
from hub.core.seats import Agent
from protocol.frames import Message, MessageDelivered, MessageSent
from protocol.ids import AgentId, MessageId

EVERYBODY: Final = "broadcast"


def hear_message(office: Office, agent: Agent, message: Message, message_id: MessageId, draft: Draft) -> None:
    """From an agent: delivered or kept, and its id told to the sender, who never hears it back."""
    to = None if message.to in (None, EVERYBODY) else message.to
    submitted = MessageSubmitted(
        message_id=message_id,
        sender=agent.agent_id,
        to=to,
        message_type=message.message_type,
        payload=message.payload,
        reply_to=message.reply_to,
    )
    deliver(office, submitted, agent.link_id, draft)
    office.tell(agent, MessageSent(id=message_id), draft)


def submit_message(office: Office, event: MessageSubmitted, draft: Draft) -> None:
    """From a person, a program, or an agent over HTTP, which does not hear it back either."""
    sender = office.fleet.get(AgentId(event.sender))
    deliver(office, event, sender.link_id if sender is not None and sender.is_connected else 0, draft)
    draft.reply = Granted(note="sent", message_id=event.message_id, agent_id=event.to)


def deliver(office: Office, event: MessageSubmitted, from_link: int, draft: Draft) -> None:
    """To all, to one who is there, or into the mailbox of one who is not."""
    frame = MessageDelivered(
        id=event.message_id,
        from_=event.sender,
        message_type=event.message_type,
        payload=event.payload,
        reply_to=event.reply_to,
        timestamp=draft.now.wall_ms,
    )
    if event.to is None:
        draft.effects.append(TellOthers(from_link, frame))
    else:
        deliver_to_one(office, event, event.to, frame, from_link, draft)
    members: dict[str, object] = {"id": event.message_id, "from": event.sender, "to": event.to}
    payload = payload_of(members | {"message_type": event.message_type, "payload": event.payload})
    draft.pass_by("message", payload, agent_id=event.to)


def deliver_to_one(
    office: Office,
    event: MessageSubmitted,
    to: AgentId,
    frame: MessageDelivered,
    from_link: int,
    draft: Draft,
) -> None:
    agent = office.fleet.get(to)
    if agent is None or not agent.is_connected:
        draft.changes.append(
            MailKept(
                message_id=event.message_id,
                to=to,
                sender=event.sender,
                message_type=event.message_type,
                payload=event.payload,
                reply_to=event.reply_to,
                wall_ms=draft.now.wall_ms,
            )
        )
    elif agent.link_id != from_link:
        draft.effects.append(Tell(agent.link_id, frame))
