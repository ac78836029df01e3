"""A database of an older version: everything in it is there after the upgrade, and in a backup of it too."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from msgspec import Raw

from hub.core.fingerprints import fingerprint
from hub.core.task import Holder, RunSpec, State, Timer, TimerKind
from hub.store import backup, permissions
from hub.store.database import open_database
from hub.store.ledger import SqliteLedger
from hub.store.migrations import MIGRATIONS, m0001_first, m0002_runs, m0003_queue, migrate, version_of
from hub.store.outbox import Outbox
from hub.store.queries import Queries
from hub.store.runs import RunFilter, RunQueries
from hub.store.task_filters import TaskFilter
from protocol.ids import AgentId, InstanceId, TaskId
from tests.store.workload import NOW, accepted, assigned, batch, completed, letter_of, pushed, saved

VERSION_1 = MIGRATIONS[:1]

LIFE = (
    '{"is_accepted":true,"holder":{"agent_id":"ada","instance_id":"ada-journal"},"timer_kind":"lease",'
    '"timer_due_wall_ms":1800000030000,"progress":12.5}'
)
DONE = '{"is_accepted":true,"result":{"ok":true},"ending":{"how":"completed"}}'
SPEC = '{"metadata":{"a":1},"plugin":"digest","idempotency_key":"key-1","stream_id":"s","attempts_max":3}'

NEW_TASK = (
    "INSERT INTO tasks (number, task_id, version, state, priority, plugin, agent_id, generation, attempt,"
    " strikes, holder, last_holder, idempotency_key, created_wall_ms, updated_wall_ms, due_wall_ms, life)"
)

ROWS = (
    (
        NEW_TASK
        + " VALUES (1, 'task-1', 3, 'running', 2, 'digest', 'ada', 1, 0, 0, 'ada-journal', NULL, 'key-1',"
        " 1, 2, 1800000030000, ?)",
        (LIFE,),
    ),
    (
        NEW_TASK + " VALUES (2, 'task-2', 4, 'completed', 2, NULL, 'ada', 1, 0, 0, NULL, 'ada-journal', NULL,"
        " 1, 2, NULL, ?)",
        (DONE,),
    ),
    ("INSERT INTO submissions VALUES (1, 'größer', ?)", (SPEC,)),
    ("INSERT INTO submissions VALUES (2, '', '{}')", ()),
    ("INSERT INTO events VALUES (1, 'task_queued', 'task-1', NULL, 0, 1, '{}')", ()),
    ("INSERT INTO events VALUES (2, 'task_complete', 'task-2', 'ada', 1, 2, '{}')", ()),
    ("INSERT INTO instances VALUES ('ada-journal', 'ada', 7, 'b', 1, '', 0, 2)", ()),
    ('INSERT INTO agents VALUES (\'ada\', \'{"agent_id":"ada","name":"Ada"}\')', ()),
    (
        "INSERT INTO tokens VALUES ('tok-1', x'aa', 'admin', NULL, '{}', 1, 9000000000000, 0, NULL)",
        (),
    ),
    ("INSERT INTO audit (wall_ms, action, actor, address, detail) VALUES (1, 'a', 'b', 'c', 'd')", ()),
    ("INSERT INTO meta VALUES (1, 'epoch-of-old', 5, 'full', 1, 0)", ()),
)
"""What a hub of version 1 wrote, in its own words: no code of today makes these."""


@pytest.fixture
def old(path: Path) -> Path:
    """A database that the first version has closed."""
    permissions.private_folder(path.parent)
    permissions.private_file(path)
    connection = apsw.Connection(str(path))
    migrate(connection, VERSION_1)
    for sql, given in ROWS:
        connection.execute(sql, given)
    connection.close()
    return path


def dump(path: Path, tables: list[str]) -> dict[str, list[tuple[object, ...]]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = {name: list(connection.execute(f'SELECT * FROM "{name}" ORDER BY 1')) for name in tables}
    connection.close()
    return found


def names(path: Path) -> list[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = [str(row[0]) for row in connection.execute(sql)]
    connection.close()
    return found


def test_the_migrations_go_forward_one_by_one() -> None:
    assert MIGRATIONS[:3] == (m0001_first.STATEMENTS, m0002_runs.STATEMENTS, m0003_queue.STATEMENTS)
    connection = apsw.Connection(":memory:")
    for version in range(1, len(MIGRATIONS) + 1):
        assert migrate(connection, MIGRATIONS[:version]) == version_of(connection) == version


def test_an_upgrade_changes_no_row_that_was_there(old: Path) -> None:
    tables = [name for name in names(old) if name != "meta"]
    before = dump(old, tables)
    open_database(old).close()
    after = dump(old, tables)
    columns = len(before["tasks"][0])
    assert after | {"tasks": [row[:columns] for row in after["tasks"]]} == before
    assert {"meta", "outbox", "runs", "schedules"} <= set(names(old)) - set(tables)
    assert backup.check(old) == []


async def test_work_of_the_older_version_goes_on(old: Path) -> None:
    """Also what was held, with its lease; and it ends with a letter like any other."""
    database = open_database(old)
    ledger = SqliteLedger(database, free_bytes_min=0)
    queries = Queries(database, lambda: NOW.wall_ms)
    loaded = await ledger.load(NOW)
    (task,) = loaded.tasks
    assert (loaded.epoch, loaded.generation_floor, loaded.last_offset) == ("epoch-of-old", 5, 2)
    assert (task.state, task.version, task.spec.stream_id) == (State.RUNNING, 3, "s")
    assert task.holder == Holder(AgentId("ada"), InstanceId("ada-journal"))
    assert task.timer == Timer(TimerKind.LEASE, NOW.ms + 30_000)
    assert (task.spec.description, task.spec.run, task.started_wall_ms) == ("größer", None, None)
    (done,) = (await ledger.find(frozenset({TaskId("task-2")}), frozenset())).tasks
    assert done.result == Raw(b'{"ok":true}')
    page = await queries.tasks(TaskFilter())
    assert page is not None
    assert [one.task_id for one in page.tasks] == ["task-2", "task-1"]
    assert [event.event for event in await queries.events_after(0)] == ["task_queued", "task_complete"]
    assert await RunQueries(queries).runs(RunFilter()) is not None

    end = completed(task)
    committed = await ledger.commit(batch(*saved(task, end, "task_complete"), letter_of(end)))
    assert (committed.refused, committed.letters) == (frozenset(), 1)
    assert [letter.task_id for letter in await Outbox(ledger, queries).next()] == ["task-1"]
    queries.close()
    await ledger.close()


OLD_FAILURES = (
    (3, "dead_letter", "boom at line 7", '{"submitted_by":"tok-1"}'),
    (4, "failed", "boom at line 31", '{"submitted_by":"tok-2","retry_of":"task-3"}'),
    (5, "cancelled", "", "{}"),
)


@pytest.fixture
def second(old: Path) -> Path:
    """A database that version 2 has closed, with failures in it and a retry."""
    connection = apsw.Connection(str(old))
    migrate(connection, MIGRATIONS[:2])
    for number, state, error, spec in OLD_FAILURES:
        life = f'{{"error":"{error}","ending":{{"how":"failed"}}}}'
        sql = NEW_TASK + " VALUES (?, ?, 3, ?, 2, 'digest', 'ada', 1, 0, 0, NULL, NULL, NULL, 1, ?, NULL, ?)"
        connection.execute(sql, (number, f"task-{number}", state, 100 + number, life))
        connection.execute("INSERT INTO submissions VALUES (?, '', ?)", (number, spec))
    connection.close()
    return old


def test_an_upgrade_fills_what_the_queue_asks_about_old_tasks(second: Path) -> None:
    """Old failures are grouped with new ones of the same kind, and who was retried already is known."""
    open_database(second).close()
    columns = "task_id, unique_key, retry_of, submitted_by, waits, fingerprint, ended_wall_ms"
    connection = apsw.Connection(str(second), flags=apsw.SQLITE_OPEN_READONLY)
    found = {str(row[0]): row[1:] for row in connection.execute(f"SELECT {columns} FROM tasks")}
    connection.close()
    kind = fingerprint("failed", "digest", "boom at line 99")
    assert found == {
        "task-1": (None, None, "", None, None, None),
        "task-2": (None, None, "", None, None, 2),
        "task-3": (None, None, "tok-1", None, kind, 103),
        "task-4": (None, "task-3", "tok-2", None, kind, 104),
        "task-5": (None, None, "", None, None, 105),
    }
    assert backup.check(second) == []


def test_a_check_says_that_tables_are_old(old: Path) -> None:
    (finding,) = backup.check(old)
    assert "its tables are version 1" in finding
    assert backup.check(old, may_be_older=True) == []


def test_a_backup_of_the_older_version_can_be_restored(old: Path, tmp_path: Path) -> None:
    """Whoever upgrades and regrets it later has only old backups."""
    target, restored = tmp_path / "copies" / "old.db", tmp_path / "restored" / "hub.db"
    backup.back_up(old, target)
    backup.restore(target, restored)
    database = open_database(restored)
    assert database.epoch != "epoch-of-old"
    assert version_of(database.writer) == len(MIGRATIONS)
    database.close()
    assert backup.check(restored) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("UPDATE runs SET task_id = 'another'", "a run without its task"),
        ("DELETE FROM submissions; DELETE FROM tasks", "a run without its task"),
        ("UPDATE runs SET ended_wall_ms = 1", "a run that has ended and its task has not"),
    ],
)
async def test_a_check_looks_at_runs_too(path: Path, damage: str, sentence: str) -> None:
    ledger = SqliteLedger(open_database(path), free_bytes_min=0)
    task = pushed(1, run=RunSpec(plugin_run_id="run-1", user_id=1))
    await ledger.commit(batch(*saved(None, task), *saved(None, pushed(2))))
    await ledger.commit(batch(*saved(task, accepted(assigned(task)))))
    await ledger.close()
    assert backup.check(path) == []
    connection = apsw.Connection(str(path))
    connection.execute(damage)
    connection.close()
    assert any(sentence in finding for finding in backup.check(path)), backup.check(path)
