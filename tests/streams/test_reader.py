"""A consumer of a group: shares and never doubles, claims what was abandoned, survives its Redis."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streams import names
from streams.link import Streams
from streams.reader import CLAIM_IDLE_MS, KEPT_AT_ONCE, Delivered, GroupReader, unique_name
from tests.streams.conftest import OpenStreams
from tests.streams.servers import Reachable, RedisServer
from tests.waiting import TIMEOUT_S, until, until_true

VICTIM = Path(__file__).parent / "programs" / "taker.py"
LONG_MS = 10 * 60_000


def reader(streams: Streams, *, block_ms: int = 100, claim_idle_ms: int = CLAIM_IDLE_MS) -> GroupReader:
    return GroupReader(streams, "s", "g", block_ms=block_ms, claim_idle_ms=claim_idle_ms)


async def take(one: GroupReader, count: int, free: int = 10) -> list[Delivered]:
    """Turn until so many have come."""
    found: list[Delivered] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(found) < count:
            found += await one.take(free)
    return found


def numbers(found: list[Delivered]) -> list[int]:
    return [int(entry.fields[b"n"]) for entry in found]


def add(server: Reachable, count: int, start: int = 0) -> list[str]:
    return [server.add("s", n=str(number)) for number in range(start, start + count)]


async def test_the_group_reads_from_the_beginning_and_making_it_twice_is_no_error(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """What was published before anybody listened is work too."""
    add(redis_server, 2)
    first, second = (reader(open_streams(redis_server)) for _ in range(2))
    assert numbers(await take(first, 2)) == [0, 1]
    assert await second.take(1) == []
    assert len(redis_server.pending("s", "g")) == 2
    assert len(redis_server.raw("XINFO", "GROUPS", "s")) == 1


async def test_the_stream_need_not_be_there(redis_server: Reachable, open_streams: OpenStreams) -> None:
    one = reader(open_streams(redis_server))
    assert await one.take(1) == []
    add(redis_server, 1)
    assert numbers(await take(one, 1)) == [0]


def test_no_two_consumers_have_one_name() -> None:
    """L79: also in one process."""
    made = {unique_name() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(name.startswith(f"crewhub-{socket.gethostname()}-{os.getpid()}-") for name in made)


async def test_readers_share_and_none_gets_what_another_has(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L79: each entry is in one pair of hands."""
    readers = [reader(open_streams(redis_server)) for _ in range(4)]
    add(redis_server, 100)
    found: list[int] = []

    async def work(one: GroupReader) -> None:
        while len(found) < 100:
            for entry in await one.take(3):
                found.append(int(entry.fields[b"n"]))
                await one.ack(entry.entry_id)

    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
        for one in readers:
            group.create_task(work(one))
    assert sorted(found) == list(range(100))
    assert redis_server.pending("s", "g") == {}


@pytest.mark.parametrize(("free", "taken"), [(1, 1), (3, 3), (10, 10), (500, names.READ_COUNT)])
async def test_nobody_takes_more_than_it_has_hands_for(
    redis_server: Reachable, open_streams: OpenStreams, free: int, taken: int
) -> None:
    """L84: what one cannot start yet stays where others may take it."""
    add(redis_server, 20)
    one = reader(open_streams(redis_server))
    assert len(await one.take(free)) == taken
    assert len(redis_server.pending("s", "g")) == taken


