"""Who did what to this hub: log-ins, tokens, agents steered. Append only, in the database, and in the log.

Owns the words of the audit. Never holds up what it tells of longer than one commit, and never has a secret:
actors and things are named by their public ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import apsw

from hub.store.ledger import SqliteLedger

DETAIL_LENGTH_MAX: Final = 512

INSERT: Final = "INSERT INTO audit (wall_ms, action, actor, address, detail) VALUES (?, ?, ?, ?, ?)"

logger = logging.getLogger(__name__)


class Audit:
    """Call it with an action in the past tense, who did it, and to what."""

    def __init__(self, ledger: SqliteLedger, wall_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._wall_ms = wall_ms

    async def __call__(self, action: str, actor: str, detail: str, *, address: str = "") -> None:
        """Durable when this returns."""
        row = (self._wall_ms(), action, actor, address, detail[:DETAIL_LENGTH_MAX])

        def insert(connection: apsw.Connection) -> None:
            connection.execute(INSERT, row)

        await self._ledger.write(insert)
        logger.info("= audit", extra={"action": action, "actor": actor, "detail": row[4]})
