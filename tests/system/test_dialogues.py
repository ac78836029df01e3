"""The written dialogues, the documented session among them, played to a real hub by a stranger's client."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.hub.conftest import HubProcess
from tests.hub.peers import Said, V1Peer, V2Peer
from tests.protocol.script import Script, every_script, read
from tests.system.player import Player
from tests.system.processes import becomes

INSTANCE = "0f8e2c4d6b7a9150"
SUBPROTOCOL = "hub.v2.json"


def script_of(name: str) -> Script:
    return read(next(path for path in every_script() if path.stem == name))


async def player_of(hub: HubProcess, script: Script, agent_id: str, **known: Any) -> Player:
    """A client that has dialled, with a token, and has said nothing yet."""
    token = await hub.token(agent_id)
    if script.subprotocol is None:
        peer: V1Peer | V2Peer = await V1Peer.dial(hub.ws_address)
    else:
        peer = await V2Peer.dial(hub.ws_address, token=token, subprotocols=[script.subprotocol])
    return Player(hub, peer, {"agent_id": agent_id, "token": token, "instance_id": INSTANCE, **known})


async def earlier_boot(hub: HubProcess, boot_id: str, slots: int, **more: Any) -> tuple[V2Peer, Said]:
    """What the same instance was before the dialogue begins, and what the hub told it."""
    token = await hub.token("ada")
    peer = await V2Peer.dial(hub.ws_address, token=token, subprotocols=[SUBPROTOCOL])
    return peer, await peer.identify("ada", instance_id=INSTANCE, boot_id=boot_id, slots=slots, **more)


async def take(hub: HubProcess, peer: V2Peer, description: str, **more: Any) -> Said:
    """Push a task to ada, who accepts it; its assign."""
    await hub.push("ada", description, **more)
    assigned = await peer.hear("task_assign")
    await receipted(peer, "accepted", "task_accepted", assigned)
    return assigned


async def receipted(peer: V2Peer, status: str, fact: str, assigned: Said, **more: Any) -> None:
    await peer.say(peer.fact(fact, assigned, **more))
    assert (await peer.hear("task_ack"))["status"] == status


async def test_the_documents_session_is_played_frame_by_frame(hub_process: HubProcess) -> None:
    hub_process.start()
    script = script_of("session")
    player = await player_of(hub_process, script, "ada")
    await player.play(script)
    task = await hub_process.task(player.variables["task_id"])
    assert (task["state"], task["attempt"], task["generation"]) == ("completed", 0, 1)
    await becomes(hub_process, "/api/agents/ada", lambda agent: not agent["connected"], 60)


async def test_mistakes_are_answered_as_written(hub_process: HubProcess) -> None:
    """Beside the complaints come the receipts of the two facts, and the pong."""
    hub_process.start()
    script = script_of("mistakes")
    player = await player_of(hub_process, script, "ada", task_id="task-4f6b0c9d2e8a7153")
    await player.play(script, unasked=("task_ack", "task_revoke", "pong"))
    assert player.peer.socket.close_code == 4400


async def test_a_lost_link_is_resumed_as_written(hub_process: HubProcess) -> None:
    """L4, L6: before it ada had three tasks; the third went to bob, who was free, when she declined it."""
    hub_process.start()
    earlier, identified = await earlier_boot(hub_process, "b1", 3)
    done, running = [await take(hub_process, earlier, name) for name in ("done", "running")]
    async with hub_process.http() as client:
        await client.post("/api/tasks", json={"description": "taken"})
    taken = await earlier.hear("task_assign")
    for index, task in ((0, done), (1, done), (0, running)):
        await receipted(earlier, "kept", "task_done", task, index=index, output=index)
    bob = await V2Peer.dial(
        hub_process.ws_address, token=await hub_process.token("bob"), subprotocols=[SUBPROTOCOL]
    )
    assert (await bob.identify("bob"))["type"] == "identified"
    await receipted(earlier, "rejected", "task_rejected", taken, reason="not_me")
    handed_on = await bob.hear("task_assign")
    assert (handed_on["task_id"], handed_on["generation"]) == (taken["task_id"], 2)
    await receipted(bob, "accepted", "task_accepted", handed_on)
    earlier.vanish()
    script = script_of("resume")
    player = await player_of(
        hub_process,
        script,
        "ada",
        hub_epoch=identified["hub_epoch"],
        generation=1,
        done_id=done["task_id"],
        running_id=running["task_id"],
        taken_id=taken["task_id"],
    )
    await player.play(script)
    assert (await hub_process.becomes(done["task_id"], "completed"))["attempt"] == 0
    progress = await becomes(
        hub_process, f"/api/tasks/{running['task_id']}", lambda task: task["progress"] == 60, 20
    )
    assert progress["generation"] == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_cancel_is_proven_as_written(
    hub_process: HubProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L21: before it ada took two tasks, the second with a limit that ends while the dialogue is played."""
    monkeypatch.setattr("tests.hub.peers.PATIENCE_S", 60)  # the hub gives a run 15 s beyond its limit
    hub_process.start()
    earlier, _ = await earlier_boot(hub_process, "b1", 2)
    task = await take(hub_process, earlier, "to be cancelled")
    other = await take(hub_process, earlier, "to be ended", timeout_ms=1_000)
    for index in range(7):
        await receipted(earlier, "kept", "task_done", task, index=index, output=None)
    earlier.vanish()

    async def drain(player: Player) -> None:
        hub_process.signal(signal.SIGTERM)

    script = script_of("cancel")
    ids = {"task_id": task["task_id"], "other_id": other["task_id"], "generation": 1}
    player = await player_of(hub_process, script, "ada", **ids)
    await player.play(script, cues=[("hub goaway", drain)])
    assert hub_process.wait() == 0
    hub_process.start()
    ending = (await hub_process.task(task["task_id"]))["ending"]
    assert (ending["how"], ending["proof"]["reaped"]) == ("cancelled", 3)
    assert (await hub_process.task(other["task_id"]))["state"] in {"failed", "dead_letter"}


