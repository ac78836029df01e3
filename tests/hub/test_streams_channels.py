"""Progress and the one end of a task on the channel of its stream id, told by a real hub to a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.hub.listener import Listener, listening
from tests.hub.peers import Said, V2Peer
from tests.streams.conftest import redis_server
from tests.streams.servers import Reachable
from tests.waiting import until

__all__ = ["redis_server"]

CHANNEL = "execution:42"


@pytest.fixture
async def hub(redis_server: Reachable, start_hub: Callable[..., Any]) -> RunningHub:
    found: RunningHub = await start_hub(redis=redis_server.url)
    return found


@pytest.fixture
async def ears(redis_server: Reachable) -> AsyncIterator[Listener]:
    async with listening(redis_server.url) as found:
        yield found


async def held(hub: RunningHub, **more: Any) -> tuple[V2Peer, Said]:
    """An agent that has accepted a task whose caller listens on the channel."""
    peer = await v2(hub)
    await hub.push("ada", stream_id=CHANNEL, **more)
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.hear("task_ack")
    return peer, assigned


def progress(assigned: Said, percent: float | None, message: str | None = None) -> Said:
    said = {"type": "task_progress", "task_id": assigned["task_id"], "generation": assigned["generation"]}
    return said | {"progress": percent, "message": message}


async def test_a_task_says_when_it_begins_how_far_it_is_and_that_it_is_over(
    hub: RunningHub, ears: Listener
) -> None:
    peer, assigned = await held(hub)
    await until(lambda: ears.of(CHANNEL), "the channel has heard of the beginning")
    await peer.say(progress(assigned, 20, "Container provisioned"))
    await until(lambda: len(ears.of(CHANNEL)) > 1, "the channel has heard of progress")
    await peer.say(peer.fact("task_complete", assigned, result="all done"))
    assert await ears.final(CHANNEL) == {"complete": True, "content": "all done", "isError": False}
    assert ears.of(CHANNEL)[:2] == [
        {"message": "Starting execution...", "progress": 10},
        {"message": "Container provisioned", "progress": 20},
    ]


async def test_progress_never_goes_backwards_also_in_a_later_attempt(hub: RunningHub, ears: Listener) -> None:
    """L102."""
    peer, assigned = await held(hub, attempts_max=2)
    await peer.say(progress(assigned, 80, "Code pushed to GitHub"))
    await until(lambda: 80 in ears.progress(CHANNEL), "the first attempt was far")
    await peer.say(progress(assigned, 5, "a step back"))
    await peer.say(peer.fact("task_failed", assigned, error="lost the way", retry_after_ms=1))
    again = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", again), progress(again, 30, "Starting agentic loop"))
    await until(lambda: ears.of(CHANNEL)[-1]["message"] == "Starting agentic loop", "the second has begun")
    await peer.say(peer.fact("task_complete", again, result="done"))
    await ears.final(CHANNEL)
    assert ears.progress(CHANNEL)[-1] == 80


async def test_nothing_follows_the_end(hub: RunningHub, ears: Listener) -> None:
    """L101: talk that comes after the result is for nobody."""
    peer, assigned = await held(hub)
    done = peer.fact("task_complete", assigned, result="done")
    await peer.say(progress(assigned, 50, "half"), done, progress(assigned, 60, "late"))
    await ears.final(CHANNEL)
    await peer.say(progress(assigned, 70, "much later"))
    other = await v2(hub, "bob")
    await hub.push("bob", "another", stream_id="other")
    await other.say(other.fact("task_complete", await other.hear("task_assign"), result="done"))
    await ears.final("other")
    ears.check(CHANNEL)


@pytest.mark.parametrize("how", ["failed", "cancelled", "late", "rejected"])
async def test_every_way_to_end_is_told_once(hub: RunningHub, ears: Listener, how: str) -> None:
    """L100: also a task that nobody ever began ends with one message, and it says that it is an error."""
    if how == "failed":
        peer, assigned = await held(hub)
        await peer.say(peer.fact("task_failed", assigned, error="the disk is gone", retryable=False))
    elif how == "cancelled":
        pushed = await hub.push("nobody", stream_id=CHANNEL, queue=True)
        async with hub.http() as http:
            assert (await http.post(f"/api/tasks/{pushed['task_id']}/cancel")).status_code == 200
    elif how == "late":
        async with hub.http() as http:
            wall_ms = hub.parts.clock.now().wall_ms
            body = {"description": "too late", "stream_id": CHANNEL, "start_by": wall_ms}
            assert (await http.post("/api/tasks", json=body)).status_code == 201
    else:
        peer, assigned = await held(hub, metadata={"work": 1})
        await peer.say(peer.fact("task_failed", assigned, error="no such thing", retryable=False))
    final = await ears.final(CHANNEL)
    assert final["isError"] is True
    assert final["content"]


async def test_the_stream_id_may_stand_in_the_metadata(hub: RunningHub, ears: Listener) -> None:
    peer = await v2(hub)
    await hub.push("ada", metadata={"streamId": CHANNEL})
    await peer.say(peer.fact("task_complete", await peer.hear("task_assign"), result="done"))
    await ears.final(CHANNEL)


async def test_a_task_without_a_stream_id_is_told_to_nobody(hub: RunningHub, ears: Listener) -> None:
    peer = await v2(hub)
    await hub.push("ada")
    await peer.say(peer.fact("task_complete", await peer.hear("task_assign"), result="done"))
    await hub.push("ada", stream_id=CHANNEL)
    await peer.say(peer.fact("task_complete", await peer.hear("task_assign"), result="done"))
    await ears.final(CHANNEL)
    assert set(ears.said) == {CHANNEL}


async def test_who_subscribes_late_gets_the_latest_state_over_http(hub: RunningHub, ears: Listener) -> None:
    """L103: the channel does not repeat itself, so the task says all that its channel has said."""
    peer, assigned = await held(hub)
    await peer.say(progress(assigned, 40, "Iteration 1 of 4"))
    await until(lambda: 40 in ears.progress(CHANNEL), "the channel has heard it")
    task = await hub.task(assigned["task_id"])
    assert (task["progress"], task["message"]) == (40, "Iteration 1 of 4")
    await peer.say(peer.fact("task_complete", assigned, result="done"))
    await ears.final(CHANNEL)
    task = await hub.task(assigned["task_id"])
    assert (task["state"], task["result"]) == ("completed", "done")


async def test_the_work_of_a_crew_lies_between_30_and_70(hub: RunningHub, ears: Listener) -> None:
    peer, assigned = await held(hub)
    log = {"type": "task_log", "task_id": assigned["task_id"], "generation": assigned["generation"]}
    await peer.say(log | {"n": 1, "level": "info", "kind": "crew", "text": "the crew begins", "data": {}})
    await peer.say(progress(assigned, 50, "research"))
    await until(lambda: 50 in ears.progress(CHANNEL), "half of the work is half of its share")
    await peer.say(progress(assigned, 99, "review"))
    await peer.say(peer.fact("task_complete", assigned, result="done"))
    await ears.final(CHANNEL)
    assert ears.of(CHANNEL)[0] == {"message": "Starting execution...", "progress": 10}
    assert ears.of(CHANNEL)[-2] == {"message": "Agentic loop complete", "progress": 70}
    assert all(30 <= one <= 70 for one in ears.progress(CHANNEL)[1:])


async def test_a_flood_of_progress_is_coalesced_and_its_last_word_is_told(
    hub: RunningHub, ears: Listener
) -> None:
    peer, assigned = await held(hub)
    await peer.say(*(progress(assigned, one / 2, f"step {one}") for one in range(21, 181)))
    await until(lambda: 90 in ears.progress(CHANNEL), "the newest is told")
    await peer.say(peer.fact("task_complete", assigned, result="done"))
    await ears.final(CHANNEL)
    assert len(ears.of(CHANNEL)) < 160


async def test_the_channel_of_a_task_that_is_over_is_forgotten(hub: RunningHub, ears: Listener) -> None:
    """L110."""
    peer, assigned = await held(hub)
    face = hub.parts.face
    assert face is not None
    await until(lambda: len(face.progress) == 1, "the channel is open")
    await peer.say(peer.fact("task_complete", assigned, result="done"))
    await ears.final(CHANNEL)
    await until(lambda: len(face.progress) == 0, "the channel is forgotten")


async def test_health_and_metrics_name_the_redis(hub: RunningHub, redis_server: Reachable) -> None:
    face = hub.parts.face
    assert face is not None
    await until(lambda: face.state == "up", "Redis was found")
    async with hub.http() as http:
        assert (await http.get("/health/ready")).json()["redis"] == "up"
        figures = (await http.get("/metrics")).text
    assert "hub_redis_up" in figures
    assert "hub_outbox_letters 0.0" in figures


async def test_a_hub_without_redis_names_none(running_hub: RunningHub) -> None:
    assert running_hub.parts.face is None
    async with running_hub.http() as http:
        assert "redis" not in (await http.get("/health/ready")).json()
