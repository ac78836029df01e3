"""The hub killed at every named place: what was answered is there, and what ran has run once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.crashpoints import CrashPoint
from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import QUICK, connected, ended, in_state, starts_of
from tests.waiting import until

KEY = {"Idempotency-Key": "the-key"}
BODY = {"description": "once", "metadata": {"work": {"steps": 3, "pause_s": 0.2}}}


async def insist(hub: HubProcess, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Ask until there is an answer, as a careful client does, and start again a hub that died meanwhile."""
    async with hub.http() as client:
        while True:
            try:
                answer = await client.post(path, json=body, headers=headers)
            except httpx.TransportError:
                await revive(hub)
                continue
            assert answer.status_code < 500, answer.text
            found: dict[str, Any] = answer.json()
            return found


async def revive(hub: HubProcess) -> None:
    """Wait until the armed hub has died, and start it without the bomb."""
    assert hub.process is not None
    process = hub.process
    await until(lambda: process.poll() is not None, "the hub has died")
    assert process.returncode == -9
    assert process.stdout is not None
    process.stdout.close()
    hub.start(**QUICK)


@asynccontextmanager
async def armed(hub: HubProcess, point: CrashPoint) -> AsyncIterator[None]:
    """Kill this hub, start it again with a bomb at the point, and let it die and come back."""
    hub.kill()
    try:
        hub.start(**QUICK, HUB_CRASH_AT=point)
    except AssertionError:
        await revive(hub)  # it died before it served
    first = hub.process
    yield
    if hub.process is first and not point.value.startswith(("start.", "turn.")):
        await revive(hub)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", CrashPoint)
async def test_a_hub_that_is_killed_at_a_crash_point_loses_and_repeats_nothing(
    point: CrashPoint, hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    await sidecar("ada")
    await connected(hub, "ada")
    held = await insist(hub, "/api/tasks", BODY | {"metadata": {"work": {"steps": 20, "pause_s": 0.2}}}, {})
    await in_state(hub, held["task_id"], "running")
    async with armed(hub, point):
        pushed = await insist(hub, "/api/tasks", BODY, KEY)
        stop = await insist(hub, "/api/tasks", BODY | {"assign_to": "nobody"}, {})
        cancelled = await insist(hub, f"/api/tasks/{stop['task_id']}/cancel", {}, {})
        await keep_up(hub, pushed["task_id"])
    for one in (held, pushed):
        task = await ended(hub, one["task_id"])
        ran = (task["state"], task["generation"], task["attempt"], task["strikes"])
        assert ran == ("completed", 1, 0, 0)
        assert len(starts_of(runs, one["task_id"])) == 1
    assert cancelled.get("state", cancelled["status"]) == "cancelled"
    assert (await hub.task(stop["task_id"]))["state"] == "cancelled"
    again = await insist(hub, "/api/tasks", BODY, KEY)
    assert again["task_id"] == pushed["task_id"]
    assert hub.stop() == 0


async def keep_up(hub: HubProcess, task_id: str) -> None:
    """Until the task is over; a hub that dies of its bomb meanwhile is started again."""
    async with hub.http() as client:
        while True:
            try:
                task = (await client.get(f"/api/tasks/{task_id}")).json()
            except httpx.TransportError:
                await revive(hub)
                continue
            if task["ending"] is not None:
                return
