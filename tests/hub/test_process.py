"""A hub in a process of its own: signals, kills, stalls, and what is still there afterwards."""

from __future__ import annotations

import signal

from tests.hub.conftest import HubProcess
from tests.hub.peers import V1Peer, V2Peer


async def test_a_terminated_hub_drains_and_exits_0(hub_process: HubProcess) -> None:
    hub_process.start()
    peer = await V2Peer.dial(hub_process.ws_address, token=await hub_process.token("ada"))
    await peer.identify("ada")
    hub_process.signal(signal.SIGTERM)
    assert "draining" in (await peer.hear("goaway"))["reason"]
    assert (await peer.closed())[0] == 4503
    assert hub_process.wait() == 0


async def test_a_v1_client_of_a_terminated_hub_is_closed_1012(hub_process: HubProcess) -> None:
    hub_process.start()
    peer = await V1Peer.dial(hub_process.ws_address)
    await peer.identify("ada", await hub_process.token("ada"))
    hub_process.signal(signal.SIGTERM)
    assert (await peer.closed())[0] == 1012
    assert not peer.waiting
    assert hub_process.wait() == 0


async def test_a_killed_hub_comes_back_and_the_run_goes_on(hub_process: HubProcess) -> None:
    """Show 5: the same generation, one execution."""
    hub_process.start()
    token = await hub_process.token("ada")
    peer = await V2Peer.dial(hub_process.ws_address, token=token)
    await peer.identify("ada")
    pushed = await hub_process.push("ada", "survive")
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.hear("task_ack")
    hub_process.kill()
    await peer.closed()
    hub_process.start()
    again = await V2Peer.dial(hub_process.ws_address, token=token)
    again.seq = peer.seq
    held = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
    identified = await again.identify("ada", connection=2, holding=[{**held, "state": "running"}])
    assert identified["keep"] == [held]
    assert identified["seq_received"] == 1
    await again.say(again.fact("task_complete", assigned, result="still here"))
    assert (await again.hear("task_ack"))["status"] == "complete"
    task = await hub_process.task(pushed["task_id"])
    assert (task["state"], task["generation"], task["attempt"]) == ("completed", 1, 0)
    assert hub_process.stop() == 0
