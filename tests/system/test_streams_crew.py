"""End to end: an entry on `plugin:requests`, a crew on a sidecar behind the hub, the result on its stream.
And the reverse: a run of the hub, done by a sidecar that only speaks Redis.

Whoever asks and listens in the first is a stranger who knows the contract alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.conftest import ROOT, HubProcess
from tests.hub.listener import listening
from tests.streams.conftest import redis_server
from tests.streams.peers import GoService
from tests.streams.servers import Reachable
from tests.system.conftest import StartSidecar, hub_process
from tests.system.crews import CREWS, DIGEST, TOPICS
from tests.system.processes import QUICK, becomes, connected
from tests.waiting import until, until_true

__all__ = ["hub_process", "redis_server"]

pytest.importorskip("crewai", reason="crewai is not installed")
pytestmark = pytest.mark.timeout(240)

GONE_WRONG = {"topics": "no list", "summary_length": "short"}


@pytest.fixture
def worker(redis_server: Reachable, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`sidecar work`, as the page says it, with the model that needs no key."""
    words = ("work", "--redis", redis_server.url, *CREWS)
    places = {"XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "worker.log").open("wb") as log:
        command = [sys.executable, "-m", "sidecar.cli", *words]
        process = subprocess.Popen(command, env=os.environ | places, cwd=tmp_path, stdout=log, stderr=log)
    yield process
    process.terminate()
    until_true(lambda: process.poll() is not None, "the worker has left")


@pytest.fixture
def hub(hub_process: HubProcess, redis_server: Reachable) -> HubProcess:
    """A hub that knows plugin folders and a Redis by the variables of existing deployments."""
    hub_process.start(**QUICK, REDIS_URL=redis_server.url, PLUGIN_DIR="shipped")
    return hub_process


async def test_a_request_of_another_service_becomes_a_briefing_with_progress_on_its_channel(
    hub: HubProcess, sidecar: StartSidecar, redis_server: Reachable
) -> None:
    """L89: both halves, the fleet between them, and progress beside them. L102, L103."""
    await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    service = GoService(redis_server.url)
    async with listening(redis_server.url) as ears, asyncio.timeout(200):
        await service.request("run-1", DIGEST, 7, TOPICS)
        await service.request("run-2", DIGEST, 7, GONE_WRONG)
        while service.results.keys() != {"run-1", "run-2"}:
            await service.take_in()
        final = await ears.final("run-1")
        wrong = await ears.final("run-2")
    await service.close()
    (result,) = service.results["run-1"]
    assert result["status"] == "completed", result
    briefing = json.loads(result["output"])
    assert len(briefing["summary"]) <= 300
    assert all(section.keys() == {"title", "content"} for section in briefing["sections"])
    assert final["isError"] is False
    assert briefing["summary"] in final["content"]
    said = [one for one in ears.of("run-1") if "progress" in one]
    assert said[0] == {"message": "Starting execution...", "progress": 10}
    assert said[-1] == {"message": "Agentic loop complete", "progress": 70}
    assert all(30 <= one["progress"] <= 70 for one in said[1:])
    (failure,) = service.results["run-2"]
    assert failure["status"] == "failed"
    assert "topics" in failure["error"]
    assert wrong["isError"] is True
    await until(lambda: not redis_server.pending("plugin:requests", "crewai-workers"), "acknowledged")
    async with hub.http() as http:
        runs = {run["plugin_run_id"]: run for run in (await http.get("/api/runs")).json()["runs"]}
        briefings = (await http.get("/api/briefings")).json()["briefings"]
    assert (runs["run-1"]["status"], runs["run-2"]["status"]) == ("completed", "failed")
    assert [one["plugin_run_id"] for one in briefings] == ["run-1"]


async def test_a_run_of_the_hub_is_done_by_a_sidecar_that_only_speaks_streams(
    hub_process: HubProcess, worker: subprocess.Popen[bytes], redis_server: Reachable
) -> None:
    """L89, the other way round: asked over HTTP, published, done by `sidecar work`, and here again."""
    hub_process.start(**QUICK, HUB_RUNS_BY="streams", REDIS_URL=redis_server.url, PLUGIN_DIR="shipped")
    async with hub_process.http() as http:
        asked = await http.post(f"/api/plugins/{DIGEST}/runs", json={"user_id": 7, "settings": TOPICS})
        assert (asked.status_code, asked.json()["status"]) == (202, "pending")
        run_id = asked.json()["plugin_run_id"]
        run = await becomes(hub_process, f"/api/runs/{run_id}", lambda run: run["completed_at"], 120)
        assert run["status"] == "completed", run["error_message"]
        assert json.loads(run["output"])["summary"]
        assert [one["plugin_run_id"] for one in (await http.get("/api/briefings")).json()["briefings"]] == [
            run_id
        ]
    assert worker.poll() is None
    for stream, group in (("plugin:requests", "crewai-workers"), ("plugin:results", "go-workers")):
        await until(lambda s=stream, g=group: not redis_server.pending(s, g), f"{stream} is acknowledged")  # type: ignore[misc]  # bound to this turn
