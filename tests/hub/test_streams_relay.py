"""The outbox and a Redis that dies, stops, forgets and refuses: nothing is lost and nothing told twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hub.streams.relay import BATCH_LETTERS
from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.hub.listener import Listener, listening
from tests.hub.peers import V2Peer
from tests.streams.conftest import redis_process
from tests.streams.peers import GoService
from tests.streams.servers import RedisServer
from tests.waiting import until

__all__ = ["redis_process"]


@pytest.fixture
async def ears(redis_process: RedisServer) -> AsyncIterator[Listener]:
    async with listening(redis_process.url) as found:
        yield found


async def end_one(hub: RunningHub, peer: V2Peer, channel: str) -> str:
    """A task on this channel that is done at once; its id."""
    await hub.push("ada", stream_id=channel)
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned), peer.fact("task_complete", assigned, result=channel))
    await peer.hear("task_ack")
    await peer.hear("task_ack")
    return str(assigned["task_id"])


def waiting(hub: RunningHub) -> float:
    found = hub.parts.metrics.registry.get_sample_value("hub_outbox_letters")
    assert found is not None
    return found


async def test_the_end_of_a_task_waits_for_a_redis_that_is_away(
    redis_process: RedisServer, ears: Listener, start_hub: Callable[..., Any]
) -> None:
    """The hub takes work as ever and says that Redis is down; what was to be told is told later, in order."""
    hub = await start_hub(redis=redis_process.url)
    peer = await v2(hub)
    await end_one(hub, peer, "before")
    await ears.final("before")
    redis_process.kill()
    tasks = [await end_one(hub, peer, f"meanwhile-{number}") for number in range(3)]
    await until(lambda: hub.parts.face.state == "down", "the hub knows that Redis is away")
    async with hub.http() as http:
        ready = await http.get("/health/ready")
    assert (ready.status_code, ready.json()["redis"]) == (200, "down")
    redis_process.start()
    await until(lambda: waiting(hub) == 0, "the outbox is empty")
    markers = [f"crewhub:final:{task_id}" for task_id in tasks]
    assert redis_process.ask("EXISTS", *markers) == len(tasks)


async def test_letters_of_a_redis_that_was_away_are_told_in_their_order(
    redis_process: RedisServer, start_hub: Callable[..., Any]
) -> None:
    """Nobody listens yet when Redis comes up, so the order shows in a stream, and each run once."""
    hub = await start_hub(redis=redis_process.url)
    peer = await v2(hub, plugins=["digest"], slots=3)
    service = GoService(redis_process.url)
    assigned = []
    for number in range(3):
        await service.request(f"run-{number}", "digest")
        assigned.append(await peer.hear("task_assign"))
    redis_process.kill()
    for one in assigned:
        await peer.say(peer.fact("task_accepted", one), peer.fact("task_complete", one, result="done"))
    for _ in range(6):
        await peer.hear("task_ack")
    redis_process.start()
    await service.close()
    again = GoService(redis_process.url)
    while len(again.results) < 3:
        await again.take_in()
    await again.close()
    assert list(again.results) == ["run-0", "run-1", "run-2"]
    assert all(len(results) == 1 for results in again.results.values())
    await until(lambda: not redis_process.pending("plugin:requests", "crewai-workers"), "all acknowledged")


async def test_a_redis_that_stops_in_the_middle_is_told_once_it_goes_on(
    redis_process: RedisServer, ears: Listener, start_hub: Callable[..., Any]
) -> None:
    """SIGSTOP: the commands that it was sent before may be carried out later, beside their repeats."""
    hub = await start_hub(redis=redis_process.url)
    peer = await v2(hub)
    await end_one(hub, peer, "before")
    await ears.final("before")
    redis_process.pause()
    await end_one(hub, peer, "meanwhile")
    await until(lambda: hub.parts.face.state == "down", "the hub has waited for an answer in vain")
    redis_process.resume()
    await ears.final("meanwhile")
    await end_one(hub, peer, "after")
    await ears.final("after")
    ears.check("meanwhile")


async def test_an_end_that_was_told_is_not_told_again_after_redis_was_emptied(
    redis_process: RedisServer, ears: Listener, start_hub: Callable[..., Any]
) -> None:
    hub = await start_hub(redis=redis_process.url)
    peer = await v2(hub)
    await end_one(hub, peer, "before")
    await ears.final("before")
    await until(lambda: waiting(hub) == 0, "the letter is gone")
    redis_process.ask("FLUSHALL")
    await end_one(hub, peer, "after")
    await ears.final("after")
    ears.check("before")


async def test_a_letter_that_redis_refuses_does_not_hold_up_the_others(
    redis_process: RedisServer, ears: Listener, start_hub: Callable[..., Any]
) -> None:
    """An ACL may let the hub speak on some channels only; whoever names another one harms nobody else."""
    rights = ("on", ">secret", "~*", "+@all", "resetchannels", "&allowed:*")
    redis_process.ask("ACL", "SETUSER", "hub", *rights)
    url = redis_process.url.replace("redis://", "redis://hub:secret@")
    hub = await start_hub(redis=url)
    peer = await v2(hub)
    await end_one(hub, peer, "forbidden")
    await end_one(hub, peer, "allowed:one")
    await ears.final("allowed:one")
    assert "forbidden" not in ears.said
    redis_process.ask("ACL", "SETUSER", "hub", "allchannels")
    await ears.final("forbidden")
    ears.check("allowed:one")


async def test_more_letters_than_one_batch_are_all_told(
    redis_process: RedisServer, ears: Listener, start_hub: Callable[..., Any]
) -> None:
    hub = await start_hub(redis=redis_process.url)
    channels = [f"channel-{number}" for number in range(BATCH_LETTERS + 1)]
    async with hub.http() as http:
        wall_ms = hub.parts.clock.now().wall_ms
        tasks = [{"description": "late", "stream_id": one, "start_by": wall_ms} for one in channels]
        answer = await http.post("/api/tasks/batch", json={"tasks": tasks})
        assert answer.is_success
    for channel in channels:
        await ears.final(channel)
    await until(lambda: waiting(hub) == 0, "the outbox is empty")
