"""The loop that takes requests from a real Redis and brings results home, whatever happens to either."""

from __future__ import annotations

import json

import pytest

from streams import names
from streams.reader import CLAIM_IDLE_MS
from tests.sidecar.streamdesk import pending, request, results, working
from tests.streams.conftest import redis_process, redis_server
from tests.streams.servers import Reachable, RedisServer
from tests.waiting import until

__all__ = ["redis_process", "redis_server"]

OLD_MS = CLAIM_IDLE_MS + 1


def group_of(server: Reachable) -> dict[str, object]:
    (line,) = server.raw("XINFO", "GROUPS", names.REQUESTS)
    flat = [part.decode() if isinstance(part, bytes) else part for part in line]
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def test_no_more_is_taken_than_can_be_started(redis_server: Reachable) -> None:
    """L84: what nobody has begun is not in anybody's hands."""
    entries = [request(redis_server, f"r{number}") for number in range(6)]
    async with working(redis_server, slots=2) as desk:
        await until(lambda: len(desk.begun) == 2, "two runs have begun")
        assert set(pending(redis_server)) == set(entries[:2])
        assert group_of(redis_server)["last-delivered-id"] == entries[1]
        desk.gate.set()
        await until(lambda: len(results(redis_server)) == 6, "all are answered")
        await until(lambda: not pending(redis_server), "all are acknowledged")
        assert desk.most_live == 2
        assert sorted(desk.begun) == [f"r{number}" for number in range(6)]


async def test_an_entry_is_pending_until_its_result_is_out(redis_server: Reachable) -> None:
    """L82: result, then acknowledgement."""
    entry = request(redis_server, "r")
    async with working(redis_server) as desk:
        await until(lambda: desk.begun, "the run has begun")
        assert (set(pending(redis_server)), results(redis_server)) == ({entry}, {})
        desk.gate.set()
        await until(lambda: results(redis_server), "it is answered")
        assert pending(redis_server) == {}
    said = {"plugin_run_id": "r", "status": "completed", "output": "done", "error": None}
    assert results(redis_server) == {"r": [said]}


async def test_two_workers_share_and_nothing_is_run_twice(redis_server: Reachable) -> None:
    """L79"""
    async with working(redis_server, slots=3) as one, working(redis_server, slots=3) as two:
        assert one.worker.inbox.reader.name != two.worker.inbox.reader.name
        runs = [f"r{number}" for number in range(6)]
        for run in runs:
            request(redis_server, run)
        await until(lambda: len(one.begun) == len(two.begun) == 3, "each has what it has hands for")
        one.gate.set()
        two.gate.set()
        await until(lambda: len(results(redis_server)) == 6, "all are answered")
        assert sorted(one.begun + two.begun) == runs
    assert all(len(told) == 1 for told in results(redis_server).values())


async def test_what_a_dead_consumer_left_is_run_under_another_name(redis_server: Reachable) -> None:
    """L80"""
    entry = request(redis_server, "r")
    redis_server.raw("XGROUP", "CREATE", names.REQUESTS, names.REQUEST_GROUP, "0")
    who = ("GROUP", names.REQUEST_GROUP, "the-dead", "COUNT", 1)
    redis_server.raw("XREADGROUP", *who, "STREAMS", names.REQUESTS, ">")
    redis_server.age(names.REQUESTS, names.REQUEST_GROUP, entry, "the-dead", OLD_MS)
    async with working(redis_server, is_open=True) as desk:
        await until(lambda: results(redis_server), "it is answered")
        assert desk.begun == ["r"]
    assert pending(redis_server) == {}


async def test_an_entry_whose_run_is_answered_is_only_acknowledged(redis_server: Reachable) -> None:
    """L79: the same run asked for again, and a result that was out before its worker died."""
    async with working(redis_server, is_open=True) as desk:
        request(redis_server, "r")
        await until(lambda: results(redis_server), "it is answered")
        request(redis_server, "r")
        request(redis_server, "another")
        await until(lambda: "another" in results(redis_server), "the one after it is answered")
        assert desk.begun == ["r", "another"]
    assert pending(redis_server) == {}
    assert [len(told) for told in results(redis_server).values()] == [1, 1]


async def test_malformed_and_poisonous_entries_are_answered_parked_and_acknowledged(
    redis_server: Reachable,
) -> None:
    """L81, L82: and none of them is run."""
    redis_server.add(names.REQUESTS, payload='{"plugin_run_id":"bad","plugin_name":"digest","user_id":-1}')
    redis_server.add(names.REQUESTS, payload="no JSON")
    poison = request(redis_server, "poison")
    redis_server.raw("XGROUP", "CREATE", names.REQUESTS, names.REQUEST_GROUP, "0")
    who = ("GROUP", names.REQUEST_GROUP, "the-dead", "COUNT", 3)
    redis_server.raw("XREADGROUP", *who, "STREAMS", names.REQUESTS, ">")
    for _ in range(names.DELIVERIES_MAX):
        redis_server.raw("XCLAIM", names.REQUESTS, names.REQUEST_GROUP, "the-dead", 0, poison)
    for entry in pending(redis_server):
        redis_server.age(names.REQUESTS, names.REQUEST_GROUP, entry, "the-dead", OLD_MS)
    async with working(redis_server, is_open=True) as desk:
        await until(lambda: not pending(redis_server), "all are acknowledged")
        assert desk.begun == []
    told = results(redis_server)
    assert {run: one[0]["status"] for run, one in told.items()} == {"bad": "failed", "poison": "failed"}
    assert "user_id" in told["bad"][0]["error"]
    assert "never finished" in told["poison"][0]["error"]
    assert len(redis_server.entries(names.DEAD)) == 3


