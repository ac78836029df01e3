"""Each of our halves against a stranger's other half, and against an impatient Redis between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from streams import names
from streams.entries import Request, Result
from streams.inbox import Asked, RequestInbox, ResultInbox, Told
from streams.link import Patience, Streams
from streams.trouble import RedisTrouble
from streams.writer import Writer
from tests.house.tree import ROOT, Module
from tests.streams.conftest import OpenStreams
from tests.streams.peers import RESULT_GROUP, GoService, StreamWorker
from tests.streams.servers import Reachable, RedisServer
from tests.waiting import TIMEOUT_S, until

NOW_S = 1_700_000_000


def shout(plugin: str, settings: dict[str, Any]) -> str:
    if plugin == "broken":
        raise ValueError("it is broken")
    return json.dumps({"summary": settings["topics"].upper(), "sections": []})


@pytest.fixture
async def service(redis_server: Reachable) -> AsyncIterator[GoService]:
    stranger = GoService(redis_server.url)
    yield stranger
    await stranger.close()


@pytest.fixture
async def worker(redis_server: Reachable) -> AsyncIterator[StreamWorker]:
    stranger = StreamWorker(redis_server.url, shout)
    yield stranger
    await stranger.close()


def test_the_strangers_know_nothing_of_ours() -> None:
    path = "tests/streams/peers.py"
    ours = ("streams", "hub", "sidecar", "protocol", "tests")
    found = [name for name in Module(path, (ROOT / path).read_text()).imports() if name.split(".")[0] in ours]
    assert found == []


async def take(inbox: RequestInbox, count: int) -> list[Asked]:
    found: list[Asked] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(found) < count:
            found += await inbox.take(10)
    return found


async def told(inbox: ResultInbox, count: int) -> list[Told]:
    found: list[Told] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(found) < count:
            found += await inbox.take(10)
    return found


async def results(service: GoService, count: int) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while sum(map(len, service.results.values())) < count:
            await service.take_in()


async def test_a_stranger_asks_and_we_answer(
    redis_server: Reachable, open_streams: OpenStreams, service: GoService
) -> None:
    streams = open_streams(redis_server)
    inbox = RequestInbox(streams, Writer(streams), block_ms=100)
    await service.request("r1", "digest", 7, {"topics": "ai", "summary_length": 3})
    await service.request("r2", "digest")
    first, second = await take(inbox, 2)
    assert (first.request.plugin_name, first.request.user_id) == ("digest", 7)
    assert first.request.settings == {"topics": "ai", "summary_length": 3}
    await inbox.answer(first, Result(plugin_run_id="r1", status="completed", output="text"))
    await inbox.answer(second, Result(plugin_run_id="r2", status="failed", error="why"))
    await results(service, 2)
    assert service.results == {
        "r1": [{"plugin_run_id": "r1", "status": "completed", "output": "text", "error": None}],
        "r2": [{"plugin_run_id": "r2", "status": "failed", "output": None, "error": "why"}],
    }
    assert redis_server.pending(names.REQUESTS, names.REQUEST_GROUP) == {}
    assert redis_server.pending(names.RESULTS, RESULT_GROUP) == {}


async def test_we_ask_and_a_stranger_answers(
    redis_server: Reachable, open_streams: OpenStreams, worker: StreamWorker
) -> None:
    streams = open_streams(redis_server)
    writer = Writer(streams)
    inbox = ResultInbox(streams, writer, block_ms=100)
    for run_id, plugin in (("r1", "digest"), ("r2", "broken")):
        request = Request(plugin_run_id=run_id, plugin_name=plugin, user_id=1, settings={"topics": "ai"})
        await writer.ask(request, NOW_S)
    assert await worker.work() == 2
    first, second = await told(inbox, 2)
    assert first.result.output == '{"summary": "AI", "sections": []}'
    assert (second.result.status, second.result.error) == ("failed", "it is broken")
    for one in (first, second):
        await inbox.done(one)
    assert redis_server.pending(names.RESULTS, RESULT_GROUP) == {}
    assert redis_server.pending(names.REQUESTS, names.REQUEST_GROUP) == {}


async def test_a_stranger_claims_what_one_of_ours_abandoned(
    redis_server: Reachable, open_streams: OpenStreams, service: GoService, worker: StreamWorker
) -> None:
    """L80: between strangers too; and our late answer for the same run does not get in the way."""
    streams = open_streams(redis_server)
    inbox = RequestInbox(streams, Writer(streams), block_ms=100)
    await service.request("r1", "digest", settings={"topics": "ai"})
    (asked,) = await take(inbox, 1)
    redis_server.age(names.REQUESTS, names.REQUEST_GROUP, asked.entry_id, inbox.reader.name, 700_000)
    assert await worker.claim(660_000) == 1
    assert await inbox.reader.keep() == {asked.entry_id}
    await results(service, 1)
    assert worker.ran == ["r1"]


class Company:
    """Somebody who asks, somebody who does, somebody who takes in: each with a link of its own."""

    def __init__(self, links: tuple[Streams, Streams, Streams], many: int) -> None:
        asking, doing, reading = links
        self.asking, self.doing = asking, doing
        self.requests = RequestInbox(doing, Writer(doing), block_ms=50)
        self.inbox = ResultInbox(reading, Writer(reading), block_ms=50)
        self.runs = [f"r{number}" for number in range(many)]
        self.taken: set[str] = set()

    def is_through(self, count: int) -> bool:
        return len(self.taken) >= count

    async def ask(self) -> None:
        patience, writer = self.asking.patience(), Writer(self.asking)
        for run_id in self.runs:
            request = Request(plugin_run_id=run_id, plugin_name="p", user_id=1)
            await insist(patience, partial(writer.ask, request, NOW_S))

    async def work(self) -> None:
        patience = self.doing.patience()
        while not self.is_through(len(self.runs)):
            for asked in await self.requests.take(4):
                result = Result(plugin_run_id=asked.request.plugin_run_id, status="completed")
                await insist(patience, partial(self.requests.answer, asked, result))

    async def take_in(self) -> None:
        while not self.is_through(len(self.runs)):
            for one in await self.inbox.take():
                self.taken.add(one.result.plugin_run_id)
                await self.inbox.done(one)


async def insist(patience: Patience, act: Callable[[], Awaitable[object]]) -> None:
    """As whoever has a letter does: again, until Redis has said that it is done."""
    while True:
        try:
            await act()
        except RedisTrouble:
            await patience.wait()
        else:
            return


async def test_runs_through_a_redis_that_is_killed_again_and_again_end_once(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    """Asked by us, done by us, taken in by us: nothing lost, no run with two results, nothing pending."""
    links = (open_streams(redis_process), open_streams(redis_process), open_streams(redis_process))
    company = Company(links, many=60)
    async with asyncio.timeout(TIMEOUT_S * 2), asyncio.TaskGroup() as group:
        for loop in (company.ask, company.work, company.take_in):
            group.create_task(loop())
        for count in (5, 20, 40):
            await until(partial(company.is_through, count), "some are through")
            redis_process.kill()
            redis_process.start()
    published = [json.loads(fields["payload"]) for _, fields in redis_process.entries(names.RESULTS)]
    assert sorted(one["plugin_run_id"] for one in published) == sorted(company.runs)
    assert redis_process.pending(names.REQUESTS, names.REQUEST_GROUP) == {}
    await company.inbox.reader.take(1)
    assert redis_process.pending(names.RESULTS, RESULT_GROUP) == {}
