"""Tokens at rest: a digest under the pepper, and what may be done with it. Never the token.

Owns the rows and the pepper's file. Every change is one transaction of the ledger's writer, so that a token
is whole or absent, and a join code burns with the birth of the token it was traded for. Who a token belongs
to is looked up in memory (`auth.Authority`), which is filled from here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from hub.auth import Role, TokenRecord
from hub.clock import wall_ms
from hub.errors import ConfigurationError
from hub.store import permissions
from hub.store.ledger import SqliteLedger
from protocol.ids import AgentId, TokenId

PEPPER_BYTES: Final = 32
PEPPER_NAME: Final = "pepper"

REVOKED_KEPT_MS: Final = 365 * 24 * 3_600_000
"""Rows of tokens that are over are kept as long as the audit that names them."""


class Kept(Struct, frozen=True, omit_defaults=True):
    """What of a token is neither a key nor a time."""

    label: str = ""
    prefix: str = ""
    agent_patterns: tuple[str, ...] = ()
    plugin_patterns: tuple[str, ...] = ()
    created_by: str = ""


kept_of: Final = msgspec.json.Decoder(Kept).decode

COLUMNS: Final = "token_id, digest, role, agent_id, record, created_wall_ms, expires_wall_ms, used_wall_ms"


def load_pepper(folder: Path) -> bytes:
    """The key under which digests are made. Without it no token of this hub is valid: back it up apart from
    them.
    """
    path = permissions.private_file(folder / PEPPER_NAME, secrets.token_hex(PEPPER_BYTES).encode())
    try:
        pepper = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        pepper = b""
    if len(pepper) < PEPPER_BYTES:
        raise ConfigurationError(
            f"{path} is not a pepper of {PEPPER_BYTES} bytes in hexadecimal digits."
            " Put the right one back; a new one makes every token of this hub invalid."
        )
    return pepper


class Tokens:
    """The rows of all tokens that are neither revoked nor expired."""

    def __init__(self, ledger: SqliteLedger, wall_ms: Callable[[], int] = wall_ms) -> None:
        self._ledger = ledger
        self._wall_ms = wall_ms

    async def load(self) -> tuple[TokenRecord, ...]:
        """All that are valid now."""
        now = self._wall_ms()

        def read(connection: apsw.Connection) -> tuple[TokenRecord, ...]:
            found = connection.execute(
                f"SELECT {COLUMNS} FROM tokens WHERE revoked_wall_ms IS NULL AND expires_wall_ms > ?"  # noqa: S608 - constant names
                " ORDER BY created_wall_ms, token_id",
                (now,),
            )
            return tuple(record_of(row) for row in found)

        return await self._ledger.look(read)

    async def is_first_start(self) -> bool:
        """Whether no token was ever made here: then the first admin's is printed, once."""
        return await self._ledger.look(
            lambda connection: connection.execute("SELECT 1 FROM tokens LIMIT 1").fetchone() is None
        )

    async def add(self, record: TokenRecord) -> None:
        await self._ledger.write(lambda connection: insert(connection, record))

    async def revoke(self, token_ids: Iterable[TokenId]) -> tuple[TokenId, ...]:
        """Make them invalid for ever; answers which of them were valid until now."""
        now, wanted = self._wall_ms(), tuple(token_ids)
        return await self._ledger.write(lambda connection: end(connection, wanted, now))

    async def exchange(self, burnt: TokenId | None, record: TokenRecord) -> bool:
        """A join code for a token, in one transaction. False, and nothing written, when the code is spent."""
        now = self._wall_ms()

        def trade(connection: apsw.Connection) -> bool:
            if burnt is not None and not end(connection, (burnt,), now):
                return False
            insert(connection, record)
            return True

        return await self._ledger.write(trade)

    async def note_used(self, used: dict[TokenId, int]) -> None:
        """When each was last used: no fact, so it waits until nothing else does."""
        if not used:
            return

        def note(connection: apsw.Connection) -> None:
            connection.executemany(
                "UPDATE tokens SET used_wall_ms = ? WHERE token_id = ?",
                [(at, token_id) for token_id, at in used.items()],
            )

        await self._ledger.write_passing(note)

    async def forget_old(self) -> int:
        """Drop rows of tokens that ended more than a year ago; answers how many."""
        oldest = self._wall_ms() - REVOKED_KEPT_MS

        def drop(connection: apsw.Connection) -> int:
            connection.execute(
                "DELETE FROM tokens WHERE expires_wall_ms < ? OR revoked_wall_ms < ?", (oldest, oldest)
            )
            return connection.changes()

        return await self._ledger.write(drop)


def insert(connection: apsw.Connection, record: TokenRecord) -> None:
    kept = Kept(record.label, record.prefix, record.agent_patterns, record.plugin_patterns, record.created_by)
    connection.execute(
        f"INSERT INTO tokens ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant names
        (
            record.token_id,
            record.digest,
            record.role.value,
            record.agent_id,
            str(msgspec.json.encode(kept), "utf-8"),
            record.created_wall_ms,
            record.expires_wall_ms,
            record.used_wall_ms,
        ),
    )


def end(connection: apsw.Connection, token_ids: Iterable[TokenId], now: int) -> tuple[TokenId, ...]:
    """Revoke those that are still valid; answers which."""
    ended = []
    for token_id in token_ids:
        connection.execute(
            "UPDATE tokens SET revoked_wall_ms = ?1"
            " WHERE token_id = ?2 AND revoked_wall_ms IS NULL AND expires_wall_ms > ?1",
            (now, token_id),
        )
        if connection.changes():
            ended.append(token_id)
    return tuple(ended)


def record_of(row: tuple[Any, ...]) -> TokenRecord:
    token_id, digest, role, agent_id, record, created, expires, used = row
    kept = kept_of(record)
    return TokenRecord(
        token_id=TokenId(token_id),
        digest=digest,
        role=Role(role),
        agent_id=AgentId(agent_id) if agent_id is not None else None,
        label=kept.label,
        prefix=kept.prefix,
        agent_patterns=kept.agent_patterns,
        plugin_patterns=kept.plugin_patterns,
        created_wall_ms=created,
        expires_wall_ms=expires,
        used_wall_ms=used,
        created_by=kept.created_by,
    )
