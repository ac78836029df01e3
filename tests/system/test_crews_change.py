"""Plugins that come and break while a crew works: the hub is told, and the crew goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from plugins.loader import SHIPPED
from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.crews import DIGEST, HUNG, TOPICS, hearing
from tests.system.processes import becomes, connected, ended, in_state
from tests.waiting import until

pytest.importorskip("crewai", reason="crewai is not installed")
pytestmark = pytest.mark.timeout(240)

CHECK = "release-check"


def put(name: str, folder: Path) -> None:
    """As a careful person copies a plugin: it appears whole."""
    shutil.copytree(SHIPPED / name, folder / f".{name}")
    (folder / f".{name}").rename(folder / name)


async def offers(hub: HubProcess, *names: str) -> None:
    """Wait until the hub knows exactly these plugins of a connected agent."""

    def is_so(agent: dict[str, Any]) -> bool:
        return bool(agent.get("connected")) and agent["plugins"] == list(names)

    await becomes(hub, "/api/agents/ada", is_so, 90)


async def test_a_crew_goes_on_while_a_plugin_comes_and_another_breaks(
    hub: HubProcess, sidecar: StartSidecar, tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    put(DIGEST, folder)
    words = ("--plugins", str(folder), "--model", "offline", "--slots", "2")
    one = await sidecar("ada", words=words)
    await connected(hub, "ada")
    await offers(hub, DIGEST)
    async with hearing(hub) as heard:
        slow = (await hub.push("ada", plugin=DIGEST, inputs=TOPICS, metadata={"offline": HUNG}))["task_id"]
        await heard.until(slow, "task_log", "Researcher")
        put(CHECK, folder)
        await offers(hub, DIGEST, CHECK)
        (folder / DIGEST / "crew" / "crew.py").write_text("import nothing_of_that_name\n")
        await offers(hub, CHECK)
        task = await in_state(hub, slow, "running")
        assert (task["generation"], heard.of(slow, "task_requeued", "task_stopped", "task_failed")) == (1, [])
        seen = ["task_recovering", "task_resumed"]
        await until(
            lambda: [event["event"] for event in heard.of(slow, *seen)] == seen * 2,
            "the run is back each time that the link was away for a moment",
        )
        async with hub.http() as client:
            await client.post(f"/api/tasks/{slow}/cancel")
        assert (await ended(hub, slow))["state"] == "cancelled"
    (broken,) = one.status()["broken_plugins"]
    assert "nothing_of_that_name" in broken
