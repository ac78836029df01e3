"""Runs that strangers behind Redis do for this hub: published once, ended once, whoever dies in between.

The worker is `tests/streams/peers.py`: written from the contract, and nothing of ours in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from hub.crashpoints import StreamPoint
from tests.hub.conftest import HubProcess
from tests.streams.conftest import redis_process
from tests.streams.peers import REQUEST_GROUP, REQUESTS, RESULT_GROUP, RESULTS, StreamWorker
from tests.streams.servers import RedisServer
from tests.system.conftest import hub_process
from tests.system.processes import QUICK
from tests.waiting import until

__all__ = ["hub_process", "redis_process"]

pytestmark = pytest.mark.timeout(300)

BRIEFING = {"summary": "All quiet.", "sections": [{"title": "Today", "content": "Nothing."}]}
ENDED = ("completed", "failed")


class Scene:
    """A hub that sends its runs out, a Redis, and a stranger who does them."""

    def __init__(self, hub: HubProcess, server: RedisServer) -> None:
        self.hub = hub
        self.server = server
        self.output: Callable[[str, dict[str, Any]], str] = lambda plugin, settings: json.dumps(BRIEFING)
        self.worker = StreamWorker(server.url, self._do)

    def _do(self, plugin: str, settings: dict[str, Any]) -> str:
        return self.output(plugin, settings)

    def start(self, **more: str) -> None:
        said = {"HUB_REDIS": self.server.url, "HUB_RUNS_BY": "streams", **QUICK, **more}
        self.hub.start(**said)

    async def has_died(self) -> None:
        process = self.hub.process
        assert process is not None
        await until(lambda: process.poll() is not None, "the hub has come to its end")
        assert self.hub.wait() == -signal.SIGKILL

    async def ask(self, user_id: int = 7, **settings: Any) -> str:
        async with self.hub.http() as http:
            body = {"user_id": user_id, "settings": settings}
            answer = await http.post("/api/plugins/digest/runs", json=body)
            assert answer.status_code == 202, answer.text
            found: str = answer.json()["plugin_run_id"]
            return found

    async def run(self, run_id: str) -> dict[str, Any]:
        async with self.hub.http() as http:
            answer = await http.get(f"/api/runs/{run_id}")
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

    async def becomes(self, run_id: str, *statuses: str) -> dict[str, Any]:
        async with asyncio.timeout(90):
            while (run := await self.run(run_id))["status"] not in statuses:
                pass  # asking again is the pause
        return run

    async def works(self, runs: int = 1) -> None:
        """The worker does so many."""
        wanted = len(self.worker.ran) + runs
        async with asyncio.timeout(90):
            while len(self.worker.ran) < wanted:
                await self.worker.work()

    async def requested(self, count: int) -> list[dict[str, Any]]:
        """The requests that were ever published, once there are so many."""
        await until(lambda: len(self.server.entries(REQUESTS)) >= count, f"{count} requests are out")
        return [json.loads(fields["payload"]) for _, fields in self.server.entries(REQUESTS)]

    def result(self, **members: Any) -> str:
        return self.server.add(RESULTS, payload=json.dumps(members), schema_version="v1")

    def has_nothing_pending(self, stream: str, group: str) -> bool:
        return not self.server.pending(stream, group)

    async def nothing_pends(self) -> None:
        for stream, group in ((REQUESTS, REQUEST_GROUP), (RESULTS, RESULT_GROUP)):
            await until(partial(self.has_nothing_pending, stream, group), f"nothing of {stream} pends")


@pytest.fixture
async def scene(hub_process: HubProcess, redis_process: RedisServer) -> AsyncIterator[Scene]:
    scene = Scene(hub_process, redis_process)
    yield scene
    await scene.worker.close()


async def test_a_stranger_does_a_run_and_its_output_is_a_briefing(scene: Scene) -> None:
    """L89. Both halves are wired: the reverse of a request that comes in."""
    scene.start()
    run_id = await scene.ask(topics=["law"], _llm_api_key="sk-canary")
    requests = await scene.requested(1)
    wanted = {"plugin_run_id": run_id, "plugin_name": "digest", "user_id": 7, "settings": {"topics": ["law"]}}
    assert requests == [wanted], "and no credential among them (L40)"
    await scene.works()
    run = await scene.becomes(run_id, *ENDED)
    assert (run["status"], run["error_message"]) == ("completed", None)
    assert json.loads(run["output"]) == BRIEFING
    async with scene.hub.http() as http:
        briefings = (await http.get("/api/briefings")).json()
    assert "All quiet." in json.dumps(briefings)
    await scene.nothing_pends()


@pytest.mark.parametrize("output", ["plain words", "", "{not json", "[1, 2", "null", "nul \0 byte"])
async def test_an_output_of_any_text_ends_its_run(scene: Scene, output: str) -> None:
    """L88."""
    scene.start()
    scene.output = lambda plugin, settings: output
    run_id = await scene.ask()
    await scene.works()
    run = await scene.becomes(run_id, *ENDED)
    assert (run["status"], run["output"]) == ("completed", output.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    await scene.nothing_pends()


async def test_a_failure_keeps_its_cause_and_is_not_done_again(scene: Scene) -> None:
    """L92. The worker has answered: a retry would be a second opinion that nobody has asked for."""
    scene.start()

    def fail(plugin: str, settings: dict[str, Any]) -> str:
        raise ValueError("Plugin crew not found: digest")

    scene.output = fail
    run_id = await scene.ask()
    await scene.works()
    run = await scene.becomes(run_id, *ENDED)
    assert (run["status"], run["error_message"]) == ("failed", "Plugin crew not found: digest")
    assert len(await scene.requested(1)) == 1
    await scene.nothing_pends()


async def test_a_run_is_processing_from_its_publication_on_and_never_again_after_its_end(
    scene: Scene,
) -> None:
    """L85. A result that is quicker than everything else, and one that comes again, later and otherwise."""
    scene.start()
    run_id = await scene.ask()
    await scene.requested(1)
    assert (await scene.becomes(run_id, "processing"))["started_at"] is not None
    scene.result(plugin_run_id=run_id, status="completed", output="first", error=None)
    await scene.becomes(run_id, "completed")
    scene.result(plugin_run_id=run_id, status="failed", output=None, error="late")
    scene.result(plugin_run_id=run_id, status="completed", output="later", error=None)
    other = await scene.ask(topics=["after"])
    scene.result(plugin_run_id=other, status="completed", output="x", error=None)
    await scene.becomes(other, "completed")  # so all before it were looked at
    run = await scene.run(run_id)
    assert (run["status"], run["output"]) == ("completed", "first")
    await until(lambda: not scene.server.pending(RESULTS, RESULT_GROUP), "late results are acknowledged")


async def test_a_malformed_result_fails_the_run_it_names_and_is_kept_for_a_person(scene: Scene) -> None:
    """L82."""
    scene.start()
    run_id = await scene.ask()
    await scene.requested(1)
    scene.result(plugin_run_id=run_id, status="done", output="?")
    scene.server.add(RESULTS, payload="{", schema_version="v1")
    run = await scene.becomes(run_id, *ENDED)
    assert run["status"] == "failed"
    assert "malformed" in run["error_message"]
    await until(lambda: len(scene.server.entries("plugin:dead")) == 2, "both are parked")
    await until(lambda: not scene.server.pending(RESULTS, RESULT_GROUP), "and acknowledged")


async def test_results_that_nobody_here_knows_stay_pending_and_stand_in_no_way(scene: Scene) -> None:
    """L90. More of them than one reading takes, and through a restart."""
    scene.start()
    strange = [scene.result(plugin_run_id=f"strange-{n}", status="completed", output="x") for n in range(25)]
    run_id = await scene.ask()
    await scene.works()
    await scene.becomes(run_id, "completed")
    scene.hub.signal(signal.SIGKILL)
    await scene.has_died()
    scene.start()
    again = await scene.ask(topics=["again"])
    await scene.works()
    await scene.becomes(again, "completed")
    assert set(strange) <= set(scene.server.pending(RESULTS, RESULT_GROUP))
    assert "strange-24" in scene.hub.log.read_text()


POINTS = [
    *(point.value for point in StreamPoint if point.value.startswith(("request.", "result."))),
    *("fact.before_commit", "fact.after_commit", "fact.after_tell"),
    *("fact.before_commit:2", "fact.after_commit:2", "fact.after_tell:2"),
]


@pytest.mark.parametrize("point", POINTS)
async def test_a_hub_killed_at_any_step_asks_once_and_takes_in_one_result(scene: Scene, point: str) -> None:
    """L86. The same run id, one request, one result, nothing left behind."""
    scene.start(HUB_CRASH_AT=point)
    async with scene.hub.http() as http:
        # The hub may die before it has answered: asked again, it is the same run (L87).
        with contextlib.suppress(httpx.HTTPError):
            await http.post("/api/plugins/digest/runs", json={"user_id": 7, "settings": {}})
    async with asyncio.timeout(90):
        process = scene.hub.process
        while process is not None and process.poll() is None:
            await scene.worker.work()
    await scene.has_died()
    scene.start()
    async with scene.hub.http() as http:
        answer = await http.post("/api/plugins/digest/runs", json={"user_id": 7, "settings": {}})
    run_id = answer.json()["plugin_run_id"]
    async with asyncio.timeout(90):
        while (run := await scene.run(run_id))["status"] not in ENDED:
            await scene.worker.work()
    assert run["status"] == "completed", run
    assert [one["plugin_run_id"] for one in await scene.requested(1)] == [run_id]
    assert scene.worker.ran == [run_id]
    await scene.nothing_pends()
    task = await scene.hub.task(run["task_id"])
    assert (task["generation"], task["attempt"]) == (1, 0)


async def test_a_request_that_redis_has_lost_is_published_again(scene: Scene) -> None:
    """FLUSHALL while the run is out, before anybody has taken it."""
    scene.start()
    run_id = await scene.ask()
    await scene.becomes(run_id, "processing")
    scene.server.ask("FLUSHALL")
    await scene.requested(1)
    await scene.works()
    assert (await scene.becomes(run_id, *ENDED))["status"] == "completed"
    assert scene.worker.ran == [run_id]


async def test_a_run_waits_for_a_redis_that_is_away_for_a_moment(scene: Scene) -> None:
    scene.start()
    first = await scene.ask()
    await scene.becomes(first, "processing")
    scene.server.kill()
    second = await scene.ask(topics=["meanwhile"])
    scene.server.start()
    await scene.works(2)
    for run_id in (first, second):
        assert (await scene.becomes(run_id, *ENDED))["status"] == "completed"
    assert sorted(scene.worker.ran) == sorted([first, second])
    await scene.nothing_pends()


async def test_a_redis_that_stops_answering_loses_no_run(scene: Scene) -> None:
    scene.start()
    run_id = await scene.ask()
    await scene.becomes(run_id, "processing")
    scene.server.pause()
    async with scene.hub.http() as http:
        for _ in range(3):
            assert (await http.get("/health/ready")).status_code == 200
    scene.server.resume()
    await scene.works()
    assert (await scene.becomes(run_id, *ENDED))["status"] == "completed"


async def test_without_a_redis_a_run_fails_at_once_and_says_so(hub_process: HubProcess) -> None:
    hub_process.start(HUB_RUNS_BY="streams")
    async with hub_process.http() as http:
        answer = await http.post("/api/plugins/digest/runs", json={"user_id": 7, "settings": {}})
        run = (await http.get(f"/api/runs/{answer.json()['plugin_run_id']}")).json()
    assert (run["status"], run["error_message"]) == ("failed", "streams publisher not configured")


async def test_a_cancelled_run_is_over_whatever_its_worker_still_says(scene: Scene) -> None:
    scene.start()
    run_id = await scene.ask()
    task_id = (await scene.becomes(run_id, "processing"))["task_id"]
    async with scene.hub.http() as http:
        await http.post(f"/api/tasks/{task_id}/cancel")
    await scene.becomes(run_id, "failed")
    await scene.works()
    await scene.nothing_pends()
    assert (await scene.hub.task(task_id))["state"] == "cancelled"
