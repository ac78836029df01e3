"""The inboxes: what is malformed, poison, answered or under way never reaches whoever acts on requests."""

from __future__ import annotations

import asyncio
import json

import pytest

from streams import names
from streams.entries import Result
from streams.inbox import Asked, RequestInbox, ResultInbox
from streams.link import Streams
from streams.trouble import RedisAway
from streams.writer import Writer
from tests.streams.conftest import OpenStreams
from tests.streams.servers import Reachable, RedisServer
from tests.waiting import TIMEOUT_S

GOOD = {"plugin_run_id": "r", "plugin_name": "digest", "user_id": 7, "settings": {"topics": "ai"}}


def requests(streams: Streams, *, claim_idle_ms: int = 600_000) -> RequestInbox:
    return RequestInbox(streams, Writer(streams), block_ms=50, claim_idle_ms=claim_idle_ms)


def ask(server: Reachable, run_id: str = "r", version: str = "v1", **members: object) -> str:
    payload = json.dumps({**GOOD, "plugin_run_id": run_id, **members})
    return server.add(names.REQUESTS, payload=payload, published_at="1700000000", schema_version=version)


def results(server: Reachable) -> list[dict[str, str]]:
    return [json.loads(fields["payload"]) for _, fields in server.entries(names.RESULTS)]


def dead(server: Reachable) -> list[dict[str, str]]:
    return [fields for _, fields in server.entries(names.DEAD)]


def pending(server: Reachable) -> dict[str, tuple[str, int]]:
    return server.pending(names.REQUESTS, names.REQUEST_GROUP)


async def take(inbox: RequestInbox, count: int) -> list[Asked]:
    found: list[Asked] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(found) < count:
            found += await inbox.take(10)
    return found


