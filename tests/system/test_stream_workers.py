"""Sidecars that speak only Redis Streams, as processes, for a stranger who asks: killed, shared, drained."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sidecar.settings import KEPT_FOLDER, KEPT_REDIS, KEPT_SECONDS, Settings
from sidecar.streamwork.orders import ATTEMPTS_MAX, RUN_MS
from streams import names
from streams.reader import CLAIM_IDLE_MS
from tests.hub.conftest import ROOT
from tests.sidecar.streamdesk import pending
from tests.streams.conftest import redis_process
from tests.streams.peers import GoService
from tests.streams.servers import RedisServer
from tests.system.processes import is_alive
from tests.system.streamers import GATED, StreamWorkers
from tests.waiting import TIMEOUT_S, until

PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
PAGE = PAGE.partition("## A sidecar without a hub")[2].partition("\n## ")[0]

__all__ = ["redis_process"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def workers(tmp_path: Path, redis_process: RedisServer) -> Iterator[StreamWorkers]:
    found = StreamWorkers(tmp_path, redis_process.url)
    yield found
    found.end()


@pytest.fixture
async def service(redis_process: RedisServer) -> AsyncIterator[GoService]:
    stranger = GoService(redis_process.url)
    yield stranger
    await stranger.close()


async def told(service: GoService, *runs: str, patience: float = TIMEOUT_S) -> None:
    """All of these have a result, as the stranger reads them."""
    async with asyncio.timeout(patience):
        while not set(runs) <= set(service.results):
            await service.take_in()


async def ask(service: GoService, workers: StreamWorkers, run: str) -> None:
    await service.request(run, GATED, settings=workers.settings(run))


async def begun(workers: StreamWorkers, *runs: str) -> None:
    await until(lambda: set(runs) <= set(workers.runs_begun()), f"{runs} have begun")


async def test_a_consumer_killed_in_the_middle_is_replaced_under_another_name(
    workers: StreamWorkers, service: GoService, redis_process: RedisServer
) -> None:
    """L80: the run ends once, its result is there, and nothing is pending."""
    first = workers.start()
    await ask(service, workers, "r")
    await begun(workers, "r")
    ((_, run_pid),) = workers.begun()
    first.process.kill()
    first.wait()
    await until(lambda: not is_alive(run_pid), "its run died with it")
    ((entry, (dead, _)),) = pending(redis_process).items()
    second = workers.start()
    redis_process.age(names.REQUESTS, names.REQUEST_GROUP, entry, dead, CLAIM_IDLE_MS + 1)
    await until(lambda: workers.runs_begun() == ["r", "r"], "the second one runs it")
    ((_, (alive, _)),) = pending(redis_process).items()
    assert alive != dead
    workers.open("r")
    await told(service, "r")
    assert [one["status"] for one in service.results["r"]] == ["completed"]
    assert pending(redis_process) == {}
    assert second.process.poll() is None
    folders = sorted(path.name for path in workers.state.iterdir())
    assert folders == ["1"], "the second has swept and taken what the first left"
    assert list((workers.state / "1" / "runs").iterdir()) == []


async def test_a_live_worker_keeps_its_entry_however_long_the_run_is(
    workers: StreamWorkers, service: GoService, redis_process: RedisServer
) -> None:
    """L79: an entry that a worker has said it is at is nobody else's."""
    one = workers.start()
    await ask(service, workers, "r")
    await begun(workers, "r")
    ((entry, (owner, _)),) = pending(redis_process).items()
    nearly_ms = CLAIM_IDLE_MS - names.CLAIM_MARGIN_MS
    redis_process.age(names.REQUESTS, names.REQUEST_GROUP, entry, owner, nearly_ms)

    def idle_ms() -> int:
        ((_, _, idle, _),) = redis_process.raw("XPENDING", names.REQUESTS, names.REQUEST_GROUP, "-", "+", 9)
        return int(idle)

    workers.start()
    await until(lambda: idle_ms() < nearly_ms, "it is renewed")
    assert [name for name, _ in pending(redis_process).values()] == [owner]
    workers.open("r")
    await told(service, "r")
    assert workers.runs_begun() == ["r"]
    assert one.process.poll() is None


async def test_two_workers_side_by_side_share_and_neither_holds_more_than_it_runs(
    workers: StreamWorkers, service: GoService, redis_process: RedisServer
) -> None:
    """L79, L84"""
    one, two = workers.start(slots=2), workers.start(slots=2)
    runs = [f"r{number}" for number in range(6)]
    for run in runs:
        await ask(service, workers, run)
    await until(lambda: len(workers.runs_begun()) == 4, "both are full")
    owners = [owner for owner, _ in pending(redis_process).values()]
    assert sorted(owners.count(name) for name in set(owners)) == [2, 2]
    for run in runs:
        workers.open(run)
    await told(service, *runs)
    assert sorted(workers.runs_begun()) == runs
    assert all(len(found) == 1 for found in service.results.values())
    assert pending(redis_process) == {}
    assert sorted(path.name for path in workers.state.iterdir()) == ["1", "2"]
    assert [(one.ready()[0]), two.ready()[0]] == [200, 200]