async def test_a_killed_readers_entries_are_claimed_under_another_name(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    """L80: whoever replaces it has another name, and still nothing is stranded."""
    add(redis_process, 3)
    take_and_die(redis_process, 3)
    patient = reader(open_streams(redis_process))
    assert await patient.take(10) == [], "not abandoned yet: its run may take so long"
    one = reader(open_streams(redis_process), claim_idle_ms=1)
    found = await take(one, 3, free=2)
    assert numbers(found) == [0, 1, 2]
    assert {entry.times_delivered for entry in found} == {2}
    assert {consumer for consumer, _ in redis_process.pending("s", "g").values()} == {one.name}


def take_and_die(server: Reachable, count: int) -> None:
    victim = subprocess.Popen([sys.executable, str(VICTIM), server.url])
    until_true(lambda: is_group(server) and len(server.pending("s", "g")) == count, "it has taken all")
    victim.kill()
    victim.wait()


def is_group(server: Reachable) -> bool:
    return bool(server.ask("EXISTS", "s")) and bool(server.raw("XINFO", "GROUPS", "s"))


async def test_what_is_in_hand_is_renewed_and_nobody_claims_it(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """A run that waits for its turn in a long queue is not abandoned; and a lost one is forgotten."""
    first, second = (reader(open_streams(redis_server)) for _ in range(2))
    ids = add(redis_server, KEPT_AT_ONCE + 1)
    while len(first.in_hand) < len(ids):
        await first.take(10)
    for entry in ids:
        redis_server.age("s", "g", entry, first.name, CLAIM_IDLE_MS * 2)
    assert await first.keep() == frozenset()
    assert await second.take(10) == []
    redis_server.ask("XCLAIM", "s", "g", "thief", 0, ids[0])
    assert await first.keep() == {ids[0]}
    assert first.in_hand == set(ids[1:])
    assert {times for _, times in redis_server.pending("s", "g").values()} <= {1, 2}


async def test_tending_renews_claims_and_says_again_what_was_not_heard(
    redis_process: RedisServer, open_streams: OpenStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "TEND_EVERY_MS", 10)
    streams = open_streams(redis_process)
    one = reader(streams)
    first, second = add(redis_process, 2)
    await take(one, 2)
    redis_process.kill()
    await one.ack(first)
    redis_process.start()
    redis_process.age("s", "g", second, one.name, CLAIM_IDLE_MS * 2)
    async with asyncio.TaskGroup() as group:
        tending = group.create_task(one.tend())
        await until(lambda: list(redis_process.pending("s", "g")) == [second], "the first is acknowledged")
        await until(lambda: idle_ms(redis_process) < CLAIM_IDLE_MS, "the second is renewed")
        tending.cancel()


def idle_ms(server: Reachable) -> int:
    return int(server.raw("XPENDING", "s", "g", "-", "+", 1)[0][2])


async def test_a_reply_that_was_lost_comes_again_and_is_no_new_delivery(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """Redis handed them out, and nobody saw them: cancelled, or the connection broke."""
    one = reader(open_streams(redis_server), block_ms=LONG_MS)
    add(redis_server, 1)
    assert numbers(await take(one, 1)) == [0]
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(one.take(5))
        await until(lambda: redis_server.ask("INFO", "clients")["blocked_clients"], "it waits")
        taking.cancel()
    add(redis_server, 3, start=1)
    redis_server.ask("XREADGROUP", "GROUP", "g", one.name, "COUNT", 3, "STREAMS", "s", ">")
    found = await take(one, 3, free=2)
    assert numbers(found) == [1, 2, 3]
    assert {entry.times_delivered for entry in found} == {1}


async def test_what_is_put_back_comes_at_once_and_what_is_left_comes_by_its_age(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    one, other = reader(open_streams(redis_server)), reader(open_streams(redis_server), claim_idle_ms=1)
    add(redis_server, 2)
    back, left = await take(one, 2)
    one.leave(left.entry_id)
    assert await one.take(10) == []
    one.put_back(back.entry_id)
    one._in_hand.add(left.entry_id)
    assert numbers(await take(one, 1)) == [0]
    assert sorted(numbers(await take(other, 2))) == [0, 1]


async def test_what_is_released_may_be_claimed_at_once(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """A tidy end costs nobody the time that a death does."""
    one, other = (reader(open_streams(redis_server)) for _ in range(2))
    add(redis_server, 1)
    (entry,) = await take(one, 1)
    assert await other.take(1) == []
    await one.release(entry.entry_id)
    assert numbers(await take(other, 1)) == [0]
    await one.release(entry.entry_id)
    assert redis_server.pending("s", "g")[entry.entry_id][0] == other.name, "not ours to release any more"


async def test_an_entry_that_somebody_trimmed_unread_is_told_and_not_waited_for(
    redis_server: Reachable, open_streams: OpenStreams, caplog: pytest.LogCaptureFixture
) -> None:
    one = reader(open_streams(redis_server))
    (entry,) = add(redis_server, 1)
    await take(one, 1)
    one.put_back(entry)
    redis_server.ask("XDEL", "s", entry)
    assert await one.take(1) == []
    assert f"entry {entry} of s was trimmed before it was read" in caplog.text
    assert redis_server.pending("s", "g") == {}


async def test_it_reads_on_after_redis_was_killed(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    """In the middle of a blocking read; and what was done meanwhile is acknowledged afterwards."""
    streams = open_streams(redis_process)
    one = reader(streams, block_ms=LONG_MS)
    add(redis_process, 1)
    (done,) = await take(one, 1)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take(one, 1))
        await until(lambda: redis_process.ask("INFO", "clients")["blocked_clients"], "it waits")
        redis_process.kill()
        await one.ack(done.entry_id)
        redis_process.start()
        add(redis_process, 1, start=1)
        (found,) = await taking
    assert found.fields[b"n"] == b"1"
    assert list(redis_process.pending("s", "g")) == [found.entry_id]


async def test_it_reads_on_after_redis_was_stopped(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    """Longer than its patience: the entry that arrived in the silence is read once."""
    one = reader(open_streams(redis_process, reply_s=0.3), block_ms=10)
    assert await one.take(1) == []
    add(redis_process, 1)
    redis_process.pause()
    assert await one.take(1) == [], "a pause, and nothing raised"
    redis_process.resume()
    (found,) = await take(one, 1)
    assert found.fields[b"n"] == b"0"
    assert list(redis_process.pending("s", "g")) == [found.entry_id]


async def test_it_reads_on_after_redis_was_emptied(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """In the middle of a blocking read: stream and group are made again."""
    one = reader(open_streams(redis_server), block_ms=LONG_MS)
    add(redis_server, 1)
    (gone,) = await take(one, 1)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take(one, 1))
        await until(lambda: redis_server.ask("INFO", "clients")["blocked_clients"], "it waits")
        redis_server.ask("FLUSHALL")
        add(redis_server, 1, start=7)
        (found,) = await taking
    assert found.fields[b"n"] == b"7"
    await one.ack(gone.entry_id)
    await one.ack(found.entry_id)
    assert redis_server.pending("s", "g") == {}


async def test_leaving_takes_the_name_along_unless_something_hangs_on_it(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """L110: a name for every process there ever was would be a list without end."""
    tidy, untidy, next_one = (reader(open_streams(redis_server)) for _ in range(3))
    add(redis_server, 2)
    for one in (tidy, untidy):
        (entry,) = await take(one, 1, free=1)
        if one is tidy:
            await one.ack(entry.entry_id)
    await tidy.close()
    await untidy.close()
    assert redis_server.consumers("s", "g") == {untidy.name}
    await next_one.take(1)
    assert untidy.name in redis_server.consumers("s", "g")


async def test_old_names_of_ours_go_and_those_of_strangers_stay(
    redis_server: Reachable, open_streams: OpenStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.ask("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
    for name in ("crewhub-old", "go-service"):
        redis_server.ask("XGROUP", "CREATECONSUMER", "s", "g", name)
    await reader(open_streams(redis_server)).take(1)
    assert redis_server.consumers("s", "g") >= {"crewhub-old", "go-service"}
    monkeypatch.setattr(names, "NAMES_KEPT_MS", -1)
    await reader(open_streams(redis_server)).take(1)
    left = redis_server.consumers("s", "g")
    assert "crewhub-old" not in left
    assert "go-service" in left
