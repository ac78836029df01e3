"""What is written: once, however often it is repeated, and never at the cost of what is unread."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from streams import names
from streams.entries import Request, Result
from streams.trouble import RedisAway, RedisTrouble
from streams.writer import Writer
from tests.streams.conftest import OpenStreams
from tests.streams.servers import Reachable, RedisServer
from tests.waiting import until, until_true

VICTIM = Path(__file__).parent / "programs" / "poster.py"
GROUP = names.REQUEST_GROUP


def request(run_id: str) -> Request:
    return Request(plugin_run_id=run_id, plugin_name="digest", user_id=1)


def completed(run_id: str, output: str = "text") -> Result:
    return Result(plugin_run_id=run_id, status="completed", output=output)


def failed(run_id: str) -> Result:
    return Result(plugin_run_id=run_id, status="failed", error="why")


async def test_many_who_post_at_once_post_once(redis_server: Reachable, open_streams: OpenStreams) -> None:
    writers = [Writer(open_streams(redis_server)) for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        posted = [
            group.create_task(writer.post_once("m", "s", {"a": "1"}, group="g"))
            for writer in writers
            for _ in range(5)
        ]
    ids = [one.result() for one in posted if one.result() is not None]
    assert [(ids[0], {"a": "1"})] == redis_server.entries("s")
    assert len(ids) == 1


async def test_a_marker_is_kept_for_a_week_and_not_for_ever(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    writer = Writer(open_streams(redis_server))
    await writer.post_once("m", "s", {"a": "1"}, group="g")
    await writer.publish_final("k", "c", b"over")
    await writer.answer(completed("r"))
    for key in ("m", names.FINAL_MARKER + "k", names.RUN_MARKER + "r"):
        assert names.MARKER_KEPT_S - 60 <= redis_server.ask("TTL", key) <= names.MARKER_KEPT_S


async def test_a_retry_is_published_under_the_same_run_id(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L86: and a repeat of either attempt is none."""
    writer = Writer(open_streams(redis_server))
    for attempt in (1, 1, 2, 2):
        await writer.ask(request("r"), 1_700_000_000, attempt=attempt)
    assert [
        '"plugin_run_id":"r"' in fields["payload"] for _, fields in redis_server.entries(names.REQUESTS)
    ] == [
        True,
        True,
    ]


def until_posted(server: Reachable, count: int) -> None:
    until_true(partial(has_posted, server, count), "it has posted some")


def has_posted(server: Reachable, count: int) -> bool:
    return bool(server.ask("XLEN", "s") >= count)


def test_a_poster_killed_at_any_moment_has_posted_each_entry_once_when_it_is_through(
    redis_process: RedisServer, tmp_path: Path
) -> None:
    """Marker and entry are one step: between them nobody can be killed."""
    many = 300
    for kill_at in (20, 90, 200):
        victim = subprocess.Popen([sys.executable, str(VICTIM), redis_process.url, str(many)])
        until_posted(redis_process, kill_at)
        victim.kill()
        victim.wait()
    subprocess.run([sys.executable, str(VICTIM), redis_process.url, str(many)], check=True)
    posted = [fields["n"] for _, fields in redis_process.entries("s")]
    assert sorted(posted, key=int) == [str(n) for n in range(many)]


async def test_redis_killed_while_posting_has_each_entry_once_when_all_are_through(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_process)
    writer = Writer(streams)
    patience = streams.patience()

    async def post(number: int) -> None:
        while True:
            try:
                await writer.post_once(f"m{number}", "s", {"n": str(number)}, group="g")
            except RedisTrouble:
                await patience.wait()
            else:
                return

    async def post_all() -> None:
        for number in range(300):
            await post(number)

    async with asyncio.TaskGroup() as group:
        posting = group.create_task(post_all())
        for at in (50, 150):
            await until(partial(has_posted, redis_process, at), "some are posted")
            redis_process.kill()
            redis_process.start()
        await posting
    assert [fields["n"] for _, fields in redis_process.entries("s")] == [str(n) for n in range(300)]


async def listen(server: Reachable, channel: str, heard: list[bytes], ready: asyncio.Event) -> None:
    """What a caller does who knows only its channel."""
    client: Any = redis.asyncio.Redis.from_url(server.url)
    async with client, client.pubsub() as subscriber:
        await subscriber.subscribe(channel)
        async for message in subscriber.listen():
            if message["type"] == "subscribe":
                ready.set()
            elif message["type"] == "message":
                heard.append(message["data"])