@pytest.mark.parametrize("harm", ["kill", "flush"])
async def test_redis_goes_away_while_a_crew_runs_and_its_result_comes_home(
    workers: StreamWorkers, service: GoService, redis_process: RedisServer, harm: str
) -> None:
    """No run lost and none answered twice; probes are answered all the time, and say what is wrong."""
    worker = workers.start()
    await ask(service, workers, "r")
    await begun(workers, "r")
    await until(lambda: worker.ready()[0] == 200, "it is ready")
    if harm == "kill":
        redis_process.kill()
        await until(lambda: worker.ready()[0] == 503, "it says so")
        assert worker.ready()[1]["redis"] == "down"
        assert "Redis" in worker.ready()[1]["error"]
        workers.open("r")
        redis_process.start()
    else:
        redis_process.ask("FLUSHALL")
        workers.open("r")
    await told(service, "r")
    workers.open("next")
    await ask(service, workers, "next")
    await told(service, "next")
    assert [len(found) for found in service.results.values()] == [1, 1]
    await until(lambda: not pending(redis_process), "nothing is pending")
    assert worker.ready() == (200, {**worker.ready()[1], "status": "ready", "redis": "up", "runs": 0})
    assert workers.runs_begun() == ["r", "next"]


async def test_a_signal_finishes_and_a_second_one_gives_back(
    workers: StreamWorkers, service: GoService, redis_process: RedisServer
) -> None:
    """What is given back is run by the next one at once, and the process of the run is gone before."""
    first = workers.start()
    await ask(service, workers, "a")
    await begun(workers, "a")
    first.signal(signal.SIGTERM)
    await until(lambda: first.says("finishing 1 runs"), "it finishes")
    assert first.ready() == (503, {**first.ready()[1], "error": "draining"})
    workers.open("a")
    assert first.wait() == 0
    await told(service, "a")
    await ask(service, workers, "b")
    second = workers.start()
    await begun(workers, "b")
    second.signal(signal.SIGINT)
    await until(lambda: second.says("finishing 1 runs"), "it finishes")
    second.signal(signal.SIGINT)
    assert second.wait() == 130
    assert not is_alive(workers.begun()[-1][1])
    assert len(pending(redis_process)) == 1
    workers.open("b")
    workers.start()
    await told(service, "b")
    assert workers.runs_begun() == ["a", "b", "b"]
    assert [len(found) for found in service.results.values()] == [1, 1]
    assert pending(redis_process) == {}


async def test_a_folder_of_plugins_decides_what_is_refused_and_why(
    workers: StreamWorkers, service: GoService, redis_process: RedisServer
) -> None:
    """L83, L92: missing, broken and unfit are three different sentences."""
    workers.yard.write("broken", above="1 / 0")
    workers.yard.write("crashing", body="os._exit(3)")
    workers.start(slots=3)
    await service.request("missing", "nowhere")
    await service.request("broken", "broken")
    await service.request("odd", GATED, settings={"_llm_api_key": 5})
    await service.request("crash", "crashing")
    await told(service, "missing", "broken", "odd", "crash")
    errors = {run: found[0]["error"] for run, found in service.results.items()}
    assert errors["missing"] == "Plugin crew not found: nowhere"
    assert "ZeroDivisionError" in errors["broken"]
    assert "_llm_api_key" in errors["odd"]
    assert "exited with code 3" in errors["crash"]
    assert all(found[0]["status"] == "failed" for found in service.results.values())
    assert pending(redis_process) == {}


def test_the_page_s_figures_are_the_code_s() -> None:
    assert f"{RUN_MS // 60_000} minutes" in PAGE
    assert f"{CLAIM_IDLE_MS // 60_000} minutes of silence" in PAGE
    assert f"taken {names.DELIVERIES_MAX} times" in PAGE
    assert ATTEMPTS_MAX == 3
    assert "tries it again, twice at most" in PAGE
    assert f"(`--slots`, {Settings().slots})" in PAGE
    assert {"SIDECAR_REDIS", "SIDECAR_REDIS_FILE", KEPT_REDIS, KEPT_FOLDER, KEPT_SECONDS} <= set(
        re.findall(r"`([A-Z_]+)`", PAGE)
    )


@pytest.mark.parametrize("where", ["--redis", "REDIS_URL"])
async def test_the_command_of_the_page_runs_a_real_crew_for_a_stranger(
    tmp_path: Path, service: GoService, redis_process: RedisServer, where: str
) -> None:
    """An entry in, a briefing out; also with the name of the variable that deployments have."""
    pytest.importorskip("crewai", reason="crewai is not installed")
    (line,) = re.findall(r"^sidecar work .*$", PAGE, re.MULTILINE)
    words, variables = line.replace("redis://127.0.0.1:6379", redis_process.url).split(), {}
    assert redis_process.url in words
    if where == "REDIS_URL":
        place = words.index("--redis")
        variables[where] = words.pop(place + 1)
        words.pop(place)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli", *words[1:]),
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            **variables,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        },
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        settings = {"topics": ["tides"], "summary_length": "short"}
        await service.request("r", "daily-news-digest", settings=settings)
        await told(service, "r", patience=120)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (result,) = service.results["r"]
    assert result["status"] == "completed", result["error"]
    briefing = json.loads(result["output"])
    assert len(briefing["summary"]) <= 300
    assert all(section["title"] and section["content"] for section in briefing["sections"])
    assert process.returncode == 0, said.decode()
    assert pending(redis_process) == {}
