"""A run goes on while the line to the hub, or the hub itself, is away: same generation, one execution."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.load import Scene, Watcher
from tests.chaos.proxy import Proxy
from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import QUICK, connected, ended, in_state, runs_of, starts_of
from tests.waiting import until


@asynccontextmanager
async def watching(hub: HubProcess, folder: Path) -> AsyncIterator[Watcher]:
    """A watcher of the whole feed, which comes back by itself when the hub goes away."""
    scene = Scene(hub.address, hub.admin_token, folder)
    watcher = Watcher(scene, "watcher")
    async with asyncio.TaskGroup() as group:
        following = group.create_task(watcher.run())
        await until(lambda: watcher.connections, "the watcher watches")
        yield watcher
        following.cancel()


async def pushed(hub: HubProcess, agent_id: str, **work: object) -> str:
    return str((await hub.push(agent_id, "go on", metadata={"work": work}))["task_id"])


def progress_of(watcher: Watcher, task_id: str) -> list[float]:
    return [
        event["payload"]["progress"]
        for event in watcher.passing
        if event["event"] == "task_progress" and event["task_id"] == task_id
    ]


def words_about(watcher: Watcher, task_id: str) -> list[str]:
    return [event["event"] for _, event in watcher.seen if event["task_id"] == task_id]


async def passed(seconds: float) -> None:
    """That so long a time has passed is the condition here: the length of the cut is what is tested."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    await until(lambda: clock() >= end, "time passes", seconds + 10)


async def until_it_goes_on(watcher: Watcher, task_id: str) -> None:
    """A progress that is higher than all that were seen so far."""
    known = max(progress_of(watcher, task_id), default=0.0)
    await until(lambda: max(progress_of(watcher, task_id), default=0) > known, "progress goes on", 60)


async def assert_it_ran_once(hub: HubProcess, task_id: str, runs: Path) -> None:
    task = await ended(hub, task_id, 60)
    assert (task["state"], task["generation"], task["attempt"], task["strikes"]) == ("completed", 1, 0, 0)
    assert len(starts_of(runs, task_id)) == 1


@pytest.mark.timeout(240)
async def test_a_link_dropped_for_two_seconds_costs_nothing(
    hub: HubProcess, proxy: Proxy, sidecar: StartSidecar, runs: Path, tmp_path: Path
) -> None:
    """L4, L5: nothing is requeued or accepted anew, it runs once, and the feed shows it going on."""
    await sidecar("ada", proxy.ws_address)
    await connected(hub, "ada")
    async with watching(hub, tmp_path) as watcher:
        task_id = await pushed(hub, "ada", steps=40, pause_s=0.25)
        await until_it_goes_on(watcher, task_id)
        proxy.close()
        await in_state(hub, task_id, "recovering")
        await passed(2)
        proxy.open()
        await in_state(hub, task_id, "running")
        await until_it_goes_on(watcher, task_id)
        await assert_it_ran_once(hub, task_id, runs)
        await until(lambda: "task_complete" in words_about(watcher, task_id), "the end is on the feed")
    assert words_about(watcher, task_id) == [
        *("task_queued", "task_assigned", "task_accepted", "task_recovering", "task_resumed"),
        "task_complete",
    ]


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_line_that_is_dead_for_a_minute_costs_nothing(
    hub: HubProcess, proxy: Proxy, sidecar: StartSidecar, runs: Path, tmp_path: Path
) -> None:
    """L6, L53: no reset, no goodbye, only silence; the run ends meanwhile, and its result arrives, once."""
    await sidecar("ada", proxy.ws_address)
    await connected(hub, "ada")
    async with watching(hub, tmp_path) as watcher:
        long = await pushed(hub, "ada", steps=280, pause_s=0.25)
        await until_it_goes_on(watcher, long)
        proxy.stall()
        await passed(60)
        proxy.open()
        await in_state(hub, long, "running", patience=60)
        await until_it_goes_on(watcher, long)
        await assert_it_ran_once(hub, long, runs)


@pytest.mark.timeout(240)
async def test_a_hub_that_is_killed_in_the_middle_of_a_run_resumes_it(
    hub: HubProcess, sidecar: StartSidecar, runs: Path, tmp_path: Path
) -> None:
    await sidecar("ada")
    await connected(hub, "ada")
    async with watching(hub, tmp_path) as watcher:
        task_id = await pushed(hub, "ada", steps=40, pause_s=0.25)
        await until_it_goes_on(watcher, task_id)
        hub.kill()
        await passed(2)
        hub.start(**QUICK)
        await in_state(hub, task_id, "running")
        await until_it_goes_on(watcher, task_id)
        await assert_it_ran_once(hub, task_id, runs)
        assert not [event for _, event in watcher.seen if event["event"] == "reset"]


@pytest.mark.timeout(240)
async def test_a_result_of_the_time_without_a_hub_arrives_once(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    """L6: the run ends while there is no hub at all."""
    await sidecar("ada")
    await connected(hub, "ada")
    task_id = await pushed(hub, "ada", steps=4, pause_s=0.5)
    await until(lambda: starts_of(runs, task_id), "the run has started")
    hub.kill()
    await until(lambda: [one for one in runs_of(runs, task_id) if one.f == "finish"], "the run has ended")
    hub.start(**QUICK)
    await assert_it_ran_once(hub, task_id, runs)


@pytest.mark.timeout(240)
async def test_a_sidecar_never_gives_up_dialling(
    hub: HubProcess, proxy: Proxy, sidecar: StartSidecar, runs: Path
) -> None:
    """L77: refused again and again, it still comes back when there is somebody to come back to."""
    ada = await sidecar("ada", proxy.ws_address, SIDECAR_RETRY_LEAST_MS="10", SIDECAR_RETRY_MOST_MS="50")
    await connected(hub, "ada")
    proxy.close()
    await until(lambda: proxy.refused >= 30, "it has been refused thirty times", 60)
    assert ada.is_running
    proxy.open()
    await connected(hub, "ada")
    await assert_it_ran_once(hub, await pushed(hub, "ada"), runs)