async def test_a_question_is_asked_and_answered_as_written(hub_process: HubProcess) -> None:
    """What ada declines goes to bob, who has just come, and is nobody's fault."""
    hub_process.start()

    async def push(player: Player) -> None:
        inputs = {"topics": ["tea"]}
        await hub_process.push("ada", "Write a briefing", plugin="digest", inputs=inputs, attempts_max=3)

    async def offer(player: Player) -> None:
        async with player.hub.http() as client:
            await client.post("/api/tasks", json={"description": "One more"})

    async def let_bob_in(player: Player) -> None:
        token = await hub_process.token("bob")
        bob = await V2Peer.dial(hub_process.ws_address, token=token, subprotocols=[SUBPROTOCOL])
        assert (await bob.identify("bob"))["type"] == "identified"

    script = script_of("question")
    player = await player_of(hub_process, script, "ada")
    cues = [("hub task_assign", push), ("hub task_assign", offer), ("agent task_rejected", let_bob_in)]
    await player.play(script, cues=cues, unasked=("agent_joined",))
    other = await hub_process.task(player.variables["other_id"])
    assert (other["attempt"], other["generation"], other["agent_id"]) == (0, 2, "bob")


async def test_an_old_client_is_served_as_written(hub_process: HubProcess) -> None:
    """Bob is an old client too; between the lines probe-1 takes a task, loses its link, and comes back."""
    hub_process.start()
    bob = await V1Peer.dial(hub_process.ws_address)

    async def join(player: Player) -> None:
        await bob.identify("bob", await hub_process.token("bob"))

    async def talk(player: Player) -> None:
        await bob.say({"type": "message", "to": "probe-1", "payload": {"text": "yes"}})

    async def go_away(player: Player) -> None:
        await bob.say({"type": "status", "status": "away"})

    async def leave(player: Player) -> None:
        await bob.hang_up()

    async def lose_the_link(player: Player) -> None:
        pushed = await hub_process.push("probe-1", "hang")
        assert (await player.peer.hear())["type"] == "task_assign"
        await player.peer.say({"type": "task_accepted", "task_id": pushed["task_id"]})
        assert (await player.peer.hear())["status"] == "accepted"
        player.peer.vanish()
        peer = await V1Peer.dial(hub_process.ws_address)
        assert (await peer.identify("probe-1", player.variables["token"]))["type"] == "identified"
        player.peer = peer
        player.variables["lost_id"] = pushed["task_id"]

    async def cancel(player: Player) -> None:
        async with player.hub.http() as client:
            await client.post(f"/api/tasks/{player.variables['lost_id']}/cancel", json={})

    script = script_of("v1")
    player = await player_of(hub_process, script, "probe-1")
    cues = [
        ("hub agent_joined", join),
        ("hub message", talk),
        ("hub status_changed", go_away),
        ("hub agent_left", leave),
        ("agent state_report", lose_the_link),
        ("hub task_cancelled", cancel),
    ]
    await player.play(script, cues=cues)
    await player.peer.hear_nothing_but()
