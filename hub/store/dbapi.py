"""apsw behind a small DB-API 2 face, so that SQLAlchemy can use it as the `module` of its SQLite dialect.

Owns the translation of errors and the handful of methods that SQLAlchemy calls; `connect` is also how the
writer opens its connection, so that one VFS (a test's, say) is under both. Never begins a transaction by
itself: what SQLite calls autocommit is what there is until somebody says BEGIN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import apsw

apilevel: Final = "2.0"
threadsafety: Final = 1
paramstyle: Final = "qmark"
sqlite_version: Final = apsw.sqlite_lib_version()
sqlite_version_info: Final = tuple(int(part) for part in sqlite_version.split("."))

Row = tuple[Any, ...]


class Warning(Exception):  # noqa: A001 - DB-API 2 prescribes the name
    """Never raised; DB-API 2 asks for it."""


class Error(Exception):
    """The cause is always apsw's own error, which has the extended result code."""


class InterfaceError(Error):
    pass


class DatabaseError(Error):
    pass


class DataError(DatabaseError):
    pass


class OperationalError(DatabaseError):
    pass


class IntegrityError(DatabaseError):
    pass


class InternalError(DatabaseError):
    pass


class ProgrammingError(DatabaseError):
    pass


class NotSupportedError(DatabaseError):
    pass


KINDS: Final[tuple[tuple[type[Exception], type[Error]], ...]] = (
    (apsw.ConstraintError, IntegrityError),
    (apsw.SQLError, ProgrammingError),
    (apsw.MisuseError, ProgrammingError),
    (apsw.BindingsError, ProgrammingError),
    (apsw.CursorClosedError, ProgrammingError),
    (apsw.ConnectionClosedError, ProgrammingError),
    (apsw.MismatchError, DataError),
    (apsw.TooBigError, DataError),
    (apsw.CorruptError, DatabaseError),
    (apsw.NotADBError, DatabaseError),
    (apsw.InternalError, InternalError),
)


def translated(error: apsw.Error) -> Error:
    """The DB-API's word for an error of apsw's. What is not in the table is the world's fault."""
    kind = next((ours for theirs, ours in KINDS if isinstance(error, theirs)), OperationalError)
    return kind(str(error))


class Cursor:
    """One statement and its rows."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor: apsw.Cursor = connection.cursor()
        self._cursor.exec_trace = self._describe
        self.rowcount = -1
        self.lastrowid = 0
        self.description: tuple[Row, ...] | None = None
        """Set by `_describe` while a statement starts."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self._run(lambda: self._cursor.execute(sql, tuple(parameters)))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        return self._run(lambda: self._cursor.executemany(sql, [tuple(row) for row in rows]))

    def _run(self, act: Callable[[], object]) -> Cursor:
        before = self._connection.total_changes()
        self._forget()
        try:
            act()
        except apsw.Error as error:
            raise translated(error) from error
        self.rowcount = -1 if self.description is not None else self._connection.total_changes() - before
        self.lastrowid = self._connection.last_insert_rowid()
        return self

    def _forget(self) -> None:
        self.description = None

    def _describe(self, cursor: apsw.Cursor, _sql: str, _parameters: object) -> bool:
        """Called by apsw before the first row: a statement that found none is over after it, and tells no
        more.
        """
        self.description = tuple((name, *[None] * 6) for name, *_ in cursor.get_description()) or None
        return True

    def fetchone(self) -> Row | None:
        try:
            row: Row | None = self._cursor.fetchone()
        except apsw.Error as error:
            raise translated(error) from error
        return row

    def fetchmany(self, size: int | None = None) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < (size or self.arraysize) and (row := self.fetchone()) is not None:
            rows.append(row)
        return rows

    def fetchall(self) -> list[Row]:
        try:
            rows: list[Row] = self._cursor.fetchall()
        except apsw.Error as error:
            raise translated(error) from error
        return rows

    def close(self) -> None:
        self._cursor.close()


class Connection:
    """What SQLAlchemy holds; `apsw` is the connection itself."""

    isolation_level: str | None = None

    def __init__(self, connection: apsw.Connection) -> None:
        self.apsw = connection

    def cursor(self) -> Cursor:
        return Cursor(self.apsw)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self.cursor().execute(sql, parameters)

    def commit(self) -> None:
        if self.apsw.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.apsw.in_transaction:
            self.execute("ROLLBACK")

    def create_function(
        self, name: str, parameters: int, function: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        self.apsw.create_scalar_function(name, function, parameters, deterministic=deterministic)

    def close(self) -> None:
        self.apsw.close()


def connect(path: str, *, read_only: bool = False, vfs: str | None = None, **_ignored: object) -> Connection:
    """Open a database file. SQLAlchemy passes options of sqlite3 that mean nothing here."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        return Connection(apsw.Connection(path, flags=flags, vfs=vfs))
    except apsw.Error as error:
        raise translated(error) from error