async def test_a_malformed_request_is_answered_parked_and_acknowledged(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L82: whoever asked is told; a person finds the entry; nobody reads it again."""
    inbox = requests(open_streams(redis_server))
    ask(redis_server, "r1", plugin_name=None)
    ask(redis_server, "r2", user_id="seven", settings={"_llm_api_key": "sk-1"})
    ask(redis_server, "r3", version="v9")
    redis_server.add(names.REQUESTS, payload="{", schema_version="v1")
    redis_server.add(names.REQUESTS, nonsense="1")
    ask(redis_server, "good")
    (asked,) = await take(inbox, 1)
    assert asked.request.plugin_run_id == "good"
    assert {one["plugin_run_id"]: one["status"] for one in results(redis_server)} == {
        "r1": "failed",
        "r2": "failed",
        "r3": "failed",
    }
    assert "`user_id` must be" in results(redis_server)[1]["error"]
    assert len(dead(redis_server)) == 5
    assert dead(redis_server)[2]["dead_reason"] == "schema_version is `v9`; this program knows `v1`"
    assert dead(redis_server)[4]["nonsense"] == "1"
    assert "sk-1" not in str(dead(redis_server))
    assert list(pending(redis_server)) == [asked.entry_id]


async def test_a_malformed_request_does_not_end_the_run_it_names(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """While that run is under way, and when it has completed."""
    inbox = requests(open_streams(redis_server))
    ask(redis_server)
    (asked,) = await take(inbox, 1)
    ask(redis_server, plugin_name=None)
    assert await inbox.take(10) == []
    assert results(redis_server) == []
    await inbox.answer(asked, Result(plugin_run_id="r", status="completed"))
    ask(redis_server, plugin_name=None)
    assert await inbox.take(10) == []
    assert [one["status"] for one in results(redis_server)] == ["completed"]
    assert len(dead(redis_server)) == 2


async def test_each_malformed_request_for_a_run_that_only_failed_is_answered(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L82: who asks again, and badly again, is told again."""
    inbox = requests(open_streams(redis_server))
    for _ in range(2):
        ask(redis_server, plugin_name=None)
        assert await inbox.take(10) == []
    assert [one["status"] for one in results(redis_server)] == ["failed", "failed"]


async def test_an_entry_that_nobody_ever_finishes_is_answered_parked_and_acknowledged(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L81: taken five times, and whoever took it died."""
    entry = ask(redis_server, settings={"_llm_api_key": "sk-1", "topics": "ai"})
    for times in range(1, names.DELIVERIES_MAX + 1):
        (asked,) = await take(requests(open_streams(redis_server), claim_idle_ms=1), 1)
        assert asked.entry_id == entry
        assert pending(redis_server)[entry][1] == times
    last = requests(open_streams(redis_server), claim_idle_ms=1)
    async with asyncio.timeout(TIMEOUT_S):
        while pending(redis_server):
            assert await last.take(10) == []
    assert [(one["status"], one["error"]) for one in results(redis_server)] == [
        ("failed", "the request was taken 5 times and never finished")
    ]
    assert json.loads(dead(redis_server)[0]["payload"]) == {**GOOD, "settings": {"topics": "ai"}}


async def test_a_request_published_twice_is_worked_on_once(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L79: by whichever consumer; and after the end it is answered already."""
    first, second = (requests(open_streams(redis_server)) for _ in range(2))
    ask(redis_server)
    (asked,) = await take(first, 1)
    ask(redis_server)
    assert await second.take(10) == []
    assert list(pending(redis_server)) == [asked.entry_id]
    await first.answer(asked, Result(plugin_run_id="r", status="completed"))
    ask(redis_server)
    assert await second.take(10) == []
    assert pending(redis_server) == {}
    assert len(results(redis_server)) == 1


async def test_a_failed_run_may_be_asked_for_again(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L86: a retry has the run's id, and gets an answer of its own."""
    inbox = requests(open_streams(redis_server))
    for status in ("failed", "completed"):
        ask(redis_server)
        (asked,) = await take(inbox, 1)
        await inbox.answer(asked, Result(plugin_run_id="r", status=status))
    assert [one["status"] for one in results(redis_server)] == ["failed", "completed"]


async def test_two_who_have_the_same_entry_answer_it_once(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """One was slow, the other claimed it: the first answer counts."""
    slow, quick = requests(open_streams(redis_server)), requests(open_streams(redis_server), claim_idle_ms=1)
    ask(redis_server)
    (mine,) = await take(slow, 1)
    (theirs,) = await take(quick, 1)
    assert await quick.answer(theirs, Result(plugin_run_id="r", status="completed", output="quick"))
    assert await slow.answer(mine, Result(plugin_run_id="r", status="completed", output="slow")) is None
    assert [one["output"] for one in results(redis_server)] == ["quick"]


async def test_a_hub_that_was_started_again_takes_over_its_own_entries(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """With the settings that were never stored; and it does not count as one more delivery."""
    before, after = (requests(open_streams(redis_server)) for _ in range(2))
    entry = ask(redis_server, settings={"_llm_api_key": "sk-1"})
    await take(before, 1)
    await before.reader.close()
    asked = await after.adopt("r")
    assert asked is not None
    assert asked.request.settings == {"_llm_api_key": "sk-1"}
    assert pending(redis_server) == {entry: (after.reader.name, 1)}
    assert after.reader.in_hand == {entry}
    assert await after.adopt("unknown") is None
    await after.answer(asked, Result(plugin_run_id="r", status="completed"))
    assert await after.adopt("r") is None


async def test_requests_that_could_not_be_judged_come_again(
    redis_process: RedisServer, open_streams: OpenStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis went away between the reading and the beginning."""
    inbox = requests(open_streams(redis_process))
    for number in range(3):
        ask(redis_process, f"r{number}")
    begin = inbox._writer.begin

    async def begin_then_break(run_id: str, entry_id: str) -> object:
        if run_id == "r1":
            monkeypatch.undo()
            raise RedisAway("gone")
        return await begin(run_id, entry_id)

    monkeypatch.setattr(inbox._writer, "begin", begin_then_break)
    assert [one.request.plugin_run_id for one in await take(inbox, 1)] == ["r0"]
    assert [one.request.plugin_run_id for one in await take(inbox, 2)] == ["r1", "r2"]
    assert {times for _, times in pending(redis_process).values()} == {1}


async def test_requests_that_were_judged_when_the_reader_was_cancelled_come_again(
    redis_server: Reachable, open_streams: OpenStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = requests(open_streams(redis_server))
    for number in range(2):
        ask(redis_server, f"r{number}")
    begin = inbox._writer.begin

    async def begin_then_end(run_id: str, entry_id: str) -> object:
        if run_id == "r1":
            monkeypatch.undo()
            raise asyncio.CancelledError
        return await begin(run_id, entry_id)

    monkeypatch.setattr(inbox._writer, "begin", begin_then_end)
    with pytest.raises(asyncio.CancelledError):
        await take(inbox, 1)
    assert [one.request.plugin_run_id for one in await take(inbox, 2)] == ["r0", "r1"]


# --- results ------------------------------------------------------------------------------------------------


async def test_a_malformed_result_that_names_a_run_fails_it_and_is_parked(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L88: what cannot be read must not leave a run waiting for ever."""
    streams = open_streams(redis_server)
    inbox = ResultInbox(streams, Writer(streams), block_ms=50)
    redis_server.add(names.RESULTS, payload="no JSON", schema_version="v1")
    redis_server.add(names.RESULTS, payload='{"plugin_run_id":"r","status":"done"}', schema_version="v1")
    (told,) = await inbox.take()
    assert told.result.plugin_run_id == "r"
    assert told.result.status == "failed"
    assert told.result.error == "the result that came is malformed: `status` must be `completed` or `failed`"
    assert len(dead(redis_server)) == 1
    await inbox.done(told)
    assert [fields["payload"] for fields in dead(redis_server)][1] == '{"plugin_run_id":"r","status":"done"}'
    assert redis_server.pending(names.RESULTS, names.RESULT_GROUP) == {}


async def test_a_result_that_nobody_here_knows_stays_pending_and_comes_again(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_server)
    inbox = ResultInbox(streams, Writer(streams), block_ms=50)
    payload = '{"plugin_run_id":"r","status":"completed","output":null,"error":""}'
    entry = redis_server.add(names.RESULTS, payload=payload)
    (told,) = await inbox.take()
    inbox.leave(told)
    assert await inbox.take() == []
    assert list(redis_server.pending(names.RESULTS, names.RESULT_GROUP)) == [entry]
    redis_server.age(names.RESULTS, names.RESULT_GROUP, entry, inbox.reader.name, 700_000)
    assert [one.result for one in await inbox.take()] == [told.result]


async def test_a_malformed_result_that_could_not_be_parked_comes_again(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_process)
    inbox = ResultInbox(streams, Writer(streams), block_ms=50)
    redis_process.add(names.RESULTS, payload='{"plugin_run_id":"r"}')
    (told,) = await inbox.take()
    redis_process.kill()
    await inbox.done(told)
    redis_process.start()
    async with asyncio.timeout(TIMEOUT_S):
        while not (again := await inbox.take()):
            pass
    await inbox.done(again[0])
    assert len(dead(redis_process)) == 1
