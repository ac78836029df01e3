"""How much is under way, and how much may wait: the bounds of notices, met at their edges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import apsw
import pytest

from hub.notices.fanout import STEP_BYTES_MAX
from hub.notices.sending import CALLS_MAX, CALLS_UNWELL_MAX
from protocol.limits import METADATA_BYTES_MAX
from tests.hub.conftest import RunningHub
from tests.hub.noticed import HANG, add, comes_to, deliveries, event_of, got, listening
from tests.waiting import until

Start = Callable[..., Any]
PRIVATE = {"hooks_allow_private": True}


def at_once(connection: apsw.Connection, number: int) -> None:
    connection.execute("UPDATE webhook_deliveries SET due_wall_ms = 1 WHERE number = ?", (number,))


async def test_a_receiver_with_too_much_before_it_is_told_the_rest_later(start_hub: Start) -> None:
    """What it is still to be told stays in the log: nothing is dropped."""
    hub: RunningHub = await start_hub(**PRIVATE)
    hub.parts.notices._fan_out._pending_max = 2
    async with listening("500 No") as ear:
        webhook = await add(hub, ear.url, events=["task_queued"])
        tasks = []
        for _ in range(5):
            tasks.append(await event_of(hub))
            await comes_to(hub, webhook, lambda one: one["pending"] >= 2 or one["behind"] == 0)
        found = await got(hub, f"/{webhook['webhook_id']}")
        assert found["pending"] == 2
        assert found["behind"] > 0
        ear.answers[:] = ["204 Yes"]
        for one in await deliveries(hub, webhook, "pending"):
            number = int(one["delivery_id"].removeprefix("dlv-"))
            await hub.parts.ledger.write(partial(at_once, number=number))
        hub.parts.notices._sender.look(webhook["webhook_id"])
        await comes_to(hub, webhook, lambda one: one["pending"] == 0 and one["behind"] == 0)
        told = {event["subject"] for event in ear.told(webhook["secret"])}
    assert told == set(tasks)


async def test_what_is_written_in_one_step_is_bounded_in_bytes(
    start_hub: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end tells all of its task: hundreds at once would hold up facts, and fill the memory."""
    hub: RunningHub = await start_hub(**PRIVATE)
    fan_out, steps = hub.parts.notices._fan_out, []
    writes = fan_out._webhooks.fan_out

    async def watched(moves: Any, notices: Any, wall_ms: int) -> Any:
        steps.append([len(one.body) for one in notices])
        return await writes(moves, notices, wall_ms)

    monkeypatch.setattr(fan_out._webhooks, "fan_out", watched)
    big = {"x": "x" * (METADATA_BYTES_MAX - 20)}
    async with listening() as ear, hub.http() as http:
        await add(hub, ear.url, events=["task_cancelled"])
        task = {"description": "big", "metadata": big, "inputs": big}
        pushed = await http.post("/api/tasks/batch", json={"tasks": [task] * 40})
        said = {"action": "cancel", "filter": {"q": "big"}, "dry_run": False}
        assert (await http.post("/api/tasks/bulk", json=said)).json()["done"] == 40
        await ear.hears(40)
    sizes = [size for step in steps for size in step]
    assert len(sizes) == 40, "each once"
    assert sum(sizes) > 2 * STEP_BYTES_MAX
    assert all(sum(step[:-1]) <= STEP_BYTES_MAX for step in steps)
    assert pushed.status_code == 200


async def test_no_more_calls_than_there_is_room_for_are_under_way(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    sender = hub.parts.notices._sender
    async with listening(HANG) as still:
        for _ in range(CALLS_MAX + 5):
            await add(hub, still.url, events=["task_queued"])
        await event_of(hub)
        await until(lambda: sender.under_way == CALLS_MAX, "all calls that may be are under way", 60)
        assert sender._pause_ms() > 0, "and nobody looks for more in vain"


async def test_receivers_that_fail_leave_room_for_those_that_do_not(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    sender = hub.parts.notices._sender
    async with listening(HANG) as still, listening() as ear:
        for _ in range(CALLS_MAX + 5):
            failing = await add(hub, still.url, events=["task_queued"])
            sender._lane(failing["webhook_id"]).is_unwell = True
        well = await add(hub, ear.url, events=["task_queued"])
        for _ in range(3):
            await event_of(hub)
        await ear.hears(3)
        await comes_to(hub, well, lambda one: one["pending"] == 0 and one["behind"] == 0)
        await until(
            lambda: sender.under_way == CALLS_UNWELL_MAX, "half of the room is theirs, and no more", 60
        )
