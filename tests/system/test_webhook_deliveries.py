"""Webhooks over the deaths of the hub: what was committed is told, and told again only under the same id."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from hub.crashpoints import NoticePoint
from tests.hub.conftest import HubProcess
from tests.hub.noticed import Ear, add, believed, comes_to, deliveries, event_of, got, listening
from tests.system.conftest import hub_process

__all__ = ["hub_process"]

pytestmark = pytest.mark.timeout(300)

PRIVATE = {"HUB_HOOKS_ALLOW_PRIVATE": "true"}
TASKS = 3


class Mortal:
    """A hub that dies once, at a named place."""

    def __init__(self, hub: HubProcess, point: NoticePoint) -> None:
        self.hub = hub
        self.is_armed = True
        hub.start(**PRIVATE, HUB_CRASH_AT=point.value)

    async def revive(self) -> None:
        """Wait until it has died, unless it is alive again."""
        if self.is_armed:
            await asyncio.to_thread(self.hub.wait)
            self.is_armed = False
            self.hub.start(**PRIVATE)

    async def insist(self, n: int) -> str:
        """A task that is pushed and cancelled, however often that takes: its key makes it one."""
        body = {"description": "x", "idempotency_key": f"key-{n}"}
        async with self.hub.http() as http:
            while True:
                try:
                    task_id = str((await http.post("/api/tasks", json=body)).json()["task_id"])
                    assert (await http.post(f"/api/tasks/{task_id}/cancel")).status_code in (200, 409)
                    return task_id
                except httpx.TransportError:
                    await self.revive()


def heard(ear: Ear, secret: str) -> dict[str, set[tuple[str, str]]]:
    """What was told under each id."""
    found: dict[str, set[tuple[str, str]]] = {}
    for call in ear.calls:
        event = believed(call, secret)
        found.setdefault(call.headers["webhook-id"], set()).add((event["subject"], event["type"]))
    return found


@pytest.mark.parametrize("point", NoticePoint)
async def test_a_death_at_any_step_loses_nothing_and_makes_nothing_twice(
    hub_process: HubProcess, point: NoticePoint
) -> None:
    """H3."""
    hub_process.start(**PRIVATE)
    async with listening() as ear:
        webhook = await add(hub_process, ear.url, events=["task_queued", "task_cancelled"])
        hub_process.stop()
        mortal = Mortal(hub_process, point)
        tasks = [await mortal.insist(n) for n in range(TASKS)]
        await mortal.revive()
        await comes_to(hub_process, webhook, lambda one: one["pending"] == 0 and one["behind"] == 0)
        found = heard(ear, webhook["secret"])
    wanted = {(task, f"crewhub.task_{what}") for task in tasks for what in ("queued", "cancelled")}
    assert all(len(events) == 1 for events in found.values()), "one id is one event for ever"
    assert {event for events in found.values() for event in events} == wanted
    assert len(found) == len(wanted), "and one event is one id"


async def test_what_happened_just_before_a_kill_is_told_after_it(hub_process: HubProcess) -> None:
    """The receiver is away all the while, and then so is the hub."""
    hub_process.start(**PRIVATE)
    async with listening("500 No") as ear:
        webhook = await add(hub_process, ear.url, events=["task_queued"])
        tasks = [await event_of(hub_process) for _ in range(TASKS)]
        hub_process.kill()
        ear.calls.clear()
        ear.answers[:] = ["204 Yes"]
        hub_process.start(**PRIVATE)
        await comes_to(hub_process, webhook, lambda one: one["pending"] == 0 and one["behind"] == 0)
        told = {event["subject"] for event in ear.told(webhook["secret"])}
        kept = await deliveries(hub_process, webhook, "delivered")
        detail = await got(hub_process, f"/deliveries/{kept[0]['delivery_id']}")
    assert told == set(tasks)
    assert {one["task_id"] for one in kept} == set(tasks)
    assert detail["log"][-1]["status"] == 204
