"""The database file: opening it, its life from start to end, and its epoch.

Owns the connections (one writer, a pool of readers), the pragmas, the lock that keeps a second hub out, and
the one row about the database itself. An epoch changes when history may have been lost: after an unclean end
with durability normal, and in a copy that a backup made. Never reads or writes a task.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final, Literal

import apsw
from msgspec import Struct
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from hub.errors import ConfigurationError
from hub.store import dbapi, permissions
from hub.store.migrations import migrate

Durability = Literal["full", "normal"]

SQLITE_LEAST: Final = (3, 51, 3)
"""Older ones can corrupt a database when a checkpoint and a write meet at the reset of the WAL (ADR 0003)."""

BUSY_MS: Final = 5_000
"""How long we wait for somebody else's lock: a backup, or a person with a shell on the file."""

READERS_MAX: Final = 4
"""Reader connections; a fifth read waits for one. Two cores have no use for more."""

CACHE_KIB: Final = 64 * 1024
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
"""A WAL that grew in a rush is cut back to this at its next reset."""

CHECKPOINT_PAGES: Final = 4_000
"""16 MiB: then the writer folds the WAL into the database, hot pages once for many commits."""

FLOOR_STEP: Final = 1_000_000
"""Generations go on so far above what is known when history was lost: nobody issues a million in between."""

EPOCH_BYTES: Final = 8


class Meta(Struct, frozen=True):
    epoch: str
    generation_floor: int
    durability: str
    is_clean: bool
    is_backup: bool


class Database:
    """An open database. `open_database` makes one; whoever did must `close` it."""

    def __init__(
        self, path: Path, writer: apsw.Connection, readers: Engine, durability: Durability, lock: int | None
    ) -> None:
        self.path = path
        self.writer = writer
        """For the writer thread alone."""
        self.readers = readers
        self.durability = durability
        self._lock = lock
        self.shift_ms = 0
        """Wall time less the hub's monotonic time, as of the last batch: deadlines lie on the disk as wall
        time.
        """
        self.meta = begin(writer, durability)

    @property
    def epoch(self) -> str:
        return self.meta.epoch

    def reread_meta(self) -> None:
        """After a batch that began a new epoch."""
        found = read_meta(self.writer)
        assert found is not None, "the row is there since the database was opened"
        self.meta = found

    def free_bytes(self) -> int:
        """What an ordinary user may still write where the database lies."""
        found = os.statvfs(self.path.parent)
        return found.f_bavail * found.f_frsize

    def close(self, *, is_clean: bool = True) -> None:
        """End. With durability normal only a database that was closed cleanly keeps its epoch."""
        self.readers.dispose()
        try:
            if is_clean:
                end(self.writer)
        finally:
            try:
                self.writer.close()
            finally:
                if self._lock is not None:
                    os.close(self._lock)
                    self._lock = None


def open_database(
    path: Path,
    durability: Durability = "full",
    *,
    vfs: str | None = None,
    checkpoint_pages: int = CHECKPOINT_PAGES,
) -> Database:
    """Open the ledger of a hub, and make it if there is none. Raises ConfigurationError with what to do."""
    check_driver()
    permissions.private_folder(path.parent)
    lock = locked(permissions.private_file(path.with_name(path.name + ".lock")))
    try:
        permissions.private_file(path)
        permissions.check_database(path)
        writer = dbapi.connect(str(path), vfs=vfs).apsw
        try:
            prepare(writer, durability, checkpoint_pages)
            migrate(writer)
            return Database(path, writer, open_readers(path, vfs=vfs), durability, lock)
        except BaseException:
            writer.close()
            raise
    except BaseException:
        os.close(lock)
        raise


def check_driver(found: tuple[int, ...] = dbapi.sqlite_version_info) -> None:
    if found < SQLITE_LEAST:
        raise ConfigurationError(
            f"SQLite {'.'.join(map(str, found))} can corrupt a database in WAL mode; at least"
            f" {'.'.join(map(str, SQLITE_LEAST))} is needed. Install a newer apsw: pip install --upgrade apsw"
        )


