"""What a hub does now and then, on a real ledger."""

from __future__ import annotations

import sqlite3

import apsw
import pytest

from hub.housekeeping import forget_once
from hub.store.retention import AUDIT_KEPT_MS, RESULTS_KEPT_MS
from tests.hub.conftest import RunningHub


async def test_what_is_past_its_age_goes_and_what_is_not_stays(running_hub: RunningHub) -> None:
    parts = running_hub.parts
    wall_ms = parts.clock.now().wall_ms

    def insert(connection: apsw.Connection) -> None:
        for age_ms, action in ((AUDIT_KEPT_MS + 60_000, "old"), (AUDIT_KEPT_MS - 60_000, "young")):
            connection.execute(
                "INSERT INTO audit (wall_ms, action, actor, address, detail) VALUES (?, ?, '', '', '')",
                (wall_ms - age_ms, action),
            )

    await parts.ledger.write(insert)
    pushed = (await running_hub.push("ada", queue=True))["task_id"]
    await forget_once(parts)
    with sqlite3.connect(f"file:{parts.settings.database_file}?mode=ro", uri=True) as look:
        left = [row[0] for row in look.execute("SELECT action FROM audit WHERE action IN ('old', 'young')")]
    assert left == ["young"]
    assert (await running_hub.task(pushed))["state"] == "queued"


@pytest.mark.parametrize("by", ["age", "hand"])
async def test_a_key_of_what_is_forgotten_makes_a_new_task(running_hub: RunningHub, by: str) -> None:
    """The board has kept a copy of the row: answered with that, the work would never be done."""
    parts = running_hub.parts
    body = {"description": "work", "idempotency_key": "once"}

    def make_old(connection: apsw.Connection) -> None:
        connection.execute("UPDATE tasks SET ended_wall_ms = ended_wall_ms - ?", (RESULTS_KEPT_MS + 60_000,))

    async with running_hub.http() as http:
        first = (await http.post("/api/tasks", json=body)).json()["task_id"]
        await http.post(f"/api/tasks/{first}/cancel")
        await running_hub.push("ada", queue=True)
        assert (await http.post("/api/tasks", json=body)).json()["task_id"] == first
        await parts.ledger.write(make_old)
        if by == "age":
            await forget_once(parts)
        else:
            assert (await http.post("/api/admin/prune", json={"dry_run": False})).json()["tasks"] == 1
        second = (await http.post("/api/tasks", json=body)).json()["task_id"]
    assert second != first
    assert (await running_hub.task(second))["state"] == "queued"
