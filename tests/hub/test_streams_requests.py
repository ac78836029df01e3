"""Requests of a stranger on `plugin:requests`, done by a real hub's fleet, answered on `plugin:results`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hub.runs.vault import KEYS_BYTES_MAX
from hub.streams.requests import ID_TAKEN, result_of
from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.hub.peers import Said, V2Peer
from tests.streams.conftest import redis_server
from tests.streams.peers import GoService
from tests.streams.servers import Reachable
from tests.waiting import until

__all__ = ["redis_server"]

REQUESTS, GROUP, DEAD = "plugin:requests", "crewai-workers", "plugin:dead"
PLUGIN = "digest"
TOPICS = {"topics": ["tides"], "summary_length": "short"}


@pytest.fixture
async def hub(redis_server: Reachable, start_hub: Callable[..., Any]) -> RunningHub:
    found: RunningHub = await start_hub(redis=redis_server.url)
    return found


@pytest.fixture
async def service(redis_server: Reachable) -> AsyncIterator[GoService]:
    found = GoService(redis_server.url)
    yield found
    await found.close()


async def worker(hub: RunningHub, **more: Any) -> V2Peer:
    return await v2(hub, "ada", plugins=[PLUGIN], **more)


async def answered(service: GoService, run_id: str) -> list[dict[str, Any]]:
    """The results of a run, once there is one."""
    while run_id not in service.results:
        await service.take_in()
    return service.results[run_id]


async def finish(peer: V2Peer, assigned: Said, result: Any = "done") -> None:
    await peer.say(peer.fact("task_accepted", assigned), peer.fact("task_complete", assigned, result=result))


def files_with(folder: Path, word: bytes) -> list[Path]:
    """Files that have it in them, but for those of Redis, which keeps what it is given."""
    found = (one for one in folder.rglob("*") if one.is_file() and "redis" not in one.parts)
    return [one for one in found if word in one.read_bytes()]


def pending(server: Reachable) -> dict[str, tuple[str, int]]:
    return server.pending(REQUESTS, GROUP)


async def test_a_request_is_done_by_the_fleet_and_answered_before_it_is_acknowledged(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    """L82, L89: both halves meet on the wire."""
    peer = await worker(hub)
    await service.request("run-1", PLUGIN, 7, TOPICS)
    assigned = await peer.hear("task_assign")
    assert (assigned["plugin"], assigned["inputs"]) == (PLUGIN, TOPICS)
    assert len(pending(redis_server)) == 1
    briefing = {"summary": "All is well.", "sections": [{"title": "Tides", "content": "High."}]}
    await finish(peer, assigned, briefing)
    (result,) = await answered(service, "run-1")
    assert (result["status"], result["error"]) == ("completed", None)
    assert json.loads(result["output"]) == briefing
    await until(lambda: not pending(redis_server), "the request is acknowledged")
    async with hub.http() as http:
        run = (await http.get("/api/runs/run-1")).json()
    assert (run["user_id"], run["status"], run["input"]) == (7, "completed", TOPICS)


async def test_a_run_that_fails_says_why(hub: RunningHub, service: GoService) -> None:
    """L92."""
    peer = await worker(hub)
    await service.request("run-1", PLUGIN)
    assigned = await peer.hear("task_assign")
    accepted = peer.fact("task_accepted", assigned)
    await peer.say(accepted, peer.fact("task_failed", assigned, error="no model", retryable=False))
    (result,) = await answered(service, "run-1")
    assert (result["status"], result["output"]) == ("failed", None)
    assert "no model" in result["error"]


async def test_an_unknown_plugin_is_answered_by_its_name(
    redis_server: Reachable, start_hub: Callable[..., Any], service: GoService
) -> None:
    """L83: only what really is not there is not found; a fleet that is coming back is waited for."""
    hub = await start_hub(redis=redis_server.url)
    await service.request("run-1", "nowhere")
    requests = hub.parts.face.requests
    await until(lambda: requests.open_runs == 1, "the request waits for agents that may come back")
    await service.take_in()
    assert not service.results
    requests._patient_until_ms = 0
    (result,) = await answered(service, "run-1")
    assert (result["status"], result["error"]) == ("failed", "Plugin crew not found: nowhere")
    await until(lambda: not pending(redis_server), "it is acknowledged")
    ((_, copy),) = redis_server.entries(DEAD)
    assert copy["dead_reason"] == result["error"], "as a sidecar without a hub does"


async def test_a_plugin_of_an_agent_that_comes_back_is_waited_for(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    await service.request("run-1", PLUGIN)
    assert hub.parts.face is not None
    requests = hub.parts.face.requests
    assert requests is not None
    await until(lambda: requests.open_runs == 1, "the request waits")
    peer = await worker(hub)
    await finish(peer, await peer.hear("task_assign"))
    assert (await answered(service, "run-1"))[0]["status"] == "completed"


async def test_a_plugin_of_a_folder_waits_for_its_agent(
    redis_server: Reachable, start_hub: Callable[..., Any], service: GoService
) -> None:
    hub = await start_hub(redis=redis_server.url, plugins=("shipped",))
    hub.parts.face.requests._patient_until_ms = 0
    await service.request("run-1", "daily-news-digest", settings=TOPICS)
    await until(hub.parts.board.open_tasks, "the run is in the queue")
    assert not service.results


async def test_a_malformed_request_is_answered_parked_and_acknowledged(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    """L82: never acknowledged without any result, never redelivered for ever."""
    payload = json.dumps({"plugin_run_id": "run-1", "plugin_name": PLUGIN, "user_id": "seven"})
    redis_server.add(REQUESTS, payload=payload, schema_version="v1")
    redis_server.add(REQUESTS, payload="{}", schema_version="v9")
    (result,) = await answered(service, "run-1")
    assert result["status"] == "failed"
    assert "user_id" in result["error"]
    await until(lambda: len(redis_server.entries(DEAD)) == 2, "both are parked")
    assert not pending(redis_server)
    assert not hub.parts.board.open_tasks()


async def test_one_run_asked_for_twice_runs_once_and_is_answered_once(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    """L79."""
    peer = await worker(hub, slots=4)
    await service.request("run-1", PLUGIN, settings=TOPICS)
    assigned = await peer.hear("task_assign")
    await service.request("run-1", PLUGIN, settings={"topics": ["another thing under the same id"]})
    await service.request("run-2", PLUGIN)
    second = await peer.hear("task_assign")
    assert second["task_id"] != assigned["task_id"]
    await finish(peer, assigned)
    await finish(peer, second)
    await answered(service, "run-2")
    await until(lambda: not pending(redis_server), "all are acknowledged")
    await service.request("run-1", PLUGIN, settings=TOPICS)
    await service.request("run-3", PLUGIN)
    await finish(peer, await peer.hear("task_assign"))
    await answered(service, "run-3")
    assert len(service.results["run-1"]) == 1
    assert len(hub.parts.board.open_tasks()) == 0


async def test_a_request_that_redis_forgot_about_is_answered_from_the_ledger(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    """After FLUSHALL whoever asked asks again: the run is not run again, its result is."""
    peer = await worker(hub)
    await service.request("run-1", PLUGIN, settings=TOPICS)
    await finish(peer, await peer.hear("task_assign"), "once")
    await answered(service, "run-1")
    redis_server.ask("FLUSHALL")
    service.results.clear()
    await service.request("run-1", PLUGIN, settings=TOPICS)
    (result,) = await answered(service, "run-1")
    assert result["output"] == "once"
    await until(lambda: not pending(redis_server), "it is acknowledged")


async def test_a_run_that_is_under_way_when_redis_is_emptied_is_answered(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    peer = await worker(hub)
    await service.request("run-1", PLUGIN)
    assigned = await peer.hear("task_assign")
    redis_server.ask("FLUSHALL")
    await finish(peer, assigned)
    assert (await answered(service, "run-1"))[0]["status"] == "completed"


async def test_no_more_are_taken_than_may_be_under_way(
    redis_server: Reachable, start_hub: Callable[..., Any], service: GoService
) -> None:
    """L84: what is beyond the bound stays with Redis, for whoever has a hand free."""
    hub = await start_hub(redis=redis_server.url, streams_runs_max=2)
    peer = await worker(hub, slots=4)
    for number in range(5):
        await service.request(f"run-{number}", PLUGIN)
    first, second = await peer.hear("task_assign"), await peer.hear("task_assign")
    assert len(pending(redis_server)) == 2
    await finish(peer, first)
    third = await peer.hear("task_assign")
    assert len(hub.parts.board.open_tasks()) <= 2
    for assigned in (second, third):
        await finish(peer, assigned)
    for _ in range(2):
        await finish(peer, await peer.hear("task_assign"))
    for number in range(5):
        assert (await answered(service, f"run-{number}"))[0]["status"] == "completed"


async def test_credentials_reach_the_holder_and_no_file_of_the_hub(
    redis_server: Reachable, start_hub: Callable[..., Any], service: GoService, tmp_path: Path
) -> None:
    """L40."""
    hub = await start_hub(redis=redis_server.url, turns_bytes=1 << 20, history_file=tmp_path / "history")
    peer = await worker(hub)
    settings = {**TOPICS, "_llm_api_key": "sk-canary-4711"}
    await service.request("run-1", PLUGIN, settings=settings)
    assigned = await peer.hear("task_assign")
    assert assigned["inputs"] == settings
    assert "canary" not in json.dumps(await hub.task(assigned["task_id"]))
    assert len(hub.parts.vault) == 1
    await finish(peer, assigned)
    await answered(service, "run-1")
    assert len(hub.parts.vault) == 0
    assert not files_with(tmp_path, b"canary")


async def test_keys_that_are_too_big_are_answered_with_a_sentence(
    hub: RunningHub, service: GoService
) -> None:
    await worker(hub)
    await service.request("run-1", PLUGIN, settings={"_key": "x" * KEYS_BYTES_MAX})
    (result,) = await answered(service, "run-1")
    assert "credentials" in result["error"]


async def test_a_run_that_was_asked_for_over_http_under_that_id_is_answered_when_it_ends(
    hub: RunningHub, service: GoService
) -> None:
    peer = await worker(hub)
    async with hub.http() as http:
        body = {"user_id": 7, "settings": {}}
        run_id = (await http.post(f"/api/plugins/{PLUGIN}/runs", json=body)).json()["plugin_run_id"]
    assigned = await peer.hear("task_assign")
    await service.request(run_id, PLUGIN)
    assert hub.parts.face is not None
    requests = hub.parts.face.requests
    assert requests is not None
    await until(lambda: requests.open_runs == 1, "the request waits for that run")
    await finish(peer, assigned, "from there")
    assert (await answered(service, run_id))[0]["output"] == "from there"


async def test_a_request_under_an_id_that_a_plain_task_took_is_answered_and_not_kept_waiting(
    hub: RunningHub, service: GoService, redis_server: Reachable
) -> None:
    """Whoever may push tasks may not keep the runs of others from ever having an answer."""
    await hub.push("ada", idempotency_key="run:run-1", queue=True)
    await service.request("run-1", PLUGIN)
    await worker(hub)
    (result,) = await answered(service, "run-1")
    assert (result["status"], result["error"]) == ("failed", ID_TAKEN)
    await until(lambda: not pending(redis_server), "it is acknowledged")


async def test_a_hub_that_may_not_consume_leaves_requests_alone(
    redis_server: Reachable, start_hub: Callable[..., Any], service: GoService
) -> None:
    hub = await start_hub(redis=redis_server.url, streams_consume=False)
    assert hub.parts.face.requests is None
    peer = await worker(hub)
    await service.request("run-1", PLUGIN)
    await hub.push("ada", stream_id="channel")
    await finish(peer, await peer.hear("task_assign"))
    assert redis_server.ask("XINFO", "GROUPS", REQUESTS) == []


async def test_a_result_names_the_run_whose_task_it_is(hub: RunningHub, service: GoService) -> None:
    peer = await worker(hub)
    await service.request("run-1", PLUGIN)
    assigned = await peer.hear("task_assign")
    await finish(peer, assigned, {"output": "plain text"})
    (published,) = await answered(service, "run-1")
    task = await hub.parts.queries.task(assigned["task_id"])
    assert task is not None
    assert (result_of(task).plugin_run_id, result_of(task).output) == ("run-1", published["output"])
