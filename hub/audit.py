"""Who did what to this hub: log-ins, refusals, tokens, agents steered, work pushed and cancelled.

Owns the words of the audit (append only, in the database) and how they get there: what changes who may come
in is durable before it is answered; what the tasks' own log says already, and refusals, follow in a second.
Never has a secret: actors and things are named by their public ids.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

import apsw

from hub.buckets import Bucket
from hub.ports import Clock, StorageFull
from hub.store.ledger import SqliteLedger

DETAIL_LENGTH_MAX: Final = 512

WAITING_MAX: Final = 20_000
"""Rows that wait to be written. Above it they are counted, and the next row tells how many were lost."""

REFUSALS_PER_SECOND: Final = 5
REFUSALS_BURST: Final = 200
"""Whoever is refused chooses how often: a flood of refusals is counted, and fills no disk."""

NOBODY: Final = "nobody"
"""The actor of a call whose token was not believed."""

INSERT: Final = "INSERT INTO audit (wall_ms, action, actor, address, detail) VALUES (?, ?, ?, ?, ?)"

Row = tuple[int, str, str, str, str]

logger = logging.getLogger(__name__)


class Jotter(Protocol):
    """The half of the audit that never waits."""

    def jot(self, action: str, actor: str, detail: str, *, address: str = "") -> None:
        """Written with the next ones; what is durable elsewhere, or changes nothing."""

    def refused(self, actor: str, detail: str, *, address: str = "") -> None:
        """Somebody wanted what they may not."""


class NoAudit:
    """Implements `Jotter` where nobody asks who it was."""

    def jot(self, action: str, actor: str, detail: str, *, address: str = "") -> None:
        """Forget it."""

    def refused(self, actor: str, detail: str, *, address: str = "") -> None:
        """Forget it."""


class Audit:
    """Call it with an action in the past tense, who did it, and to what. Implements `Jotter`."""

    def __init__(self, ledger: SqliteLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: list[Row] = []
        self._lost = 0
        self._refusals = Bucket(per_second=REFUSALS_PER_SECOND, burst=REFUSALS_BURST, now_ms=clock.now().ms)
        self._refusals_uncounted = 0

    async def __call__(self, action: str, actor: str, detail: str, *, address: str = "") -> None:
        """Durable when this returns."""
        row = self._row(action, actor, detail, address)
        await self._write([row])
        logger.info("= audit", extra={"action": action, "actor": actor, "detail": row[4]})

    def jot(self, action: str, actor: str, detail: str, *, address: str = "") -> None:
        """Written by the next `flush`."""
        if len(self._waiting) >= WAITING_MAX:
            self._lost += 1
            return
        self._waiting.append(self._row(action, actor, detail, address))

    def refused(self, actor: str, detail: str, *, address: str = "") -> None:
        """A refusal; of too many the number is kept."""
        if not self._refusals.take(self._clock.now().ms):
            self._refusals_uncounted += 1
            return
        more, self._refusals_uncounted = self._refusals_uncounted, 0
        self.jot("refused", actor, f"{detail} (and {more} more)" if more else detail, address=address)

    async def flush(self) -> None:
        """Write what has gathered. While the disk is full it waits, within its bound."""
        rows, self._waiting = self._waiting, []
        lost, self._lost = self._lost, 0
        if lost:
            rows.append(self._row("audit_lost", NOBODY, f"{lost} rows", ""))
        if not rows:
            return
        try:
            await self._write(rows)
        except StorageFull:
            self._waiting = [*rows, *self._waiting][:WAITING_MAX]

    def _row(self, action: str, actor: str, detail: str, address: str) -> Row:
        return (self._clock.now().wall_ms, action, actor, address, detail[:DETAIL_LENGTH_MAX])

    async def _write(self, rows: list[Row]) -> None:
        def insert(connection: apsw.Connection) -> None:
            connection.executemany(INSERT, rows)

        await self._ledger.write(insert)
