"""The link: its lanes never wait for each other, and it comes back from whatever happens to Redis."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
import redis

from streams.link import COMMAND_CONNECTIONS, PAUSE_S_MAX, PAUSE_S_MIN, Patience, Script, Streams
from streams.trouble import GroupMissing, LoginRefused, RedisAway, RedisMissing, RedisRefused
from tests.streams.conftest import OpenStreams
from tests.streams.servers import Reachable, RedisServer, Sentinel, free_port, tls_front
from tests.waiting import TIMEOUT_S, until, until_true

LONG_MS = 10 * 60_000
"""A read that no test outlives."""


async def test_a_blocking_read_holds_up_nobody_else(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    """Health asks on another connection than the one that waits for work."""
    streams = open_streams(redis_server)
    lane = streams.open_lane(blocks_ms=LONG_MS)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(lane.command("XREAD", "BLOCK", LONG_MS, "STREAMS", "s", "$"))
        await until(lambda: is_blocked(redis_server), "somebody waits in Redis")
        async with asyncio.timeout(TIMEOUT_S):
            assert await streams.check()
            assert await streams.publishing.command("PUBLISH", "c", "x") == 0
        redis_server.add("s", a="1")
        assert await reading


def is_blocked(server: Reachable) -> bool:
    return bool(server.ask("INFO", "clients")["blocked_clients"])


async def test_a_cancelled_read_leaves_no_reply_for_the_next_command(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_server)
    lane = streams.open_lane(blocks_ms=LONG_MS)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(lane.command("XREAD", "BLOCK", LONG_MS, "STREAMS", "s", "$"))
        await until(lambda: is_blocked(redis_server), "somebody waits in Redis")
        reading.cancel()
    redis_server.add("s", a="1")
    assert await lane.command("ECHO", "mine") == b"mine"


async def test_closing_waits_for_no_blocking_read(redis_server: Reachable) -> None:
    streams = Streams(redis_server.url)
    lane = streams.open_lane(blocks_ms=LONG_MS)

    async def read() -> None:
        with pytest.raises(RedisAway):
            await lane.command("XREAD", "BLOCK", LONG_MS, "STREAMS", "s", "$")

    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await until(lambda: is_blocked(redis_server), "somebody waits in Redis")
        await streams.close()
        reading.cancel()


async def test_more_commands_than_connections_wait_for_their_turn(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_server)
    many = COMMAND_CONNECTIONS * 5
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(streams.commands.command("INCR", "n")) for _ in range(many)]
    assert sorted(one.result() for one in asked) == list(range(1, many + 1))


async def test_progress_waits_for_no_command(redis_server: Reachable, open_streams: OpenStreams) -> None:
    """Publishing has a connection of its own."""
    streams = open_streams(redis_server)
    async with asyncio.TaskGroup() as group:
        busy = [
            group.create_task(streams.commands.command("BLPOP", "none", 0))
            for _ in range(COMMAND_CONNECTIONS)
        ]
        await until(
            lambda: redis_server.ask("INFO", "clients")["blocked_clients"] == len(busy), "all are taken"
        )
        assert await streams.publishing.command("PUBLISH", "c", "x") == 0
        for one in busy:
            assert not one.done()
            one.cancel()


async def test_it_comes_back_after_redis_was_killed(
    redis_process: RedisServer, open_streams: OpenStreams, caplog: pytest.LogCaptureFixture
) -> None:
    """And says each change once."""
    caplog.set_level(logging.INFO, "streams")
    streams = open_streams(redis_process)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(streams.run())
        await until(lambda: streams.is_up, "the link is up")
        redis_process.kill()
        await until(lambda: not streams.is_up, "the link notices")
        with pytest.raises(RedisAway):
            await streams.commands.command("PING")
        await until(lambda: (streams.trouble or "").startswith("Redis cannot be reached"), "it says why")
        redis_process.start()
        await until(lambda: streams.is_up, "the link is up again")
        assert streams.trouble is None
        running.cancel()
    assert [line for line in caplog.messages if line.startswith("Redis is there")] == [
        f"Redis is there: {streams.shown}"
    ] * 2


async def test_a_stopped_redis_is_away_and_not_waited_for(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    """Its port still takes connections: only the silence tells."""
    streams = open_streams(redis_process, reply_s=0.5)
    assert await streams.check()
    redis_process.pause()
    with pytest.raises(RedisAway, match="did not answer in time"):
        await streams.commands.command("PING")
    redis_process.resume()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(streams.run())
        await until(lambda: streams.is_up, "it is back")
        running.cancel()
    assert await streams.commands.command("ECHO", "mine") == b"mine"


async def test_whoever_naps_is_woken_when_redis_is_back(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_process)
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
        napping = group.create_task(streams.nap(TIMEOUT_S * 10))
        await until(lambda: streams._naps, "somebody naps")
        assert await streams.check()
        await napping


async def test_a_script_the_server_has_forgotten_is_sent_again(
    redis_server: Reachable, open_streams: OpenStreams
) -> None:
    streams = open_streams(redis_server)
    script = Script("return ARGV[1]")
    assert await streams.commands.script(script, (), ("one",)) == b"one"
    redis_server.ask("SCRIPT", "FLUSH")
    assert await streams.commands.script(script, (), ("two",)) == b"two"


async def test_what_redis_refuses_is_no_absence(redis_server: Reachable, open_streams: OpenStreams) -> None:
    streams = open_streams(redis_server)
    with pytest.raises(RedisRefused, match="unknown command"):
        await streams.commands.command("NONSENSE")
    with pytest.raises(GroupMissing):
        await streams.commands.command("XREADGROUP", "GROUP", "g", "me", "STREAMS", "none", ">")
    assert streams.is_up


async def test_a_user_of_the_acl_is_let_in_and_a_wrong_password_is_told(
    redis_process: RedisServer, open_streams: OpenStreams
) -> None:
    """Where the sentence holds no password."""
    redis_process.ask("ACL", "SETUSER", "hub", "on", ">p@ss/word", "~plugin:*", "&*", "+@all")
    redis_process.ask("ACL", "SETUSER", "default", "off")
    place = f"127.0.0.1:{redis_process.port}/0"
    assert await open_streams(f"redis://hub:p%40ss%2Fword@{place}").check()
    for url in (f"redis://hub:wrong-secret@{place}", f"redis://{place}"):
        streams = open_streams(url)
        assert not await streams.check()
        assert not streams.is_up
        with pytest.raises(LoginRefused) as refused:
            await streams.commands.command("PING")
        assert "wrong-secret" not in str(refused.value) + streams.shown + repr(streams.address)


async def test_tls_is_spoken_and_the_certificate_is_checked(
    redis_process: RedisServer, open_streams: OpenStreams, tmp_path: Path
) -> None:
    async with tls_front(redis_process, tmp_path) as (port, trusted):
        good = open_streams(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}")
        assert await good.commands.command("ECHO", "secret") == b"secret"
        bad = open_streams(f"rediss://127.0.0.1:{port}/0")
        with pytest.raises(RedisAway, match=r"(?i)certificate"):
            await bad.commands.command("PING")
        await good.close()
        await bad.close()


async def test_sentinel_leads_to_the_master_and_after_a_failover_to_the_next(
    redis_process: RedisServer, open_streams: OpenStreams, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("replica", "sentinel")]
    for folder in folders:
        folder.mkdir()
    kind = redis_process.kind
    replica = RedisServer(kind, folders[0], "--replicaof", "127.0.0.1", str(redis_process.port))
    sentinel = Sentinel(kind, folders[1], "ours", redis_process)
    replica.start()
    sentinel.start()
    try:
        streams = open_streams(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/ours/0")
        await streams.commands.command("SET", "who", "asked the master")
        until_true(lambda: replica.ask("GET", "who"), "the replica has it")
        until_true(lambda: sentinel.ask("SENTINEL", "REPLICAS", "ours"), "the Sentinel knows the replica")
        redis_process.kill()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(streams.run())
            await until(lambda: not streams.is_up, "the link notices")
            await until(lambda: is_master(replica), "the replica is the master")
            await until(lambda: streams.is_up, "the link has found it")
            running.cancel()
        assert await streams.commands.command("GET", "who") == b"asked the master"
        await streams.commands.command("SET", "who", "asked the next")
        assert replica.ask("GET", "who") == b"asked the next"
    finally:
        sentinel.end()
        replica.end()


def is_master(server: RedisServer) -> bool:
    """A server that changes its part closes every connection."""
    try:
        return bool(server.ask("ROLE")[0] == b"master")
    except redis.exceptions.ConnectionError:
        return False


def test_patience_grows_to_its_bound_and_no_two_wait_alike() -> None:
    """L78: the dice decide within half of it."""

    async def nap(seconds: float) -> None:
        raise AssertionError(seconds)

    longest, shortest = Patience(nap, lambda: 1.0), Patience(nap, lambda: 0.0)
    waits = [longest.next_s() for _ in range(12)]
    assert waits[0] == PAUSE_S_MIN
    assert waits == sorted(waits)
    assert waits[-1] == PAUSE_S_MAX
    assert [shortest.next_s() for _ in range(12)] == [one / 2 for one in waits]
    longest.reset()
    assert longest.next_s() == PAUSE_S_MIN
    assert all(longest.next_s() <= PAUSE_S_MAX for _ in range(5_000))


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "streams.driver", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(RedisMissing, match="crewhub\\[redis\\]"):
        Streams("redis://localhost")