def locked(path: Path) -> int:
    """Hold the lock file for as long as the process lives; the system lets it go, however we end."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            f"Another hub is running on this database ({path} is locked)."
            " Stop it, or give this one its own --state-dir."
        ) from None
    return descriptor


def is_in_use(path: Path) -> bool:
    """Whether a hub has this database open."""
    lock = path.with_name(path.name + ".lock")
    if not lock.exists():
        return False
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def prepare(connection: apsw.Connection, durability: Durability, checkpoint_pages: int) -> None:
    """Set what holds for the writer's connection and is not kept in the file."""
    connection.set_busy_timeout(BUSY_MS)
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise ConfigurationError(
            f"The database takes no write-ahead log (it stays in mode {mode}): put it on a local disk."
        )
    set_synchronous(connection, durability)
    connection.pragma("foreign_keys", True)
    connection.pragma("trusted_schema", False)
    connection.pragma("cell_size_check", True)
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("temp_store", "memory")
    connection.pragma("journal_size_limit", WAL_BYTES_KEPT)
    connection.wal_autocheckpoint(checkpoint_pages)


def set_synchronous(connection: apsw.Connection, durability: Durability) -> None:
    """full: a commit is on the disk when it returns. normal: only a checkpoint is."""
    connection.pragma("synchronous", durability)


def open_readers(path: Path, *, vfs: str | None = None) -> Engine:
    """A pool of connections that cannot write."""

    def connect() -> dbapi.Connection:
        connection = dbapi.connect(str(path), read_only=True, vfs=vfs)
        connection.apsw.set_busy_timeout(BUSY_MS)
        connection.apsw.pragma("query_only", True)
        connection.apsw.pragma("trusted_schema", False)
        return connection

    return create_engine(
        "sqlite://",
        module=dbapi,
        creator=connect,
        poolclass=QueuePool,
        pool_size=READERS_MAX,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
    )


# --- the row about the database -----------------------------------------------------------------------------


def read_meta(connection: apsw.Connection) -> Meta | None:
    found = connection.execute(
        "SELECT epoch, generation_floor, durability, is_clean, is_backup FROM meta WHERE number = 1"
    ).fetchone()
    if found is None:
        return None
    epoch, floor, durability, is_clean, is_backup = found
    return Meta(str(epoch), int(floor), str(durability), bool(is_clean), bool(is_backup))


def begin(connection: apsw.Connection, durability: Durability) -> Meta:
    """Note that a hub has it open, in a new epoch if history may have been lost."""
    with connection:
        found = read_meta(connection)
        if found is None:
            meta = Meta(new_epoch(), 0, durability, False, False)
        elif found.is_backup or (not found.is_clean and found.durability == "normal"):
            meta = Meta(new_epoch(), next_floor(connection, found), durability, False, False)
        else:
            meta = Meta(found.epoch, found.generation_floor, durability, False, False)
        connection.execute(
            "INSERT OR REPLACE INTO meta (number, epoch, generation_floor, durability, is_clean, is_backup)"
            " VALUES (1, ?, ?, ?, 0, 0)",
            (meta.epoch, meta.generation_floor, durability),
        )
    return meta


def end(connection: apsw.Connection) -> None:
    connection.execute("UPDATE meta SET is_clean = 1 WHERE number = 1")
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def new_epoch() -> str:
    return secrets.token_hex(EPOCH_BYTES)


def next_floor(connection: apsw.Connection, meta: Meta) -> int:
    """Above every generation that may have been issued since what is on this disk."""
    (highest,) = connection.execute("SELECT coalesce(max(generation), 0) FROM tasks").fetchone() or (0,)
    return max(int(highest), meta.generation_floor) + FLOOR_STEP
