"""One agent's socket: what is let in, what is answered, what ends it, and what is kept of that."""

from __future__ import annotations

from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer


async def test_a_task_goes_from_push_to_result(running_hub: RunningHub) -> None:
    token = await running_hub.token("ada")
    peer = await V2Peer.dial(running_hub.ws_address, token=token, subprotocols=["hub.v2.json"])
    assert (await peer.identify("ada"))["type"] == "identified"
    pushed = await running_hub.push("ada", "count to three")
    assert pushed["state"] == "assigned"
    assigned = await peer.hear("task_assign")
    assert assigned["description"] == "count to three"
    assert (await peer.work(assigned, result=[1, 2, 3]))["status"] == "complete"
    task = await running_hub.task(pushed["task_id"])
    assert (task["state"], task["result"]) == ("completed", [1, 2, 3])
    await peer.hang_up()
