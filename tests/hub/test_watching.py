"""The feed over the wire: Server-Sent Events and WebSocket, resumed, refused, and never slowing anybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import Raw
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hub.auth import Role
from hub.core.effects import PassBy
from tests.hub.conftest import RunningHub
from tests.hub.peers import PATIENCE_S, V2Peer
from tests.waiting import until

Seen = dict[str, Any]


async def events(answer: httpx.Response) -> AsyncIterator[Seen]:
    """What an EventSource would hand out, with `id` where there is one."""
    found: Seen = {}
    async for line in answer.aiter_lines():
        if not line:
            if found:
                yield found
            found = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = json.loads(value) if name == "data" else value


async def watch(hub: RunningHub, count: int, **params: str) -> list[Seen]:
    """The first events of a new watcher."""
    seen: list[Seen] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        hub.http() as client,
        client.stream("GET", "/api/feed", params=params) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for event in events(answer):
            seen.append(event)
            if len(seen) == count:
                break
    return seen


async def one_task(hub: RunningHub, peer: V2Peer, progress: int = 0) -> str:
    pushed = await hub.push("ada")
    assigned = await peer.hear("task_assign")
    held = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.hear("task_ack")
    for n in range(progress):
        await peer.say({"type": "task_progress", **held, "progress": n, "message": f"step {n}"})
    await peer.say(peer.fact("task_complete", assigned, result={"fine": True}))
    await peer.hear("task_ack")
    return str(pushed["task_id"])


@pytest.fixture
async def ada(running_hub: RunningHub) -> V2Peer:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    return peer


async def test_a_watcher_sees_a_snapshot_and_then_a_task_from_push_to_end(
    running_hub: RunningHub, ada: V2Peer
) -> None:
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch(running_hub, 6))
        await until(lambda: running_hub.parts.feed.watchers, "somebody watches")
        task_id = await one_task(running_hub, ada, progress=1)
    seen = watching.result()
    words = [event["event"] for event in seen]
    assert words == [
        "snapshot",
        "task_queued",
        "task_assigned",
        "task_accepted",
        "task_progress",
        "task_complete",
    ]
    assert {event["data"]["task_id"] for event in seen[1:]} == {task_id}
    assert ["id" in event for event in seen] == [True, True, True, True, False, True]
    assert seen[0]["data"]["payload"]["agents"][0]["agent_id"] == "ada"


async def test_a_watcher_that_comes_back_with_its_last_id_misses_nothing(
    running_hub: RunningHub, ada: V2Peer
) -> None:
    """Show 7, from the wire."""
    (snapshot,) = await watch(running_hub, 1)
    for _ in range(3):
        await one_task(running_hub, ada)
    cursor, got = snapshot["id"], []
    for _ in range(4):
        seen = await watch(running_hub, 3, since=cursor)
        cursor = seen[-1]["id"]
        got += [event["id"] for event in seen]
    offsets = [int(place.rpartition(":")[2]) for place in got]
    first = int(snapshot["id"].rpartition(":")[2]) + 1
    assert offsets == list(range(first, first + 12))


async def test_last_event_id_counts_more_than_the_address(running_hub: RunningHub, ada: V2Peer) -> None:
    (snapshot,) = await watch(running_hub, 1)
    await one_task(running_hub, ada)
    epoch = running_hub.parts.board.epoch
    async with running_hub.http() as client:
        headers = {"Last-Event-ID": snapshot["id"]}
        async with client.stream("GET", f"/api/feed?since={epoch}:0", headers=headers) as answer:
            first = await anext(events(answer))
    assert first["event"] == "task_queued"


async def test_a_cursor_of_another_life_is_answered_with_reset(running_hub: RunningHub) -> None:
    seen = await watch(running_hub, 2, since="another-epoch:7")
    assert [event["event"] for event in seen] == ["reset", "snapshot"]


async def test_a_cursor_that_is_none_is_422(running_hub: RunningHub) -> None:
    """L58: `?since=abc` was a 500."""
    async with running_hub.http() as client:
        answer = await client.get("/api/feed", params={"since": "abc"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "since"


async def test_a_filtered_watcher_sees_what_it_asked_for(running_hub: RunningHub, ada: V2Peer) -> None:
    epoch = running_hub.parts.board.epoch
    await one_task(running_hub, ada)
    task_id = await one_task(running_hub, ada)
    seen = await watch(running_hub, 1, since=f"{epoch}:0", task=task_id, kind="task_complete,task_failed")
    assert (seen[0]["event"], seen[0]["data"]["task_id"]) == ("task_complete", task_id)


async def test_nobody_watches_without_a_token_that_may(running_hub: RunningHub) -> None:
    async with running_hub.http(await running_hub.token("ada")) as client:
        assert (await client.get("/api/feed")).status_code == 403
    async with running_hub.http("huba_wrong") as client:
        assert (await client.get("/api/feed")).status_code == 401


async def test_a_watcher_s_socket_shows_the_same_and_can_do_nothing(
    running_hub: RunningHub, ada: V2Peer
) -> None:
    """L36: a dashboard socket could retry and cancel without a login."""
    token = await running_hub.token(role=Role.VIEWER)
    url, headers = f"{running_hub.ws_address}/ws/feed", {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(PATIENCE_S), connect(url, additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["event"] == "snapshot"
        await running_hub.push("ada")
        task_id = (await ada.hear("task_assign"))["task_id"]
        await socket.send(json.dumps({"type": "cancel", "task_id": task_id}))
        words = [json.loads(await socket.recv())["event"] for _ in range(2)]
        assert words == ["task_queued", "task_assigned"]
        assert (await running_hub.task(task_id))["state"] == "assigned"


async def test_a_watcher_s_socket_without_a_login_is_closed_4401(running_hub: RunningHub) -> None:
    async with connect(f"{running_hub.ws_address}/ws/feed") as socket:
        assert json.loads(await socket.recv()) == {"error": "unauthorized"}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4401


async def test_a_watcher_s_socket_with_a_bad_cursor_is_refused_before_101(running_hub: RunningHub) -> None:
    headers = {"Authorization": f"Bearer {running_hub.admin_token}"}
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{running_hub.ws_address}/ws/feed?since=abc", additional_headers=headers)
    assert refused.value.response.status_code == 422


async def test_a_watcher_that_talks_is_closed(running_hub: RunningHub) -> None:
    headers = {"Authorization": f"Bearer {running_hub.admin_token}"}
    async with connect(f"{running_hub.ws_address}/ws/feed", additional_headers=headers) as socket:
        for _ in range(50):
            await socket.send("hello?")
        await socket.wait_closed()
    assert socket.close_code == 4429


async def test_a_revoked_token_s_watchers_end(running_hub: RunningHub) -> None:
    """L33."""
    token = await running_hub.token(role=Role.VIEWER)
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(f"{running_hub.ws_address}/ws/feed", additional_headers=headers) as socket:
        await socket.recv()
        identity = running_hub.parts.authority.check(token)
        assert identity is not None
        async with running_hub.http() as client:
            await client.delete(f"/admin/tokens/{identity.token_id}")
        await socket.wait_closed()
    await until(lambda: not running_hub.parts.feed.watchers, "nobody watches")


@pytest.mark.parametrize("running_hub", [{"send_ms": 1_000}], indirect=True)
async def test_watchers_that_do_not_read_are_thrown_out_and_slow_nobody(
    running_hub: RunningHub, ada: V2Peer
) -> None:
    headers = {"Authorization": f"Bearer {running_hub.admin_token}"}
    stalled = [
        await connect(f"{running_hub.ws_address}/ws/feed", additional_headers=headers, max_queue=1)
        for _ in range(5)
    ]
    for socket in stalled:
        socket.transport.pause_reading()
    await until(lambda: running_hub.parts.feed.watchers == 5, "all watch")
    bulk = PassBy(
        event="task_log",
        task_id=None,
        agent_id=None,
        generation=None,
        timestamp=0,
        payload=Raw(b'"' + b"x" * 200_000 + b'"'),
    )
    while running_hub.parts.feed.watchers:
        for _ in range(20):
            running_hub.parts.feed.pass_by(bulk)
        running_hub.parts.feed.wake()
        await one_task(running_hub, ada)
    for socket in stalled:
        socket.transport.abort()
        await socket.wait_closed()


@pytest.mark.parametrize("running_hub", [{"watchers_per_token_max": 2}], indirect=True)
async def test_watchers_above_the_cap_are_answered_503(running_hub: RunningHub) -> None:
    headers = {"Authorization": f"Bearer {running_hub.admin_token}"}
    url = f"{running_hub.ws_address}/ws/feed"
    async with connect(url, additional_headers=headers), connect(url, additional_headers=headers):
        await until(lambda: running_hub.parts.feed.watchers == 2, "two watch")
        async with running_hub.http() as client:
            answer = await client.get("/api/feed")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
