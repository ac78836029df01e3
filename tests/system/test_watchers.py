"""Watchers whose line is cut again and again: every event once and in order, or an explicit reset."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

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

numbers = count(1)


def places(watcher: Watcher) -> list[int]:
    return [int(cursor.rpartition(":")[2]) for cursor, _ in watcher.seen]


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


@pytest.mark.timeout(120)
async def test_a_watcher_that_is_cut_every_second_sees_every_event_once_and_in_order(
    hub: HubProcess, proxy: Proxy, tmp_path: Path
) -> None:
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


@pytest.mark.timeout(120)
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