async def test_what_nobody_here_can_run_is_answered_with_the_reason_and_parked_without_keys(
    redis_server: Reachable,
) -> None:
    """L83, L40"""
    entry = request(redis_server, "r", "other", topics=["a"], _llm_api_key="a-key-of-somebody")
    async with working(redis_server) as desk:
        desk.why_not = "Plugin crew not found: other"
        await until(lambda: results(redis_server), "it is answered")
        assert (desk.begun, pending(redis_server)) == ([], {})
    (told,) = results(redis_server)["r"]
    assert (told["status"], told["error"]) == ("failed", "Plugin crew not found: other")
    ((_, copy),) = redis_server.entries(names.DEAD)
    assert (copy["dead_entry_id"], copy["dead_reason"]) == (entry, told["error"])
    assert json.loads(copy["payload"])["settings"] == {"topics": ["a"]}


async def test_a_refusal_is_told_even_when_its_entry_is_gone(redis_server: Reachable) -> None:
    """FLUSHALL between taking and answering: the caller still learns it, once."""
    request(redis_server, "r")
    async with working(redis_server) as desk:
        desk.why_not, desk.before_refusal = "not here", lambda: redis_server.ask("FLUSHALL")
        await until(lambda: results(redis_server), "it is answered")
    assert [one["error"] for one in results(redis_server)["r"]] == ["not here"]


async def test_an_entry_that_was_lost_and_claimed_back_is_not_begun_twice(redis_server: Reachable) -> None:
    """L79: somebody claimed it while we did not reach Redis, and died; the run here went on."""
    entry = request(redis_server, "r")
    async with working(redis_server, slots=2) as desk:
        reader = desk.worker.inbox.reader
        await until(lambda: desk.begun, "the run has begun")
        redis_server.raw("XCLAIM", names.REQUESTS, names.REQUEST_GROUP, "somebody", 0, entry)
        assert await reader.keep() == {entry}
        redis_server.age(names.REQUESTS, names.REQUEST_GROUP, entry, "somebody", OLD_MS)
        await until(lambda: entry in reader.in_hand, "it is claimed back")
        desk.gate.set()
        await until(lambda: not pending(redis_server), "it is answered")
        assert (desk.begun, desk.worker.runs_in_hand) == (["r"], 0)
    assert len(results(redis_server)["r"]) == 1


@pytest.mark.parametrize("harm", ["kill", "pause", "flush"])
async def test_a_run_outlives_its_redis_and_is_answered_once(redis_process: RedisServer, harm: str) -> None:
    """Killed, silent, or emptied: the run goes on, and its result waits for the way home."""
    request(redis_process, "r")
    async with working(redis_process) as desk:
        await until(lambda: desk.begun, "the run has begun")
        if harm == "flush":
            redis_process.ask("FLUSHALL")
            desk.gate.set()
        else:
            harms, ends = {
                "kill": (redis_process.kill, redis_process.start),
                "pause": (redis_process.pause, redis_process.resume),
            }[harm]
            harms()
            desk.gate.set()
            await until(lambda: not desk.streams.is_up and not desk.live, "its end finds no Redis")
            assert desk.worker.runs_in_hand == 1, "a result that waits keeps its slot"
            ends()
        await until(lambda: results(redis_process), "it is answered")
        request(redis_process, "next")
        await until(lambda: "next" in results(redis_process), "work goes on")
        await until(lambda: not pending(redis_process), "nothing is left pending")
        assert desk.begun == ["r", "next"]
    assert [len(told) for told in results(redis_process).values()] == [1, 1]


async def test_leaving_finishes_what_is_in_hand_and_takes_nothing_more(redis_server: Reachable) -> None:
    request(redis_server, "r")
    async with working(redis_server, slots=2) as desk:
        await until(lambda: desk.begun, "the run has begun")
        assert desk.worker.leave()
        assert not desk.worker.leave(), "it was asked for already"
        desk.gate.set()
        await until(lambda: not desk.worker.runs_in_hand, "the run is over")
    request(redis_server, "later")
    assert set(results(redis_server)) == {"r"}
    assert redis_server.consumers(names.REQUESTS, names.REQUEST_GROUP) == set(), "its name is gone too"


@pytest.mark.parametrize("how", ["stopped", "too late"])
async def test_a_run_that_is_stopped_is_given_back_at_once(redis_server: Reachable, how: str) -> None:
    """The next worker need not wait until the entry is old."""
    request(redis_server, "r")
    async with working(redis_server, drain_ms=0 if how == "too late" else 600_000) as desk:
        await until(lambda: desk.begun, "the run has begun")
        if how == "stopped":
            desk.worker.stop()
        else:
            desk.worker.leave()
        await until(lambda: not desk.worker.runs_in_hand, "the run is stopped")
    assert results(redis_server) == {}
    assert len(pending(redis_server)) == 1
    async with working(redis_server, is_open=True) as heir:
        await until(lambda: results(redis_server), "another has run it")
        assert heir.begun == ["r"]
    assert pending(redis_server) == {}


async def test_a_worker_that_must_leave_without_redis_leaves_its_entry(redis_process: RedisServer) -> None:
    """It does not wait for ever; the entry is on Redis's disk, and somebody else's when it is old."""
    entry = request(redis_process, "r")
    async with working(redis_process) as desk:
        await until(lambda: desk.begun, "the run has begun")
        redis_process.kill()
        desk.gate.set()
        await until(lambda: not desk.live, "the run is over")
        desk.worker.stop()
        await until(lambda: not desk.worker.runs_in_hand, "it has given up")
    redis_process.start()
    assert set(pending(redis_process)) == {entry}
    assert results(redis_process) == {}