async def test_one_final_message_however_many_say_it_and_nothing_after_it(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L101: Redis itself swallows what comes after the end."""
    writers = [Writer(open_streams(redis_server)) for _ in range(3)]
    heard: list[bytes] = []
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen(redis_server, "channel", heard, ready))
        await ready.wait()
        assert await writers[0].publish_progress("task-1", "channel", b"10")
        async with asyncio.TaskGroup() as at_once:
            said = [
                at_once.create_task(writer.publish_final("task-1", "channel", b"end"))
                for writer in writers
                for _ in range(5)
            ]
        assert sum(one.result() for one in said) == 1
        assert not await writers[1].publish_progress("task-1", "channel", b"20")
        assert await writers[1].publish_progress("task-2", "channel", b"another task's")
        await until(lambda: len(heard) == 3, "all is heard")
        listening.cancel()
    assert heard == [b"10", b"end", b"another task's"]


# --- trimming -----------------------------------------------------------------------------------------------


async def fill(writer: Writer, server: Reachable, stream: str, count: int, group: str) -> None:
    server.ask("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
    for number in range(count):
        await writer.post_once(f"{stream}{number}", stream, {"n": str(number)}, group=group)


def read(server: Reachable, stream: str, group: str, count: int) -> list[bytes]:
    reply = server.ask("XREADGROUP", "GROUP", group, "somebody", "COUNT", count, "STREAMS", stream, ">")
    return [entry for _, entries in reply for entry, _ in entries]


async def test_a_stream_over_its_length_keeps_every_entry_that_is_unread(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L90: length is a wish, unread work is not for trimming."""
    writer = Writer(open_streams(redis_server), length_max=200)
    await fill(writer, redis_server, "s", 600, "g")
    assert [fields["n"] for _, fields in redis_server.entries("s")] == [str(n) for n in range(600)]


@pytest.mark.parametrize("slow", ["a", "z"], ids=["listed first", "listed last"])
async def test_only_what_every_group_has_acknowledged_is_trimmed(
    redis_server: Reachable, open_streams: OpenStreams, slow: str
) -> None:
    """L90: also what is pending, and what another group has not read."""
    writer = Writer(open_streams(redis_server), length_max=200)
    await fill(writer, redis_server, "s", 600, "g")
    redis_server.ask("XGROUP", "CREATE", "s", slow, "0")
    ids = read(redis_server, "s", "g", 600)
    redis_server.ask("XACK", "s", "g", *ids)
    await writer.post_once("a", "s", {"n": "a"}, group="g")
    assert redis_server.ask("XLEN", "s") == 601, "the other group has read nothing"

    read(redis_server, "s", slow, 500)
    redis_server.ask("XACK", "s", slow, *ids[:250], *ids[251:500])
    await writer.post_once("b", "s", {"n": "b"}, group="g")
    kept = {fields["n"] for _, fields in redis_server.entries("s")}
    assert {str(n) for n in range(500, 600)} <= kept, "not read by the other"
    assert "250" in kept, "pending"
    assert len(kept) < 602, "and what is done with is gone"

    redis_server.ask("XACK", "s", slow, ids[250])
    redis_server.ask("XACK", "s", slow, *read(redis_server, "s", slow, 600))
    redis_server.ask("XACK", "s", "g", *read(redis_server, "s", "g", 600))
    await writer.post_once("c", "s", {"n": "c"}, group="g")
    assert 200 <= redis_server.ask("XLEN", "s") <= 301, "down to its length, to a node of the stream"


async def test_without_its_group_a_stream_is_unread(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L90: the service that reads results may come after the results."""
    writer = Writer(open_streams(redis_server), length_max=10)
    redis_server.ask("XGROUP", "CREATE", "s", "curious", "$", "MKSTREAM")
    for number in range(300):
        await writer.post_once(f"m{number}", "s", {"n": "x"}, group="g")
    redis_server.ask("XGROUP", "SETID", "s", "curious", "$")
    await writer.post_once("last", "s", {"n": "x"}, group="g")
    assert redis_server.ask("XLEN", "s") == 301


# --- answers ------------------------------------------------------------------------------------------------


async def test_a_completed_run_has_one_answer_for_ever(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    writer = Writer(open_streams(redis_server))
    assert await writer.answer(completed("r", "first"))
    for late in (completed("r", "second"), failed("r")):
        assert await writer.answer(late) is None
        assert await writer.answer(late, entry_id="1-1") is None
    assert len(redis_server.entries(names.RESULTS)) == 1


async def test_a_failed_run_that_is_asked_for_again_is_answered_again(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L86: the retry of a run has its id; each entry has one answer, a late repeat has none."""
    writer = Writer(open_streams(redis_server))
    assert await writer.begin("r", "1-1") == "begun"
    assert await writer.answer(failed("r"), entry_id="1-1")
    assert await writer.answer(failed("r"), entry_id="1-1") is None
    assert await writer.answer(failed("r")) is None
    assert await writer.begin("r", "1-1") == "answered"
    assert await writer.begin("r", "2-1") == "begun"
    assert await writer.answer(failed("r"), entry_id="1-1") is None, "a letter of the first, sent twice"
    assert await writer.answer(completed("r"), entry_id="2-1")
    assert await writer.begin("r", "3-1") == "answered"
    assert len(redis_server.entries(names.RESULTS)) == 2


async def test_an_answer_acknowledges_the_request_it_was_begun_from(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """Also when who answers does not know the entry: a hub that was started again."""
    writer = Writer(open_streams(redis_server))
    redis_server.ask("XGROUP", "CREATE", names.REQUESTS, GROUP, "0", "MKSTREAM")
    entry = redis_server.add(names.REQUESTS, payload="x")
    read(redis_server, names.REQUESTS, GROUP, 1)
    await writer.begin("r", entry)
    assert list(redis_server.pending(names.REQUESTS, GROUP)) == [entry]
    assert await writer.answer(completed("r"))
    assert redis_server.pending(names.REQUESTS, GROUP) == {}


async def test_writing_to_a_redis_that_is_away_says_so(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    writer = Writer(open_streams(redis_process))
    redis_process.kill()
    with pytest.raises(RedisAway):
        await writer.answer(completed("r"))
    with pytest.raises(RedisAway):
        await writer.publish_final("k", "c", b"over")
