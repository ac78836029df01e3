"""How far each mailbox was told to its agent."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE mail_told (
        agent_id TEXT NOT NULL,
        told_seq INTEGER NOT NULL,
        PRIMARY KEY (agent_id)
    )
    """,
)
