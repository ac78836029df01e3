"""A fleet that is restarted one sidecar at a time while tasks flow: nothing fails, nothing runs twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import SidecarProcess, becomes, connected, ended, runs_of, starts_of
from tests.waiting import until

NAMES = ("north", "south", "west")
TASKS = 8
"""For each restart: the three have a seat each, so some are at work and some wait whenever one leaves."""


async def push(hub: HubProcess, count: int) -> list[str]:
    """Tasks for anybody that may be tried once, and take a moment."""
    ids = []
    async with hub.http() as http:
        for _ in range(count):
            body: dict[str, Any] = {
                "description": "work",
                "attempts_max": 1,
                "metadata": {"work": {"steps": 2, "pause_s": 0.1}},
            }
            answer = await http.post("/api/tasks", json=body)
            assert answer.status_code == 201, answer.text
            ids.append(answer.json()["task_id"])
    return ids


async def at_work(hub: HubProcess, name: str) -> None:
    await becomes(hub, f"/api/agents/{name}", lambda agent: agent.get("running_tasks"), 80)


async def told_to_drain(hub: HubProcess, name: str) -> None:
    """By a person, as `hub agents drain` does."""
    async with hub.http() as http:
        assert (await http.post(f"/api/agents/{name}/drain")).json()["status"] == "draining"
    await becomes(hub, f"/api/agents/{name}", lambda agent: not agent.get("connected"), 80)


async def restart(hub: HubProcess, one: SidecarProcess) -> None:
    assert one.stop() == 0, one.log.read_text()
    one.start()
    await connected(hub, one.agent_id)


async def test_each_sidecar_of_a_fleet_is_restarted_in_turn_and_no_task_fails(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    fleet = [await sidecar(name) for name in NAMES]
    for one in fleet:
        await connected(hub, one.agent_id)
    ids: list[str] = []
    for one in fleet:
        ids += await push(hub, TASKS)
        await at_work(hub, one.agent_id)
        await restart(hub, one)
    for one in fleet:
        ids += await push(hub, TASKS)
        await told_to_drain(hub, one.agent_id)
        await restart(hub, one)
    ids += await push(hub, TASKS)
    for task_id in ids:
        task = await ended(hub, task_id)
        assert (task["state"], task["attempt"], task["strikes"]) == ("completed", 0, 0), task
        assert len(starts_of(runs, task_id)) == 1, "it ran once"
    assert len([record for record in runs_of(runs) if record.f == "start"]) == len(ids)


async def test_a_sidecar_that_was_drained_by_a_person_takes_work_after_a_restart_and_not_after_a_redial(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    one = await sidecar("north")
    await connected(hub, "north")
    await told_to_drain(hub, "north")
    (waiting,) = await push(hub, 1)
    dials = one.status()["dials"]
    async with hub.http() as http:
        explained = (await http.get(f"/api/tasks/{waiting}/explain")).json()
    assert explained["agents"][0]["rule"] in ("not_connected", "draining"), explained
    assert one.status()["dials"] == dials, "it stays away as long as it was told to"
    await restart(hub, one)
    assert (await ended(hub, waiting))["state"] == "completed"


async def test_the_rest_of_a_sidecar_is_seen_and_ends_by_itself(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    """The hub gives nothing meanwhile, and says why; nobody has to stir the task when the rest is over."""
    await sidecar("north", SIDECAR_RUNS_PER_DAY="1", SIDECAR_SLOT_KINDS="gpu=1")
    await connected(hub, "north")
    first, second = await push(hub, 2)
    assert (await ended(hub, first))["state"] == "completed"
    agent = await becomes(hub, "/api/agents/north", lambda agent: agent.get("state") == "resting", 80)
    assert agent["resting"]["reason"] == "runs_per_day"
    assert agent["slot_kinds"] == {"gpu": 1}
    assert agent["sdk"].startswith("crewhub/")
    async with hub.http() as http:
        explained = (await http.get(f"/api/tasks/{second}/explain")).json()
        assert explained["agents"] == [{"agent_id": "north", "rule": "resting"}], explained
        stats = (await http.get(f"/api/tasks/{second}")).json()
    assert (stats["state"], stats["attempt"]) == ("queued", 0)


async def test_a_task_that_waits_for_a_rest_to_end_starts_when_it_does(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    one = await sidecar("north")
    await connected(hub, "north")
    folder = next(one.folder.glob("state/**/status.json")).parent
    (folder / "pause.json").write_text("{}")
    await becomes(hub, "/api/agents/north", lambda agent: agent.get("state") == "resting", 80)
    (waiting,) = await push(hub, 1)
    (folder / "pause.json").unlink()
    assert (await ended(hub, waiting))["state"] == "completed"
    await until(lambda: one.status().get("state") == "ready", "its status says so, too", 80)
