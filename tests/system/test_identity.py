"""Two processes with one name, and a token that is taken away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.load import Scene, SocketWatcher, Watcher
from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import SidecarProcess, becomes, connected, ended, in_state, starts_of
from tests.system.test_dropped_links import assert_it_ran_once, pushed
from tests.waiting import until


@pytest.mark.timeout(180)
async def test_a_second_process_with_the_same_name_waits_while_the_first_lives(
    hub: HubProcess, sidecar: StartSidecar, runs: Path, tmp_path: Path
) -> None:
    """L10: the first keeps its route and its task; the second is let in when the first has gone."""
    first = await sidecar("ada")
    await connected(hub, "ada")
    task_id = await pushed(hub, "ada", steps=20, pause_s=0.25)
    await in_state(hub, task_id, "running")
    (tmp_path / "second").mkdir()
    second = SidecarProcess(tmp_path / "second", "ada", f"{hub.ws_address}/ws", await hub.token("ada"), runs)
    try:
        second.start()
        await until(lambda: "4410" in second.log.read_text(), "the second is sent away")
        await assert_it_ran_once(hub, task_id, runs)
        assert first.stop() == 0
        other = await pushed_when_connected(hub)
        task = await ended(hub, other, 80)
        assert task["state"] == "completed"
        assert len(starts_of(runs, other)) == 1
    finally:
        second.end()


async def pushed_when_connected(hub: HubProcess) -> str:
    answer = await hub.push("ada", "for whoever is ada now", queue=True, metadata={"work": {}})
    return str(answer["task_id"])


@pytest.mark.timeout(240)
async def test_a_revoked_token_closes_what_is_open_with_it(
    hub: HubProcess, sidecar: StartSidecar, tmp_path: Path
) -> None:
    """L33: the agent's socket and both kinds of feed; and the sidecar knows that it need not come back."""
    ada = await sidecar("ada")
    await connected(hub, "ada")
    token = await hub.token(role="viewer")
    scene = Scene(hub.address, token, tmp_path)
    watchers = [Watcher(scene, "sse"), SocketWatcher(scene, "socket")]
    async with hub.http() as client, asyncio.TaskGroup() as group:
        following = [group.create_task(watcher.follow_once()) for watcher in watchers]
        await until(lambda: all(one.connections for one in watchers), "they watch")
        listed = (await client.get("/admin/tokens")).json()["tokens"]
        viewer = next(one["token_id"] for one in listed if one["role"] == "viewer")
        for name in ("ada", viewer):
            assert (await client.delete(f"/admin/tokens/{name}")).json()["status"] == "revoked"
        await until(lambda: all(one.done() for one in following), "the feeds are closed")
    for watcher in watchers:
        watcher.close()
    assert ada.wait() == 4
    await becomes(hub, "/api/agents/ada", lambda agent: not agent["connected"], 60)
