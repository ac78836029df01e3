"""Little free disk: nothing new is taken, what is in hand is finished, and all of it ends by itself."""

from __future__ import annotations

import httpx

from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer

FREE = 300 * 1024 * 1024


async def ready(http: httpx.AsyncClient, status: int) -> httpx.Response:
    """Once the hub has looked at its disk again."""
    while (answer := await http.get("/health/ready")).status_code != status:
        pass  # asking again is the pause; the test's time limit tells works from hangs
    return answer


async def gauge(http: httpx.AsyncClient, name: str) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    (found,) = [line.split()[-1] for line in lines if line.startswith(name + " ")]
    return float(found)


async def test_below_the_watermark_pushes_are_refused_and_results_are_taken(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    task_id = (await running_hub.push("ada"))["task_id"]
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.hear("task_ack")
    ledger = running_hub.parts.ledger
    as_set, ledger.free_bytes_min = ledger.free_bytes_min, 1 << 62
    async with running_hub.http() as http:
        answer = await ready(http, 503)
        assert answer.json()["error"] == "storage_full"
        assert await gauge(http, "hub_storage_full") == 1
        for path, body in (
            ("/api/tasks", {"description": "x"}),
            ("/api/tasks/batch", {"tasks": [{"description": "x"}]}),
            ("/api/admin/push-task", {"agent_id": "ada", "description": "x"}),
        ):
            refused = await http.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]) == (503, "storage_full"), path
        await peer.say(peer.fact("task_complete", assigned, result={"ok": True}))
        assert (await peer.hear("task_ack"))["status"] == "complete"
        assert (await running_hub.task(task_id))["state"] == "completed"
        retried = await http.post(f"/api/tasks/{task_id}/retry")
        assert (retried.status_code, retried.json()["error"]) == (503, "storage_full")
        ledger.free_bytes_min = as_set
        await ready(http, 200)
        assert await gauge(http, "hub_storage_full") == 0
        assert await gauge(http, "hub_disk_free_bytes") > 0
        assert (await http.post("/api/tasks", json={"description": "x"})).is_success


async def test_the_watermark_is_a_setting_and_counts_to_the_byte(running_hub: RunningHub) -> None:
    parts = running_hub.parts
    assert parts.ledger.free_bytes_min == parts.settings.free_bytes_min
    parts.ledger.free_bytes_min = 0
    assert parts.ledger.has_room()
    free = parts.database.free_bytes
    try:
        parts.database.free_bytes = lambda: FREE  # type: ignore[method-assign]  # a disk of a known size
        for least, has_room in ((FREE, True), (FREE + 1, False)):
            parts.ledger.free_bytes_min = least
            assert parts.ledger.has_room() is has_room
    finally:
        parts.database.free_bytes = free  # type: ignore[method-assign]  # the real one again
