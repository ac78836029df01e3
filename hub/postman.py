"""Kept messages, handed over when their agent is back: in order, and until it has shown that it read them.

Owns who has mail and is there, and the pace: a bounded piece at a time, the next when the one before is read.
What is said and not proven read is said again on the next link, with the same id: rather twice than never.
A box is emptied by its owner alone, or by age; the board decides what is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from hub.core.effects import Change, Effect, MailKept, Tell
from hub.ports import StorageFull
from protocol.frames import Identified, MessageDelivered
from protocol.ids import AgentId, MessageId
from protocol.limits import KIB

if TYPE_CHECKING:
    from hub.link import Link
    from hub.registry import Registry
    from hub.store.mail import Mailboxes
    from hub.store.queries import MailLine, Queries

PIECE_MESSAGES_MAX: Final = 20
PIECE_BYTES_MAX: Final = 128 * KIB
"""Said before a sign that it was read: well below what a link holds for a peer that reads slowly. One message
alone may have 64 KiB."""

logger = logging.getLogger(__name__)


class Postman:
    """One hub's. `see` is told each turn, after its commit; `run` does the rest."""

    def __init__(self, mailboxes: Mailboxes, queries: Queries, registry: Registry) -> None:
        self._mailboxes = mailboxes
        self._queries = queries
        self._registry = registry
        self._waiting: dict[AgentId, int] = {}
        """Whose box holds something that they were not told, and how often more was kept for them. Who is not
        here costs nothing on its way in."""
        self._returned: asyncio.Queue[int] = asyncio.Queue()

    async def open(self) -> None:
        """What earlier lives of the hub have left."""
        self._waiting = dict.fromkeys(await self._mailboxes.waiting(), 0)

    def see(self, changes: Iterable[Change], effects: Iterable[Effect]) -> None:
        """Messages that were kept, and agents that came in."""
        for change in changes:
            if isinstance(change, MailKept):
                self._waiting[change.to] = self._waiting.get(change.to, 0) + 1
        if not self._waiting:
            return
        for effect in effects:
            if isinstance(effect, Tell) and isinstance(effect.frame, Identified):
                self._note_return(effect.frame.agent_id, effect.link_id)

    def _note_return(self, agent_id: AgentId, link_id: int) -> None:
        if agent_id in self._waiting:
            self._returned.put_nowait(link_id)

    async def run(self) -> None:
        """Hand over for ever; one agent that does not read holds up no other."""
        async with asyncio.TaskGroup() as rounds:
            while True:
                link = self._registry.link(await self._returned.get())
                if link is not None:
                    rounds.create_task(self._hand_over(link), name=f"mail for {link.agent_id}")

    async def _hand_over(self, link: Link) -> None:
        agent_id = AgentId(link.agent_id or "")
        told = await self._mailboxes.told(agent_id)
        while True:
            kept = self._waiting.get(agent_id)
            found = await self._queries.mail(agent_id, since=told, limit=PIECE_MESSAGES_MAX)
            if not found:
                break
            piece = first_piece(found)
            for line in piece:
                link.say(frame_of(line))
            if not await link.is_heard():
                return
            told = piece[-1].seq
            try:
                await self._mailboxes.note_told(agent_id, told)
            except StorageFull:
                logger.warning("! mail was read and that cannot be kept", extra={"agent_id": agent_id})
                return
        if self._waiting.get(agent_id) == kept:  # nothing came since we looked
            self._waiting.pop(agent_id, None)


def first_piece(lines: tuple[MailLine, ...]) -> tuple[MailLine, ...]:
    """As many as may be said before a sign, and never none of some."""
    size = 0
    for count, line in enumerate(lines):
        size += len(bytes(line.payload))
        if count and size > PIECE_BYTES_MAX:
            return lines[:count]
    return lines


def frame_of(line: MailLine) -> MessageDelivered:
    """As it would have been said to an agent that was there, with the time at which it was sent."""
    return MessageDelivered(
        id=MessageId(line.message_id),
        from_=line.sender,
        message_type=line.message_type,
        payload=line.payload,
        timestamp=line.wall_ms,
        reply_to=line.reply_to,
    )


async def postman_of(mailboxes: Mailboxes, queries: Queries, registry: Registry) -> Postman:
    """One that knows what is waiting."""
    postman = Postman(mailboxes, queries, registry)
    await postman.open()
    return postman
