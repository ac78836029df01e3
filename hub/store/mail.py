"""Mailboxes: messages for agents that were not there.

Owns the numbers of a box (never used twice, not even after it was emptied), its limits, acknowledging, and
up to where an agent was told. Delivery into a box happens inside the dispatcher's batch; reading is in
`queries.py`; who is told is the postman's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import apsw

from hub.core.effects import MailKept
from protocol.ids import AgentId

if TYPE_CHECKING:
    from hub.store.ledger import SqliteLedger

MAILBOX_MAX: Final = 100
"""Messages a box holds; the oldest goes when one more comes. A box is for what was missed, not an archive."""

MAIL_KEPT_MS: Final = 7 * 24 * 3_600_000
"""Older ones are not shown, and go when the next message is kept anywhere."""


def deliver(connection: apsw.Connection, messages: Iterable[MailKept]) -> None:
    for message in messages:
        seq = next_seq(connection, message.to)
        connection.execute(
            "INSERT INTO mail (agent_id, seq, message_id, sender, message_type, payload, reply_to, wall_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.to,
                seq,
                message.message_id,
                message.sender,
                message.message_type,
                str(message.payload, "utf-8"),
                message.reply_to,
                message.wall_ms,
            ),
        )
        full_at = seq - MAILBOX_MAX
        connection.execute("DELETE FROM mail WHERE agent_id = ? AND seq <= ?", (message.to, full_at))
        connection.execute("DELETE FROM mail WHERE wall_ms < ?", (message.wall_ms - MAIL_KEPT_MS,))


def next_seq(connection: apsw.Connection, agent_id: AgentId) -> int:
    rows = connection.execute(
        "INSERT INTO mailboxes (agent_id, last_seq) VALUES (?, 1)"
        " ON CONFLICT (agent_id) DO UPDATE SET last_seq = last_seq + 1 RETURNING last_seq",
        (agent_id,),
    ).fetchall()
    seq = rows[0][0]
    assert isinstance(seq, int)
    return seq


class Mailboxes:
    """What an agent may do with its own box, beside reading it."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger

    async def acknowledge(self, agent_id: AgentId, up_to: int) -> int:
        """Throw away what was read; answers how many messages that were. Acknowledging again is harmless."""

        def drop(connection: apsw.Connection) -> int:
            connection.execute("DELETE FROM mail WHERE agent_id = ? AND seq <= ?", (agent_id, up_to))
            return connection.changes()

        return await self._ledger.write(drop)

    async def waiting(self) -> set[AgentId]:
        """Whose box holds something that they were not told."""

        def look(connection: apsw.Connection) -> set[AgentId]:
            found = connection.execute(
                "SELECT DISTINCT mail.agent_id FROM mail LEFT JOIN mail_told USING (agent_id)"
                " WHERE seq > coalesce(told_seq, 0)"
            )
            return {AgentId(str(row[0])) for row in found}

        return await self._ledger.look(look)

    async def told(self, agent_id: AgentId) -> int:
        """The last message that this agent was told; 0 when it was told none."""

        def look(connection: apsw.Connection) -> int:
            found = connection.execute("SELECT told_seq FROM mail_told WHERE agent_id = ?", (agent_id,))
            row = found.fetchone()
            return int(str(row[0])) if row is not None else 0

        return await self._ledger.look(look)

    async def note_told(self, agent_id: AgentId, up_to: int) -> None:
        """It has read these: they stay in the box until it acknowledges them, and are not told again."""

        def note(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT INTO mail_told (agent_id, told_seq) VALUES (?, ?)"
                " ON CONFLICT (agent_id) DO UPDATE SET told_seq = max(told_seq, excluded.told_seq)",
                (agent_id, up_to),
            )

        await self._ledger.write(note)
