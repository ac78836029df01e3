"""Who is alive is not declared dead, and who is deaf finds out: stops, half-open lines, cuts at any byte."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.chaos.proxy import Proxy
from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import becomes, connected, ended, in_state, starts_of
from tests.system.test_dropped_links import assert_it_ran_once, passed, pushed
from tests.waiting import until


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("who", "seconds"), [("hub", 10), ("sidecar", 5)])
async def test_a_process_that_is_stopped_for_a_while_is_not_taken_for_dead(
    who: str, seconds: float, hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    """L20: two beats are shorter than either stop."""
    ada = await sidecar("ada")
    await connected(hub, "ada")
    task_id = await pushed(hub, "ada", steps=60, pause_s=0.25)
    await in_state(hub, task_id, "running")
    stopped = hub if who == "hub" else ada
    stopped.signal(signal.SIGSTOP)
    await passed(seconds)
    stopped.signal(signal.SIGCONT)
    await assert_it_ran_once(hub, task_id, runs)


@pytest.mark.timeout(240)
async def test_a_deaf_sidecar_dials_again_by_itself(
    hub: HubProcess, proxy: Proxy, sidecar: StartSidecar, runs: Path
) -> None:
    """L21: only what the hub says is lost; what the sidecar says arrives. Two beats later there is a new
    line, and the task that was assigned into the silence runs."""
    ada = await sidecar("ada", proxy.ws_address)
    await until(lambda: ada.status().get("state") == "ready", "it knows that it is connected")
    proxy.to_client.swallow()
    before = proxy.accepted
    task_id = await pushed(hub, "ada", steps=1)
    await until(lambda: proxy.accepted > before, "it dials again", 60)
    proxy.open()
    task = await ended(hub, task_id)
    assert task["state"] == "completed"
    assert len(starts_of(runs, task_id)) == 1
    await until(lambda: "deaf" in ada.log.read_text(), "it says why")


@pytest.mark.timeout(240)
async def test_a_hub_that_hears_nothing_gives_the_line_up(
    hub: HubProcess, proxy: Proxy, sidecar: StartSidecar, runs: Path
) -> None:
    """L8: the other half of a line is gone, and the task does not stay assigned to it."""
    await sidecar("ada", proxy.ws_address)
    await connected(hub, "ada")
    proxy.to_hub.swallow()
    task_id = await pushed(hub, "ada", steps=1)
    await becomes(hub, f"/api/tasks/{task_id}", lambda task: task["state"] != "assigned", 60)
    proxy.open()
    proxy.cut()
    task = await ended(hub, task_id, 60)
    assert task["state"] == "completed"
    assert task["attempt"] == 0


CUTS = range(1, 900, 60)
"""Bytes of what the hub says after the push, an assign among them: a sample of all its byte boundaries."""


@pytest.mark.timeout(180)
async def test_a_line_that_is_cut_at_any_byte_of_an_assign_loses_no_task(
    hub: HubProcess, proxy: Proxy, sidecar: StartSidecar, runs: Path
) -> None:
    """L22: between sent and running; each task runs, and none runs twice."""
    await sidecar("ada", proxy.ws_address)
    await connected(hub, "ada")
    for after in CUTS:
        proxy.to_client.cut_after(after)
        task_id = (await hub.push("ada", "cut", queue=True, metadata={"work": {}}))["task_id"]
        task = await ended(hub, task_id)
        assert (task["state"], task["generation"]) == ("completed", 1), after
        assert len(starts_of(runs, task_id)) == 1, after
    assert proxy.accepted > len(CUTS) // 3
