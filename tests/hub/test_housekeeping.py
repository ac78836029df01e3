"""What a hub does now and then, on a real ledger."""

from __future__ import annotations

import sqlite3

import apsw

from hub.housekeeping import forget_once
from hub.store.retention import AUDIT_KEPT_MS
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
