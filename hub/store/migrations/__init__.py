"""Every shape that the ledger's tables have ever had, forward only.

Owns the order of the migrations and how one is applied: each is one transaction, and `user_version` says
which was the last. Nothing here imports `tables.py`: a migration says what was true when it was written, for
ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw

from hub.core.fingerprints import fingerprint
from hub.errors import ConfigurationError
from hub.store.migrations import m0001_first, m0002_runs, m0003_queue, m0004_webhooks, m0005_mail

MIGRATIONS: Final[tuple[Sequence[str], ...]] = (
    m0001_first.STATEMENTS,
    m0002_runs.STATEMENTS,
    m0003_queue.STATEMENTS,
    m0004_webhooks.STATEMENTS,
    m0005_mail.STATEMENTS,
)
"""The n-th of them makes `user_version` n."""


def version_of(connection: apsw.Connection) -> int:
    version = connection.pragma("user_version")
    assert isinstance(version, int)
    return version


def migrate(connection: apsw.Connection, steps: tuple[Sequence[str], ...] = MIGRATIONS) -> int:
    """Bring the database to the newest shape; a database that is newer than this program is refused."""
    found = version_of(connection)
    if found > len(steps):
        raise ConfigurationError(
            f"The database was written by a newer crewhub (its tables are version {found}, this program knows"
            f" {len(steps)}). Start that version, or restore a backup made before the upgrade."
        )
    connection.create_scalar_function("error_fingerprint", error_fingerprint, 3, deterministic=True)
    for number, statements in enumerate(steps[found:], found + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    return len(steps)


def error_fingerprint(*given: apsw.SQLiteValue) -> str:
    """For the rows of old failures: they are grouped with the new ones, so today's rule is theirs too."""
    how, plugin, error = (str(value or "") for value in given)
    return fingerprint(how, plugin, error)
