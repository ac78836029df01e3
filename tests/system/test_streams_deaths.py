"""The hub killed at every step between Redis and ledger, and Redis killed, stopped and emptied under it.

No run is lost, none has two results, and every channel hears exactly one last word and nothing after it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.crashpoints import StreamPoint
from hub.runs.vault import KEYS_BYTES_MAX
from tests.hub.conftest import HubProcess
from tests.hub.listener import Listener, listening
from tests.streams.conftest import redis_process
from tests.streams.peers import GoService
from tests.streams.servers import RedisServer
from tests.system.conftest import StartSidecar, hub_process
from tests.system.processes import QUICK, connected, runs_of
from tests.waiting import until

__all__ = ["hub_process", "redis_process"]

pytestmark = pytest.mark.timeout(300)

GATED = Path(__file__).parent / "programs" / "gated.py"
PLUGIN = "digest"
REQUESTS, GROUP = "plugin:requests", "crewai-workers"
RUNS = ("run-0", "run-1", "run-2")
REFUSED = "run-refused"

PAUSE_S = float(os.environ.get("HUB_TEST_REDIS_PAUSE_S", "0"))
"""How much longer Redis is stopped than the hub waits for a reply. 60 is the long form."""

POINTS = [point for point in StreamPoint if point.value.startswith(("consume.", "relay."))]


class Scene:
    """A hub with a sidecar behind a Redis, a service that asks for runs, and somebody who listens."""

    def __init__(
        self, hub: HubProcess, server: RedisServer, service: GoService, ears: Listener, gate: Path, runs: Path
    ) -> None:
        self.hub = hub
        self.server = server
        self.service = service
        self.ears = ears
        self.gate = gate
        self.runs = runs
        self.environment = {**QUICK, "HUB_REDIS": server.url}

    def start(self, **more: str) -> None:
        self.hub.start(**self.environment, **more)

    async def has_died(self) -> None:
        process = self.hub.process
        assert process is not None
        await until(lambda: process.poll() is not None, "the hub has come to its end")
        assert self.hub.wait() == -signal.SIGKILL

    async def ask(self) -> None:
        for run_id in RUNS:
            await self.service.request(run_id, PLUGIN, 7, {"topics": [run_id]})

    async def ask_too_much(self) -> None:
        """A request that is answered without a run."""
        await self.service.request(REFUSED, PLUGIN, settings={"_key": "x" * KEYS_BYTES_MAX})

    async def all_in_hand(self) -> None:
        """Every run is under way, so nothing of it lies in Redis alone."""
        await until(lambda: len(runs_of(self.runs)) == len(RUNS), "all runs have begun")

    async def all_answered(self, *more: str) -> None:
        """One result for each run, nothing pending, one last word on each channel, each run begun once."""
        async with asyncio.timeout(120):
            while not {*RUNS, *more} <= self.service.results.keys():
                await self.service.take_in()
        for run_id in RUNS:
            await self.ears.final(run_id)
        await until(lambda: not self.server.pending(REQUESTS, GROUP), "every request is acknowledged")
        await self.service.take_in()
        assert {run_id: len(found) for run_id, found in self.service.results.items()} == dict.fromkeys(
            (*RUNS, *more), 1
        )
        for run_id in RUNS:
            (result,) = self.service.results[run_id]
            assert (result["status"], result["error"]) == ("completed", None)
            self.ears.check(run_id)
            assert self.ears.finals(run_id)[0]["isError"] is False
        assert len(runs_of(self.runs)) == len(RUNS)


@pytest.fixture
def hub(hub_process: HubProcess, redis_process: RedisServer) -> HubProcess:
    """A hub that knows the Redis from its first start on."""
    hub_process.start(**QUICK, HUB_REDIS=redis_process.url)
    return hub_process


@pytest.fixture
async def scene(
    hub: HubProcess, redis_process: RedisServer, sidecar: StartSidecar, tmp_path: Path, runs: Path
) -> AsyncIterator[Scene]:
    gate, config = tmp_path / "gate", tmp_path / "sidecar.toml"
    words = [sys.executable, "-S", str(GATED), str(runs), str(gate)]
    config.write_text(f"[commands]\n{PLUGIN} = {json.dumps(words)}\n")
    await sidecar("ada", words=("--config", str(config), "--slots", str(len(RUNS))))
    await connected(hub, "ada")
    service = GoService(redis_process.url)
    async with listening(redis_process.url) as ears:
        yield Scene(hub, redis_process, service, ears, gate, runs)
    await service.close()


@pytest.mark.parametrize("point", POINTS)
async def test_a_hub_that_dies_between_redis_and_its_ledger_loses_and_repeats_nothing(
    point: StreamPoint, scene: Scene
) -> None:
    """L82, L85, L100, L101."""
    scene.hub.kill()
    scene.start(HUB_CRASH_AT=point.value)
    await connected(scene.hub, "ada")
    scene.gate.touch()
    await scene.ask()
    more = (REFUSED,) if "answer" in point.value else ()
    if more:
        await scene.ask_too_much()
    await scene.has_died()
    scene.start()
    await scene.all_answered(*more)
    assert scene.hub.stop() == 0


async def test_runs_go_on_while_the_hub_is_dead_and_are_answered_by_its_next_life(scene: Scene) -> None:
    """L80, L102: what the last life had taken is taken up by the next one, not left to a time-out, and its
    channels go on from where they were.
    """
    await scene.ask()
    await until(lambda: all(20 in scene.ears.progress(run_id) for run_id in RUNS), "all have begun")
    scene.hub.kill()
    scene.start()
    await connected(scene.hub, "ada")
    scene.gate.touch()
    await scene.all_answered()
    for run_id in RUNS:
        assert scene.ears.progress(run_id).count(10) == 1


async def test_a_redis_that_is_killed_loses_no_run_and_no_last_word(scene: Scene) -> None:
    """It comes back with its file; the hub stands still until whoever listens is there again."""
    await scene.ask()
    await scene.all_in_hand()
    scene.server.kill()
    scene.gate.touch()
    await until(lambda: len(ended_runs(scene)) == len(RUNS), "all runs have ended meanwhile")
    scene.hub.signal(signal.SIGSTOP)
    scene.ears.is_listening.clear()
    scene.server.start()
    await scene.ears.is_listening.wait()
    scene.hub.signal(signal.SIGCONT)
    await scene.service.close()
    scene.service = GoService(scene.server.url)
    try:
        await scene.all_answered()
    finally:
        await scene.service.close()


async def test_a_redis_that_stands_still_loses_no_run_and_no_last_word(scene: Scene) -> None:
    await scene.ask()
    await scene.all_in_hand()
    scene.server.pause()
    scene.gate.touch()
    await until(lambda: redis_of(scene) == "down", "the hub has waited in vain")
    due_s = asyncio.get_running_loop().time() + PAUSE_S
    await until(lambda: asyncio.get_running_loop().time() >= due_s, "the time is over", PAUSE_S + 60)
    assert len(ended_runs(scene)) == len(RUNS)
    scene.server.resume()
    await scene.all_answered()


async def test_a_redis_that_is_emptied_loses_no_run_that_was_taken(scene: Scene) -> None:
    await scene.ask()
    await scene.all_in_hand()
    scene.server.ask("FLUSHALL")
    scene.gate.touch()
    await scene.all_answered()


def asked(scene: Scene, path: str) -> dict[str, Any]:
    """What the hub's API says now."""
    headers = {"Authorization": f"Bearer {scene.hub.admin_token}"}
    answer = httpx.get(f"{scene.hub.address}{path}", headers=headers, timeout=20, trust_env=False)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended_runs(scene: Scene) -> list[str]:
    found = asked(scene, "/api/runs?status=completed")["runs"]
    return [run["plugin_run_id"] for run in found]


def redis_of(scene: Scene) -> str:
    return str(asked(scene, "/health/ready")["redis"])
