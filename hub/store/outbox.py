"""The outbox: what Redis has not heard yet, in the order in which it was decided.

Owns reading letters, deleting those that are delivered, and the bell that rings when a commit has put some
in. Letters are written with the ends of their tasks (`writing.py`). Never speaks to Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

import apsw
from msgspec import Raw, Struct
from sqlalchemy import func, select

from hub.core.effects import LetterKind
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from hub.store.sheet import run_with
from hub.store.statements import OUTBOX

LETTERS_MAX: Final = 100
"""Read at once: few enough that a Redis that goes away in the middle has little repeated."""

DELETED: Final = "DELETE FROM outbox WHERE letter_id IN (SELECT value FROM json_each(?))"


class Letter(Struct, frozen=True, kw_only=True):
    """A letter as it lies in its row. `payload` is JSON text."""

    letter_id: int
    kind: LetterKind
    key: str
    target: str
    payload: Raw
    task_id: str
    wall_ms: int


class Outbox:
    """Deleting is the last step: a letter that was delivered and not deleted comes again, with its key."""

    def __init__(self, ledger: SqliteLedger, queries: Queries) -> None:
        self._ledger = ledger
        self._queries = queries
        self.bell = asyncio.Event()
        """Set by every commit that has put a letter in; whoever empties the outbox clears it first."""
        ledger.on_letters = self.bell.set

    async def next(self, limit: int = LETTERS_MAX, *, after: int = 0) -> tuple[Letter, ...]:
        """The oldest letters with a higher number, in order."""
        columns = [OUTBOX.c[name] for name in Letter.__struct_fields__ if name != "letter_id"]
        page = (
            select(*columns, OUTBOX.c.letter_id)
            .where(OUTBOX.c.letter_id > after)
            .order_by(OUTBOX.c.letter_id)
        )
        found, _ = await self._queries.read_page(page, ("payload",), "letter_id", limit, rows_max=LETTERS_MAX)
        return tuple(
            Letter(
                letter_id=letter_id,
                kind=kind,
                key=key,
                target=target,
                payload=Raw(payload.encode()),
                task_id=task_id,
                wall_ms=wall_ms,
            )
            for kind, key, target, payload, task_id, wall_ms, letter_id in found
        )

    async def done(self, letter_ids: Iterable[int]) -> None:
        """They are delivered."""
        given = tuple(letter_ids)
        if given:
            await self._ledger.write(partial(delete, letter_ids=given))

    async def waiting(self) -> int:
        """How many are not delivered."""
        (count,) = (await self._queries.read_rows(select(func.count()).select_from(OUTBOX)))[0]
        return int(count)


def delete(connection: apsw.Connection, letter_ids: tuple[int, ...]) -> None:
    run_with(connection, DELETED, letter_ids)
