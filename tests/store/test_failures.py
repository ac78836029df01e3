"""Disks that are full, slow to share, or broken: what is said, what is kept, and what goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from msgspec import Raw

from hub.ports import Batch, StorageBroken, StorageFull
from hub.store import backup, dbapi
from hub.store.database import open_database
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from hub.store.task_filters import TaskFilter
from protocol.limits import KIB
from tests.store.disk import Disk, failing_disk
from tests.store.workload import NOW, assigned, batch, pushed, saved
from tests.waiting import until


def weighty(number: int) -> Batch:
    task = pushed(number, inputs=Raw(b'"' + b"x" * 100 * KIB + b'"'))
    return batch(*saved(None, task, "task_queued"))


async def fill(ledger: SqliteLedger, first: int = 1) -> int:
    """Push until there is no room; how many found it."""
    number = first
    while True:
        try:
            await ledger.commit(weighty(number))
        except StorageFull:
            return number - first
        number += 1


async def test_a_full_database_keeps_what_it_has_and_goes_on_when_there_is_room(path: Path) -> None:
    """Reliability §2.2, disk full: nothing of a refused batch is there, reads go on, and it resumes by
    itself.
    """
    database = open_database(path)
    ledger, queries = SqliteLedger(database, free_bytes_min=0), Queries(database)
    database.writer.pragma("max_page_count", 300)
    kept = await fill(ledger)
    assert kept > 2
    assert await fill(ledger, 50) == 0, "still full"
    page = await queries.tasks(TaskFilter())
    assert page is not None
    assert len(page.tasks) == kept
    small = await ledger.commit(batch(*saved(None, pushed(100), "task_queued")))
    assert [event.offset for event in small.events] == [kept + 1], (
        "a small fact still found room, without a hole"
    )
    database.writer.pragma("max_page_count", 3_000)
    assert [event.offset for event in (await ledger.commit(weighty(200))).events] == [kept + 2]
    queries.close()
    await ledger.close()
    assert backup.check(path) == []


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """8 MiB of memory as a file system, or the reason why not."""
    folder.mkdir()
    options = "size=8m,mode=0700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, check=False)
    if os.geteuid() != 0 or made.returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_really_full_disk_is_survived(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(4 * 1024 * KIB))
        path = disk / "state" / "hub.db"
        ledger = SqliteLedger(open_database(path), free_bytes_min=0)
        kept = await fill(ledger)
        assert ledger.broken is None
        with pytest.raises(StorageFull):
            await ledger.commit(weighty(500))
        ballast.unlink()
        committed = await ledger.commit(weighty(600))
        assert [event.offset for event in committed.events] == [kept + 1]
        loaded = await ledger.load(NOW)
        assert len(loaded.tasks) == kept + 1
        await ledger.close()
        assert backup.check(path) == []


async def test_below_the_watermark_only_new_tasks_are_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ledger = SqliteLedger(open_database(disk / "state" / "hub.db"), free_bytes_min=6 * 1024 * KIB)
        assert ledger.has_room()
        await ledger.commit(batch(*saved(None, pushed(1), "task_queued")))
        (disk / "ballast").write_bytes(bytes(4 * 1024 * KIB))
        assert not ledger.has_room()
        with pytest.raises(StorageFull, match="MiB of disk are free") as refusal:
            await ledger.commit(batch(*saved(None, pushed(2), "task_queued")))
        assert refusal.value.is_for_pushes_only
        await ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)), "task_assigned")))
        await ledger.close()


@pytest.mark.parametrize("wait", [1, 2, 3, 5])
async def test_after_a_failed_sync_nothing_is_acknowledged(path: Path, wait: int) -> None:
    """Reliability §2.2, I/O error: never try a failed sync again as if it were clean."""
    with failing_disk() as disk:
        ledger = SqliteLedger(open_database(path, vfs=disk.name), free_bytes_min=0)
        disk.fail_sync_at = disk.syncs + wait
        acknowledged = 0
        with pytest.raises(StorageBroken):
            for number in range(1, 50):
                await ledger.commit(weighty(number))
                acknowledged = number
        disk.heal()
        with pytest.raises(StorageBroken):
            await ledger.commit(weighty(100))
        with pytest.raises(StorageBroken):
            await ledger.write(lambda connection: connection.execute("DELETE FROM audit"))
        await ledger.close()
    await must_have(path, acknowledged)


async def test_a_failed_write_ends_it_as_well(path: Path) -> None:
    with failing_disk() as disk:
        ledger = SqliteLedger(open_database(path, vfs=disk.name), free_bytes_min=0)
        await ledger.commit(weighty(1))
        disk.fail_write_at = disk.steps + 5
        with pytest.raises(StorageBroken):
            await ledger.commit(weighty(2))
        disk.heal()
        await ledger.close()
    await must_have(path, 1)


async def must_have(path: Path, acknowledged: int) -> None:
    ledger = SqliteLedger(open_database(path), free_bytes_min=0)
    found = {task.task_id for task in (await ledger.load(NOW)).tasks}
    await ledger.close()
    assert {pushed(number).task_id for number in range(1, acknowledged + 1)} <= found
    assert backup.check(path) == []


async def test_what_an_owner_raises_undoes_its_writing_and_harms_nobody_else(ledger: SqliteLedger) -> None:
    def stumble(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO agents VALUES ('ada', '{}')")
        raise LookupError("changed my mind")

    with pytest.raises(LookupError):
        await ledger.write(stumble)
    with pytest.raises(dbapi.IntegrityError):
        await ledger.write(lambda connection: connection.execute("INSERT INTO meta SELECT * FROM meta"))
    assert (await ledger.load(NOW)).agents == ()
    assert not (await ledger.commit(weighty(1))).refused


async def test_a_lock_of_somebody_else_is_waited_for(path: Path, ledger: SqliteLedger) -> None:
    """L111: a person with a shell on the file does not make pushes fail."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(ledger.commit(weighty(1)))
        await until(lambda: ledger.is_busy, "the writer has taken the batch")
        assert not asked.done()
        other.execute("COMMIT")
    assert [event.offset for event in asked.result().events] == [1]
    other.close()


async def test_readers_and_the_writer_do_not_lock_each_other_out(
    ledger: SqliteLedger, queries: Queries
) -> None:
    """L111: "database is locked" under load."""

    async def read_on() -> int:
        seen = 0
        while seen < 40:
            page = await queries.tasks(TaskFilter(), limit=500)
            assert page is not None
            seen = len(page.tasks)
        return seen

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read_on()) for _ in range(6)]
        for number in range(1, 41):
            await ledger.commit(batch(*saved(None, pushed(number), "task_queued")))
    assert [reader.result() for reader in readers] == [40] * 6


async def test_a_failing_disk_is_really_under_the_ledger(path: Path) -> None:
    """The other tests here would prove nothing otherwise."""
    with failing_disk() as disk:
        ledger = SqliteLedger(open_database(path, vfs=disk.name), free_bytes_min=0)
        steps, syncs = disk.steps, disk.syncs
        await ledger.commit(weighty(1))
        assert disk.steps > steps
        assert disk.syncs > syncs, "durability full syncs before it acknowledges"
        await ledger.close()
        assert isinstance(disk, Disk)
