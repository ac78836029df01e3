"""Copies of a database: made while the hub runs, checked, and put back.

Owns how a copy is made (SQLite's own backup, then a sync, then the name), the mark in it that makes whoever
opens it begin a new epoch, and the invariants that a good database holds. Never touches the database that it
copies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import apsw

from hub.errors import ConfigurationError
from hub.store import dbapi, permissions
from hub.store.database import BUSY_MS, check_driver, read_meta
from hub.store.migrations import MIGRATIONS, version_of

STEP_PAGES: Final = 1_024
"""4 MiB a step: between steps the hub's own writer has its turn."""

FINDINGS_MAX: Final = 100

INVARIANTS: Final = (
    (
        "a hole in the log: offsets must be without gap",
        (
            'SELECT max("offset") - min("offset") + 1 AS wanted, count(*) AS found FROM events'
            " HAVING wanted <> found"
        ),
    ),
    (
        "a task without what was asked, or the other way round",
        (
            "SELECT number FROM tasks WHERE number NOT IN (SELECT number FROM submissions)"
            " UNION ALL SELECT number FROM submissions WHERE number NOT IN (SELECT number FROM tasks)"
        ),
    ),
    (
        "a task that has ended twice",
        (
            "SELECT task_id, count(*) FROM events WHERE task_id IS NOT NULL"
            " AND event IN ('task_cancelled', 'task_complete', 'task_failed')"
            " GROUP BY task_id HAVING count(*) > 1"
        ),
    ),
    (
        "a task whose ending is in the log and not in its row",
        (
            "SELECT tasks.task_id FROM events JOIN tasks ON tasks.task_id = events.task_id"
            " WHERE events.event IN ('task_cancelled', 'task_complete', 'task_failed')"
            " AND tasks.state NOT IN ('cancelled', 'completed', 'dead_letter', 'failed')"
        ),
    ),
    (
        "a held task without a holder, or a holder of one that is not held",
        (
            "SELECT task_id FROM tasks WHERE (holder IS NULL) <> (state IN"
            " ('queued', 'cancelled', 'completed', 'dead_letter', 'failed'))"
        ),
    ),
    ("more attempts than generations", "SELECT task_id FROM tasks WHERE attempt > generation"),
)
"""A sentence for what is wrong, and the statement that finds it, in every version of the tables."""

RUN_INVARIANTS: Final = (
    (
        "a run without its task",
        (
            "SELECT plugin_run_id FROM runs WHERE NOT EXISTS"
            " (SELECT 1 FROM tasks WHERE tasks.number = runs.number AND tasks.task_id = runs.task_id)"
        ),
    ),
    (
        "a run that has ended and its task has not, or the other way round",
        (
            "SELECT plugin_run_id FROM runs JOIN tasks ON tasks.number = runs.number"
            " WHERE (runs.ended_wall_ms IS NULL) <> (tasks.state NOT IN"
            " ('cancelled', 'completed', 'dead_letter', 'failed'))"
        ),
    ),
)
"""Likewise, since version 2."""

QUEUE_INVARIANTS: Final = (
    (
        "an end that has no time, or a time without an end",
        (
            "SELECT task_id FROM tasks WHERE (ended_wall_ms IS NULL) <> (state NOT IN"
            " ('cancelled', 'completed', 'dead_letter', 'failed'))"
        ),
    ),
    (
        "a unique key that an ended task still holds",
        "SELECT task_id FROM tasks WHERE unique_key IS NOT NULL AND ended_wall_ms IS NOT NULL",
    ),
    (
        "a failure without a fingerprint, or a fingerprint without a failure",
        ("SELECT task_id FROM tasks WHERE (fingerprint IS NULL) <> (state NOT IN ('dead_letter', 'failed'))"),
    ),
)
"""Likewise, since version 3."""

EVERY_INVARIANT: Final = ((1, INVARIANTS), (2, RUN_INVARIANTS), (3, QUEUE_INVARIANTS))
"""With the version of the tables from which on they can be asked."""


def open_to_read(path: Path, vfs: str | None = None) -> apsw.Connection:
    if not path.exists():
        raise ConfigurationError(f"There is no database at {path}.")
    check_driver()
    connection = dbapi.connect(str(path), read_only=True, vfs=vfs).apsw
    connection.set_busy_timeout(BUSY_MS)
    return connection


def back_up(source: Path, target: Path) -> int:
    """Copy a database, of a running hub too; answers its size. It gets its name once it is whole."""
    if target.exists():
        raise ConfigurationError(f"{target} exists already. A backup never overwrites: choose another name.")
    target.parent.mkdir(mode=permissions.FOLDER_MODE, parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    unfinished.unlink(missing_ok=True)
    permissions.private_file(unfinished)
    reader = open_to_read(source)
    try:
        copy_pages(reader, unfinished)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        reader.close()
    unfinished.rename(target)
    permissions.sync_folder(target.parent)
    return target.stat().st_size


def copy_pages(reader: apsw.Connection, path: Path) -> None:
    """One consistent image: readers of a WAL see the moment at which they began."""
    writer = dbapi.connect(str(path)).apsw
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        with writer.backup("main", reader, "main") as copy:
            while not copy.done:
                copy.step(STEP_PAGES)
        reader.execute("COMMIT")
        writer.pragma("journal_mode", "delete")
        writer.execute("UPDATE meta SET is_backup = 1")
    finally:
        writer.close()
    sync(path)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def version_at(path: Path) -> int:
    """Which version the tables of a file are; nothing is changed."""
    connection = open_to_read(path)
    try:
        return version_of(connection)
    finally:
        connection.close()


def check(path: Path, *, may_be_older: bool = False) -> list[str]:
    """What is wrong with a database, as sentences; nothing for a good one. A running hub is not disturbed.

    Tables of an older version are something to be said, unless whoever asks is about to bring them up.
    """
    connection = open_to_read(path)
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({FINDINGS_MAX})")]
        findings = [] if found == ["ok"] else found
        version = version_of(connection)
        if version > len(MIGRATIONS) or (version < len(MIGRATIONS) and not may_be_older):
            what = "`hub db upgrade` brings them up" if version < len(MIGRATIONS) else "it takes a newer one"
            known = f"this program knows {len(MIGRATIONS)}: {what}"
            return [*findings, f"its tables are version {version}, {known}"]
        if read_meta(connection) is None:
            findings.append("the row about the database itself is missing")
        for sentence, sql in (one for since, some in EVERY_INVARIANT if since <= version for one in some):
            rows = connection.execute(f"{sql} LIMIT {FINDINGS_MAX}").fetchall()
            findings += [f"{sentence}: {', '.join(map(str, row))}" for row in rows]
        return findings
    finally:
        connection.close()


def restore(backup: Path, target: Path) -> None:
    """Put a backup in the place of a database. The hub that opens it begins a new epoch and says so to
    everybody, and brings its tables up to date if the backup is older than this program.
    """
    findings = check(backup, may_be_older=True)
    if findings:
        raise ConfigurationError(f"{backup} is not a good backup ({findings[0]}); nothing was changed.")
    if target.exists():
        raise ConfigurationError(
            f"{target} exists. Stop the hub and move it away with its -wal and -shm first."
        )
    permissions.private_folder(target.parent)
    back_up(backup, target)
