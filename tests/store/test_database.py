"""Opening a database: who may read it, which program may, and when history counts as lost."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import SQLModel

from hub.core.endings import EVENT_OF
from hub.errors import ConfigurationError
from hub.store import dbapi, permissions, tables, tables_webhooks
from hub.store.database import FLOOR_STEP, Durability, check_driver, open_database
from hub.store.ledger import SqliteLedger
from hub.store.migrations import MIGRATIONS, migrate, version_of
from hub.store.tokens import load_pepper
from tests.store.workload import assigned, batch, pushed, saved

# --- shape --------------------------------------------------------------------------------------------------


def shape(connection: apsw.Connection) -> dict[str, object]:
    """Every table and index, as SQLite understands it, whatever the text that made it."""
    found: dict[str, object] = {}
    for kind, name, table, sql in connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
    ):
        if kind == "table":
            found[f"table {name}"] = connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
        else:
            columns = connection.execute(f"PRAGMA index_xinfo({name})").fetchall()
            unique = [row[2] for row in connection.execute(f"PRAGMA index_list({table})") if row[1] == name]
            where = " ".join(str(sql).partition(" WHERE ")[2].split())
            found[f"index {name}"] = (table, columns, unique, where)
    return found


def test_the_migrations_make_exactly_the_tables() -> None:
    assert tables.TaskRow.metadata is tables_webhooks.WebhookRow.metadata
    migrated, declared = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    migrate(migrated)
    for table in SQLModel.metadata.tables.values():
        declared.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
        for index in table.indexes:
            declared.execute(str(CreateIndex(index).compile(dialect=sqlite.dialect())))
    assert shape(migrated) == shape(declared)


def test_a_migration_that_fails_leaves_nothing_behind() -> None:
    connection = apsw.Connection(":memory:")
    broken = (*MIGRATIONS, ("CREATE TABLE half (a)", "CREATE TABLE half (a)"))
    with pytest.raises(apsw.SQLError):
        migrate(connection, broken)
    assert version_of(connection) == len(MIGRATIONS)
    assert not connection.table_exists("main", "half")
    assert not connection.in_transaction


def test_migrating_twice_changes_nothing() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    before = shape(connection)
    migrate(connection)
    assert shape(connection) == before


def test_a_newer_database_is_refused_with_a_sentence(path: Path) -> None:
    open_database(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", len(MIGRATIONS) + 1)
    connection.close()
    with pytest.raises(ConfigurationError, match="written by a newer crewhub"):
        open_database(path)


def test_the_events_that_end_a_task_are_the_lifecycles() -> None:
    """D3: the unique index on endings means the words that the core logs."""
    assert set(EVENT_OF.values()) == set(tables.ENDINGS)
    assert all(f"'{word}'" in str(tables.ENDS) for word in tables.ENDINGS)


def test_the_database_itself_refuses_a_second_ending(path: Path) -> None:
    """D3, in the last instance."""
    database = open_database(path)
    insert = (
        "INSERT INTO events (\"offset\", event, task_id, timestamp, payload) VALUES (?, ?, 'task-1', 0, '{}')"
    )
    database.writer.execute(insert, (1, "task_complete"))
    with pytest.raises(apsw.ConstraintError):
        database.writer.execute(insert, (2, "task_cancelled"))
    database.close()


# --- who may read it ----------------------------------------------------------------------------------------


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_everything_a_hub_writes_is_for_its_user_alone(path: Path) -> None:
    before = os.umask(0o022)
    try:
        database = open_database(path)
        load_pepper(path.parent)
        database.writer.execute("INSERT INTO agents VALUES ('ada', '{}')")
        assert mode_of(path.parent) == 0o700
        names = {file.name: mode_of(file) for file in path.parent.iterdir()}
        assert {"hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock", "pepper"} <= set(names)
        assert set(names.values()) == {0o600}
        database.close()
    finally:
        os.umask(before)


def test_a_folder_that_others_can_look_into_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.parent.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"chmod 700"):
        open_database(path)


@pytest.mark.parametrize("name", ["hub.db", "hub.db-wal", "pepper"])
def test_a_file_that_others_can_read_is_refused(path: Path, name: str) -> None:
    permissions.private_folder(path.parent)
    file = path.with_name(name)
    file.touch()
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"chmod 600"):
        load_pepper(path.parent) if name == "pepper" else open_database(path)


def test_a_second_hub_is_kept_out(path: Path) -> None:
    first = open_database(path)
    with pytest.raises(ConfigurationError, match="Another hub is running"):
        open_database(path)
    first.close()
    open_database(path).close()


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"3\.51\.3"):
        check_driver((3, 51, 2))
    check_driver()


# --- how it is opened ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_durability_is_what_sqlite_was_told(path: Path, durability: Durability, level: int) -> None:
    database = open_database(path, durability)
    assert database.writer.pragma("journal_mode") == "wal"
    assert database.writer.pragma("synchronous") == level
    assert database.writer.pragma("foreign_keys") == 1
    database.close()


async def test_passing_talk_leaves_durability_as_it_was(ledger: SqliteLedger) -> None:
    levels = [await ledger.write_passing(lambda c: c.pragma("synchronous"))]
    levels.append(await ledger.write(lambda c: c.pragma("synchronous")))
    assert levels == [1, 2]


def test_readers_cannot_write(path: Path) -> None:
    database = open_database(path)
    with database.readers.connect() as reader, pytest.raises(Exception, match="readonly"):
        reader.execute(text("DELETE FROM meta"))
    database.close()


def test_a_select_that_finds_nothing_still_has_columns(path: Path) -> None:
    """SQLAlchemy asks for them, and apsw forgets them when a statement is over at once."""
    database = open_database(path)
    with database.readers.connect() as reader:
        assert list(reader.execute(text("SELECT epoch FROM meta WHERE number = 7")).keys()) == ["epoch"]
    database.close()


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("INSERT INTO meta SELECT * FROM meta", dbapi.IntegrityError),
        ("SELEKT", dbapi.ProgrammingError),
        ("SELECT * FROM nowhere", dbapi.ProgrammingError),
    ],
)
def test_errors_speak_the_words_of_the_db_api(path: Path, sql: str, kind: type[Exception]) -> None:
    open_database(path).close()
    connection = dbapi.connect(str(path))
    with pytest.raises(kind):
        connection.execute(sql)
    connection.close()


# --- epochs -------------------------------------------------------------------------------------------------


def life(path: Path, durability: Durability, *, ends_well: bool) -> tuple[str, int]:
    database = open_database(path, durability)
    database.close(is_clean=ends_well)
    return database.meta.epoch, database.meta.generation_floor


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_plain_restart_keeps_the_epoch(path: Path, durability: Durability) -> None:
    assert life(path, durability, ends_well=True) == life(path, durability, ends_well=True)


def test_an_unclean_end_keeps_the_epoch_with_durability_full(path: Path) -> None:
    assert life(path, "full", ends_well=False) == life(path, "full", ends_well=True)


async def test_an_unclean_end_begins_a_new_epoch_with_durability_normal(path: Path) -> None:
    database = open_database(path, "normal")
    ledger = SqliteLedger(database, free_bytes_min=0)
    await ledger.commit(batch(*saved(None, pushed(1))))
    await ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)))))
    ledger.broken = "the process is gone"
    await ledger.close()
    epoch, floor = life(path, "full", ends_well=True)
    assert epoch != database.meta.epoch, "what counts is how the life that ended badly wrote"
    assert floor == 1 + FLOOR_STEP
    assert life(path, "full", ends_well=True) == (epoch, floor)
