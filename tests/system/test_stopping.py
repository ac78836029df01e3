"""Cancelling work that does not want to stop, and what is left of runs when their sidecar is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import connected, ended, in_state, is_alive, runs_of, starts_of
from tests.waiting import until


async def family_of(runs: Path, task_id: str, size: int) -> list[int]:
    """The process ids that a run wrote down, once there are so many."""

    def found() -> list[int]:
        return [record.value["pid"] for record in runs_of(runs, task_id) if record.f in {"start", "log"}]

    return await until(lambda: pids if len(pids := found()) >= size else [], "the run has its family")


@pytest.mark.timeout(240)
async def test_a_cancel_ends_a_run_that_ignores_it_with_all_its_children(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    """L74, L75: it ignores SIGTERM, has forked twice and opened new sessions. Nothing of it is left, the
    proof says so, and only then is it cancelled."""
    await sidecar("ada")
    await connected(hub, "ada")
    work = {"work": {"stubborn": True, "steps": 1000, "pause_s": 0.2}}
    task_id = (await hub.push("ada", "stay for ever", metadata=work))["task_id"]
    family = await family_of(runs, task_id, 3)
    async with hub.http() as client:
        answer = await client.post(f"/api/tasks/{task_id}/cancel", json={"reason": "enough"})
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    while (task := await hub.task(task_id))["state"] == "cancelling":
        assert any(map(is_alive, family)) or (await hub.task(task_id))["ending"] is not None
    assert task["state"] == "cancelled"
    assert not [pid for pid in family if is_alive(pid)]
    assert task["ending"]["stopped"] == "killed"
    assert task["ending"]["proof"]["survivors"] == 0
    assert "KILL" in task["ending"]["proof"]["signals"]


@pytest.mark.timeout(240)
async def test_a_killed_sidecar_leaves_no_orphan_and_its_task_runs_once_more(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    ada = await sidecar("ada")
    await connected(hub, "ada")
    work = {"work": {"steps": 8, "pause_s": 0.25}}
    task_id = (await hub.push("ada", "survive", metadata=work, attempts_max=3))["task_id"]
    (first,) = await family_of(runs, task_id, 1)
    await in_state(hub, task_id, "running")
    ada.kill()
    await until(lambda: not is_alive(first), "the run has died with its sidecar")
    ada.start()
    task = await ended(hub, task_id, 60)
    assert (task["state"], task["generation"], task["strikes"]) == ("completed", 2, 1)
    assert [start.gen for start in starts_of(runs, task_id)] == [1, 2]


@pytest.mark.timeout(240)
async def test_a_killed_run_is_an_attempt_and_its_task_is_tried_again(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    await sidecar("ada")
    await connected(hub, "ada")
    work = {"work": {"steps": 8, "pause_s": 0.25}}
    task_id = (await hub.push("ada", "survive", metadata=work, attempts_max=3))["task_id"]
    (first,) = await family_of(runs, task_id, 1)
    os.kill(first, signal.SIGKILL)
    task = await ended(hub, task_id, 60)
    assert (task["state"], task["generation"], task["attempt"]) == ("completed", 2, 1)


@pytest.mark.timeout(240)
async def test_a_terminated_sidecar_finishes_what_it_has(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    ada = await sidecar("ada")
    await connected(hub, "ada")
    work = {"work": {"steps": 4, "pause_s": 0.3}}
    task_id = (await hub.push("ada", "finish", metadata=work))["task_id"]
    await family_of(runs, task_id, 1)
    assert ada.stop() == 0
    task = await ended(hub, task_id)
    assert (task["state"], task["generation"]) == ("completed", 1)
