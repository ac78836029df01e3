"""Watchers whose line is cut again and again: every event once and in order, or an explicit reset."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from pathlib import Path

import httpx
import pytest

from hub.checker import check
from hub.evidence import records_of_database
from hub.history import read
from tests.chaos.load import Scene, SocketWatcher, Watcher
from tests.chaos.proxy import Proxy
from tests.hub.conftest import HubProcess
from tests.hub.peers import V2Peer
from tests.system.processes import QUICK
from tests.waiting import until

TASKS = 60

ODD = ('"\\ud800"', "1e999", "-0.0", '{"a": 123456789012345678901234567890}', '"\\u2028\\n"', "NaN")
"""JSON, or nearly, that some encoder or some reader chokes on."""

numbers = count(1)


def places(watcher: Watcher) -> list[int]:
    return [int(cursor.rpartition(":")[2]) for cursor, _ in watcher.seen]


def words_of(watcher: Watcher) -> set[str]:
    return {event["event"] for _, event in watcher.seen}


async def work_on(hub: HubProcess, tasks: int) -> None:
    """Push and complete so many tasks, one after the other."""
    name = f"ada-{next(numbers)}"
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(name))
    await peer.identify(name)
    async with hub.http() as client:
        for number in range(tasks):
            body = {"agent_id": name, "description": str(number)}
            assert (await client.post("/api/admin/push-task", json=body)).is_success
            await peer.work(await peer.hear("task_assign"), result=number)
    await peer.hang_up()


async def cutting(proxy: Proxy, scene: Scene, watchers: list[Watcher]) -> None:
    """Cut all lines once a second, as soon as everybody is there again."""
    while await scene.rest(1):
        connections = [watcher.connections for watcher in watchers]
        proxy.cut()
        await until(
            lambda before=connections: (
                scene.over.is_set()  # type: ignore[misc]  # bound to this turn
                or all(w.connections > b for w, b in zip(watchers, before, strict=True))
            ),
            "the watchers are back",
        )


@pytest.mark.timeout(240)
async def test_a_watcher_that_is_cut_every_second_sees_every_event_once_and_in_order(
    hub: HubProcess, proxy: Proxy, tmp_path: Path
) -> None:
    """L55: nothing is published twice, whoever looks and however often its line is cut."""
    scene = Scene(hub.address, hub.admin_token, tmp_path)
    cut = [Watcher(scene, "sse", proxy.address), SocketWatcher(scene, "socket", proxy.address)]
    steady = Watcher(scene, "steady")
    async with asyncio.TaskGroup() as group:
        following = [group.create_task(watcher.run()) for watcher in (*cut, steady)]
        await until(lambda: all(one.connections for one in (*cut, steady)), "they watch")
        nemesis = group.create_task(cutting(proxy, scene, cut))
        await until_enough(group, hub, cut)
        nemesis.cancel()
        last = await last_offset(hub)
        await until(
            lambda: all(places(one) and places(one)[-1] >= last for one in (*cut, steady)), "all is seen"
        )
        scene.over.set()
        for one in following:
            one.cancel()
    for watcher in (*cut, steady):
        seen = places(watcher)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert not [event for _, event in watcher.seen if event["event"] == "reset"]
    assert min(one.connections for one in cut) > 3
    assert hub.stop() == 0
    histories = [tmp_path / f"{name}.history" for name in ("sse", "socket", "steady")]
    verdict = check([*read(histories), *records_of_database(tmp_path / "state/hub.db")])
    assert verdict.is_clean, verdict.violations


async def until_enough(group: asyncio.TaskGroup, hub: HubProcess, cut: list[Watcher]) -> None:
    """Work until the watchers have been cut a few times."""
    while min(one.connections for one in cut) <= 3:
        await work_on(hub, TASKS)


async def last_offset(hub: HubProcess) -> int:
    async with hub.http() as client, client.stream("GET", "/api/feed") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                return int(line.rpartition(":")[2])
    raise AssertionError("the feed begins with a snapshot")


@pytest.mark.timeout(240)
async def test_a_watcher_of_a_restarted_hub_goes_on_where_it_was(hub: HubProcess, tmp_path: Path) -> None:
    """A plain restart keeps the epoch: no event twice, none missed, no reset."""
    scene = Scene(hub.address, hub.admin_token, tmp_path)
    watcher = Watcher(scene, "watcher")
    async with asyncio.TaskGroup() as group:
        following = group.create_task(watcher.run())
        await until(lambda: watcher.connections, "it watches")
        await work_on(hub, 5)
        hub.kill()
        hub.start(**QUICK)
        await work_on(hub, 5)
        last = await last_offset(hub)
        await until(lambda: places(watcher)[-1] >= last, "all is seen")
        following.cancel()
    seen = places(watcher)
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert watcher.connections == 2


async def test_a_watcher_is_told_how_things_are_before_anything_changes(hub: HubProcess) -> None:
    """L13: who looks for the first time need not wait for a change to know a state."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token("ada"))
    await peer.identify("ada")
    async with hub.http() as client, client.stream("GET", "/api/feed") as answer:
        lines = answer.aiter_lines()
        first = [await anext(lines) for _ in range(3)]
    assert first[0].startswith("id: ")
    assert first[1] == "event: snapshot"
    (agent,) = json.loads(first[2].removeprefix("data: "))["payload"]["agents"]
    assert agent["agent_id"] == "ada"
    assert agent["state"] == "online"


async def test_what_an_agent_says_never_ends_a_watcher(hub: HubProcess, tmp_path: Path) -> None:
    """L54: values that some encoder or some reader chokes on, raw as they came; the next event arrives."""
    watcher = SocketWatcher(Scene(hub.address, hub.admin_token, tmp_path), "watcher")
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token("ada"))
    await peer.identify("ada")
    task_id = (await hub.push("ada", "talk"))["task_id"]
    assigned = await peer.hear("task_assign")
    async with asyncio.TaskGroup() as group:
        following = group.create_task(watcher.run())
        await until(lambda: watcher.connections, "it watches")
        await peer.say(peer.fact("task_accepted", assigned))
        about = {"type": "task_progress", "task_id": task_id, "generation": 1}
        for odd in ODD:
            text = json.dumps(about)[:-1] + f', "execution_event": {{"odd": {odd}}}}}'
            await peer.socket.send(text)
        await peer.say(peer.fact("task_complete", assigned, result={"odd": "\ud7ff\U0001f600"}))
        await until(lambda: "task_complete" in words_of(watcher), "the end is seen")
        following.cancel()
    assert watcher.connections == 1
    await peer.hang_up()


@pytest.mark.timeout(240)
async def test_readers_and_writers_never_lock_each_other_out(hub: HubProcess, tmp_path: Path) -> None:
    """L111: pages, a look at the whole file and pushes at once; nobody is told that anything is locked."""
    database = tmp_path / "state" / "hub.db"

    async def push(client: httpx.AsyncClient, number: int) -> None:
        tasks = [{"description": f"{number}.{one}"} for one in range(50)]
        answer = await client.post("/api/tasks/batch", json={"tasks": tasks})
        assert {item["code"] for item in answer.json()["items"]} == {201}, answer.text

    async def look(client: httpx.AsyncClient) -> None:
        for path in ("/api/tasks", "/api/tasks/stats", "/api/tasks?q=never", "/api/agents"):
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
        await asyncio.to_thread(lambda: list(records_of_database(database)))

    async with hub.http() as client, asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(push(client, number))
            group.create_task(look(client))
    assert "locked" not in hub.log.read_text()
