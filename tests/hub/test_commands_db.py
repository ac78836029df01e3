"""`hub db` on the ledger of a hub that runs, and of one that does not."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import apsw

from hub.store import backup
from hub.store.migrations import MIGRATIONS, migrate
from tests.hub.conftest import HubProcess
from tests.hub.typing_hands import run
from tests.waiting import until


async def test_a_running_hub_is_backed_up_checked_and_restored_elsewhere(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    hub_process.start()
    task_id = (await hub_process.push("ada", "to be kept", queue=True))["task_id"]
    here = ("--state-dir", str(tmp_path / "state"))
    copy = str(tmp_path / "copies" / "one.db")
    made = await run(None, "db", "backup", copy, *here)
    assert (made.code, made.records[0]["ok"]) == (0, True), made.err
    again = await run(None, "db", "backup", copy, *here)
    assert again.code == 1
    assert "never overwrites" in again.err
    checked = await run(None, "db", "check", *here)
    assert (checked.code, checked.records[0]["findings"]) == (0, [])
    assert (await run(None, "db", "check", *here, "--no-json")).out.startswith("ok ")
    busy = await run(None, "db", "upgrade", *here)
    assert busy.code == 1, "a running hub holds its database"
    hub_process.signal(signal.SIGTERM)
    hub_process.wait()
    upgraded = await run(None, "db", "upgrade", *here)
    assert upgraded.records[0]["version"] == upgraded.records[0]["version_before"] >= 1
    refused = await run(None, "db", "restore", copy, *here)
    assert refused.code == 1
    assert "move it away" in refused.err
    for path in (tmp_path / "state").glob("hub.db*"):
        path.unlink()
    restored = await run(None, "db", "restore", copy, *here)
    assert restored.code == 0, restored.err
    hub_process.start()
    assert (await hub_process.task(task_id))["description"] == "to be kept"


async def test_a_backup_made_while_pushes_go_on_is_one_moment_of_the_hub(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    """Read back, it has every push that was answered before it began, each with its event."""
    hub_process.start()
    here = ("--state-dir", str(tmp_path / "state"))
    target = tmp_path / "copies" / "live.db"
    answered: list[str] = []
    is_over = asyncio.Event()

    async def go_on() -> None:
        async with hub_process.http() as http:
            while not is_over.is_set():
                tasks = [{"description": f"work {n}"} for n in range(20)]
                told = (await http.post("/api/tasks/batch", json={"tasks": tasks})).json()
                answered.extend(one["task_id"] for one in told["items"])

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on())
        await until(lambda: len(answered) >= 100, "pushes go on", 60)
        before = set(answered)
        made = await run(None, "db", "backup", str(target), *here)
        is_over.set()
    assert (made.code, made.records[0]["ok"]) == (0, True), made.err
    copy = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
    kept = {str(row[0]) for row in copy.execute("SELECT task_id FROM tasks")}
    logged = {str(row[0]) for row in copy.execute("SELECT task_id FROM events WHERE event = 'task_queued'")}
    copy.close()
    assert before <= kept <= set(answered)
    assert logged == kept
    assert backup.check(target) == []


async def test_a_database_before_its_upgrade_is_sound_and_changed_by_nothing_else(tmp_path: Path) -> None:
    """A backup of it is good, a check says what to type, and a rehearsal of pruning upgrades nothing."""
    here = ("--state-dir", str(tmp_path))
    (tmp_path / "hub.db").touch(0o600)
    old = apsw.Connection(str(tmp_path / "hub.db"))
    migrate(old, MIGRATIONS[:2])
    old.execute("INSERT INTO meta VALUES (1, 'epoch-of-old', 5, 'full', 1, 0)")
    old.close()
    made = await run(None, "db", "backup", str(tmp_path / "copy.db"), *here)
    assert (made.code, made.records[0]["ok"]) == (0, True), made.err
    checked = await run(None, "db", "check", *here)
    assert checked.code == 1
    assert "hub db upgrade" in checked.err
    assert "restore" not in checked.err
    pruned = await run(None, "db", "prune", *here, "--dry-run")
    assert pruned.code == 1
    assert "hub db upgrade" in pruned.err
    upgraded = await run(None, "db", "upgrade", *here)
    assert upgraded.code == 0, upgraded.err
    assert (upgraded.records[0]["version_before"], upgraded.records[0]["version"]) == (2, len(MIGRATIONS))
    assert (await run(None, "db", "check", *here)).code == 0


async def test_a_damaged_database_is_found_and_ends_with_1(tmp_path: Path) -> None:
    missing = await run(None, "db", "check", "--state-dir", str(tmp_path))
    assert missing.code == 1
    assert "There is no database" in missing.err
    (tmp_path / "hub.db").write_bytes(b"nothing that SQLite knows" * 400)
    damaged = await run(None, "db", "check", "--state-dir", str(tmp_path))
    assert damaged.code == 1
    assert "cannot be used" in damaged.err


async def test_the_turns_of_a_hub_are_listed(hub_process: HubProcess, tmp_path: Path) -> None:
    here = ("--state-dir", str(tmp_path / "state"))
    nothing = await run(None, "db", "turns", *here)
    assert nothing.code == 6
    assert "HUB_TURNS_BYTES" in nothing.err
    hub_process.start(HUB_TURNS_BYTES="1000000")
    await hub_process.push("ada", "work", queue=True)
    hub_process.stop()
    table = await run(None, "db", "turns", *here, "--no-json")
    assert table.out.splitlines()[1].split()[1] == "start"
    assert "TaskSubmitted" in table.out
    whole = await run(None, "db", "turns", *here)
    assert [one["type"] for one in whole.records][:2] == ["start", "turn"]
    (tmp_path / "junk").write_text("{}\n")
    assert (await run(None, "db", "turns", str(tmp_path / "junk"))).code == 1
