"""Backups: of a hub at work, checked, and put back under a new epoch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from hub.errors import ConfigurationError
from hub.store import backup
from hub.store.database import FLOOR_STEP, open_database
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from tests.store.workload import NOW, accepted, assigned, batch, completed, pushed, saved


async def push(ledger: SqliteLedger, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await ledger.commit(batch(*saved(None, pushed(number), "task_queued")))


async def test_a_backup_of_a_hub_at_work_is_one_moment_of_it(
    path: Path, ledger: SqliteLedger, tmp_path: Path
) -> None:
    await push(ledger, 1, 50)
    target = tmp_path / "copies" / "monday.db"
    async with asyncio.TaskGroup() as group:
        copying = group.create_task(asyncio.to_thread(backup.back_up, path, target))
        await push(ledger, 51, 120)
    assert copying.result() == target.stat().st_size
    assert backup.check(target) == []
    copy = SqliteLedger(open_database(target), free_bytes_min=0)
    loaded = await copy.load(NOW)
    await copy.close()
    assert 50 <= len(loaded.tasks) <= 120
    assert loaded.last_offset == len(loaded.tasks), "rows and log are of the same moment"


async def test_a_restored_backup_begins_a_new_epoch_above_every_generation(
    path: Path, tmp_path: Path
) -> None:
    """Reliability §2.2: cursors are reset, and generations go on where nobody has been."""
    database = open_database(path)
    ledger = SqliteLedger(database, free_bytes_min=0)
    await push(ledger, 1, 1)
    await ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)), "task_assigned")))
    target = tmp_path / "copies" / "monday.db"
    backup.back_up(path, target)
    await ledger.close()

    restored = tmp_path / "restored" / "hub.db"
    backup.restore(target, restored)
    after = open_database(restored)
    assert after.epoch != database.epoch
    assert after.meta.generation_floor == 1 + FLOOR_STEP
    after.close()
    again = open_database(restored)
    assert (again.epoch, again.meta.generation_floor) == (after.epoch, after.meta.generation_floor)
    again.close()


def test_a_backup_never_overwrites(path: Path, tmp_path: Path) -> None:
    open_database(path).close()
    target = tmp_path / "copy.db"
    target.touch()
    with pytest.raises(ConfigurationError, match="never overwrites"):
        backup.back_up(path, target)


def test_a_backup_is_for_its_user_alone_and_has_its_name_only_when_whole(path: Path, tmp_path: Path) -> None:
    """P6."""
    open_database(path).close()
    target = tmp_path / "copies" / "copy.db"
    backup.back_up(path, target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in target.parent.iterdir()) == ["copy.db"]
    path.write_bytes(b"nonsense" * 1_000)
    with pytest.raises((apsw.Error, ConfigurationError)):
        backup.back_up(path, target.with_name("second.db"))
    assert sorted(file.name for file in target.parent.iterdir()) == ["copy.db"]


def test_a_backup_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no database"):
        backup.back_up(tmp_path / "nowhere.db", tmp_path / "copy.db")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ('DELETE FROM events WHERE "offset" = 2', "a hole in the log"),
        ("DELETE FROM submissions WHERE number = 1", "without what was asked"),
        ("UPDATE tasks SET state = 'running' WHERE state = 'completed'", "whose ending is in the log"),
        ("UPDATE tasks SET holder = 'x' WHERE state = 'queued'", "holder"),
        ("UPDATE tasks SET attempt = 99", "more attempts than generations"),
        ("DELETE FROM meta", "about the database itself"),
        ("PRAGMA user_version = 99", "tables are version"),
    ],
)
async def test_a_check_finds_what_is_wrong(path: Path, damage: str, sentence: str) -> None:
    ledger = SqliteLedger(open_database(path), free_bytes_min=0)
    await push(ledger, 1, 3)
    done = completed(accepted(assigned(pushed(2))))
    await ledger.commit(batch(*saved(pushed(2), done, "task_complete")))
    await ledger.close()
    assert backup.check(path) == []
    connection = apsw.Connection(str(path))
    connection.execute(damage)
    connection.close()
    assert any(sentence in finding for finding in backup.check(path)), backup.check(path)


def test_a_bad_backup_is_not_restored(path: Path, tmp_path: Path) -> None:
    open_database(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM meta")
    connection.close()
    with pytest.raises(ConfigurationError, match="not a good backup"):
        backup.restore(path, tmp_path / "new" / "hub.db")
    assert not (tmp_path / "new" / "hub.db").exists()


async def test_the_feed_of_a_copy_goes_on_where_it_ends(
    path: Path, ledger: SqliteLedger, tmp_path: Path
) -> None:
    await push(ledger, 1, 5)
    target = tmp_path / "copies" / "copy.db"
    backup.back_up(path, target)
    database = open_database(target)
    copy, queries = SqliteLedger(database, free_bytes_min=0), Queries(database)
    await push(copy, 6, 6)
    assert [event.offset for event in await queries.events_after(4)] == [5, 6]
    queries.close()
    await copy.close()
