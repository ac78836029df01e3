"""Systems that break their promises on purpose: real processes, and a checker that must notice.

A run of chaos that finds nothing is worth as much as what it would have found.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hub.checker import Scope, Verdict, check
from hub.evidence import records_of_database
from hub.history import History, read
from tests.hub.conftest import HubProcess, hub_process
from tests.hub.peers import V2Peer

__all__ = ["hub_process"]


async def push(hub: HubProcess, notes: History, key: str) -> str:
    """As a pusher of the chaos does."""
    notes.note("invoke", "push", key=key)
    async with hub.http() as client:
        answer = await client.post("/api/tasks", json={"description": key}, headers={"Idempotency-Key": key})
    assert answer.status_code == 201
    task_id = str(answer.json()["task_id"])
    notes.note("ok", "push", key=key, task=task_id)
    return task_id


def verdict_on(folder: Path) -> Verdict:
    records = [*read(sorted(folder.glob("*.history"))), *records_of_database(folder / "state" / "hub.db")]
    return check(records, Scope(is_complete=True))


async def test_a_ledger_that_forgets_an_answered_push_is_caught(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    """A disk that lies about fsync looks like this after a power cut: what came last is not there."""
    history = {"HUB_HISTORY_FILE": str(tmp_path / "hub.history")}
    notes = History(tmp_path / "pusher.history", "pusher")
    hub_process.start(**history)
    await push(hub_process, notes, "kept")
    hub_process.kill()
    shutil.copytree(tmp_path / "state", tmp_path / "before")
    hub_process.start(**history)
    await push(hub_process, notes, "forgotten")
    hub_process.kill()
    notes.close()
    assert verdict_on(tmp_path).is_clean
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "before").rename(tmp_path / "state")
    assert {"C1", "C8"} <= verdict_on(tmp_path).counts.keys()


async def test_a_run_that_starts_twice_is_caught(hub_process: HubProcess, tmp_path: Path) -> None:
    """An agent that runs a generation a second time after its line was lost, and says nothing of it."""
    hub_process.start(HUB_HISTORY_FILE=str(tmp_path / "hub.history"))
    notes, runs = History(tmp_path / "pusher.history", "pusher"), History(tmp_path / "run.history", "run:1")
    task_id = await push(hub_process, notes, "once")
    peer = await V2Peer.dial(hub_process.ws_address, token=await hub_process.token("ada"))
    await peer.identify("ada")
    assigned = await peer.hear("task_assign")
    for _ in range(2):
        runs.note("ok", "start", task=task_id, gen=assigned["generation"])
    runs.note("ok", "finish", task=task_id, gen=assigned["generation"], value=7)
    await peer.work(assigned, result=7)
    await peer.hang_up()
    assert hub_process.stop() == 0
    for history in (notes, runs):
        history.close()
    assert verdict_on(tmp_path).counts == {"C6": 1}
