"""A real hub's ring file of turns, told to a board again: the same work ends in the same rows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.core.task import Task
from hub.turns import StartKept, read_turns
from tests.hub.conftest import ROOT, HubProcess
from tests.hub.peers import Said, V1Peer, V2Peer
from tests.simulation.turns import Replay

RING = {"HUB_TURNS_BYTES": "16777216"}


async def dialled(hub: HubProcess, agent_id: str, **card: Any) -> V2Peer:
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(agent_id), subprotocols=["hub.v2.json"])
    assert (await peer.identify(agent_id, **card))["type"] == "identified"
    return peer


async def receipted(peer: V2Peer, fact: str, assigned: Said, **more: Any) -> str:
    await peer.say(peer.fact(fact, assigned, **more))
    return str((await peer.hear("task_ack"))["status"])


async def work_with_everything(hub: HubProcess, peer: V2Peer) -> None:
    """Free JSON in every member that may have it, a null among them."""
    more = {
        "inputs": {"topics": ["tea", None]},
        "metadata": {"a": 1},
        "idempotency_key": "k",
        "plugin": "digest",
    }
    pushed = await hub.push("ada", "with everything", **more)
    assert (await hub.push("ada", "with everything", **more))["task_id"] == pushed["task_id"]
    assigned = await peer.hear("task_assign")
    assert await receipted(peer, "task_accepted", assigned) == "accepted"
    assert await receipted(peer, "task_done", assigned, index=0, output={"kept": True}) == "kept"
    question = {"request_id": f"{assigned['task_id']}-1", "prompt": "which?", "schema": {"enum": ["a"]}}
    assert await receipted(peer, "input_required", assigned, **question) == "asked"
    async with hub.http() as client:
        body = {"request_id": question["request_id"], "value": "a"}
        answer = await client.post(f"/api/tasks/{assigned['task_id']}/input", json=body)
        assert answer.is_success, answer.text
    told = await peer.hear("task_input")
    assert await receipted(peer, "input_ack", assigned, request_id=told["request_id"]) == "answered"
    assert await receipted(peer, "task_complete", assigned, result=None) == "complete"


async def cancelled_work(hub: HubProcess, peer: V2Peer) -> None:
    await hub.push("ada", "to be cancelled")
    assigned = await peer.hear("task_assign")
    assert await receipted(peer, "task_accepted", assigned) == "accepted"
    async with hub.http() as client:
        await client.post(f"/api/tasks/{assigned['task_id']}/cancel", json={})
    await peer.hear("task_cancel")
    assert await receipted(peer, "task_stopped", assigned, how="cooperative") == "stopped"


async def old_work(hub: HubProcess) -> None:
    """A v1 client fails one."""
    peer = await V1Peer.dial(hub.ws_address)
    await peer.identify("bob", await hub.token("bob"))
    pushed = await hub.push("bob", "old")
    await peer.hear("task_assign")
    await peer.say({"type": "task_accepted", "task_id": pushed["task_id"]})
    await peer.say({"type": "task_failed", "task_id": pushed["task_id"], "reason": "no"})
    await hub.becomes(pushed["task_id"], "failed", "dead_letter")


async def interrupted_work(hub: HubProcess, peer: V2Peer) -> None:
    """Through a lost link, and through a hub that is killed."""
    await hub.push("ada", "to be interrupted")
    assigned = await peer.hear("task_assign")
    assert await receipted(peer, "task_accepted", assigned) == "accepted"
    await peer.say({"type": "task_progress", **ref(assigned), "progress": 10, "execution_event": {"a": 1}})
    seq = peer.seq
    for connection in (2, 3):
        if connection == 3:
            hub.kill()
            hub.start(**RING)
        else:
            peer.vanish()
        holding = [{**ref(assigned), "state": "running"}]
        peer = await dialled(hub, "ada", connection=connection, seq_next=seq + 1, holding=holding)
    peer.seq = seq
    assert await receipted(peer, "task_complete", assigned, result={"a": [1, None]}) == "complete"


def ref(assigned: Said) -> Said:
    return {"task_id": assigned["task_id"], "generation": assigned["generation"]}


async def seen_of(hub: HubProcess, row: Task) -> tuple[Said, Said]:
    """What the hub shows of a task, and what the replayed row says."""
    shown = await hub.task(row.task_id)
    members = ("state", "generation", "attempt", "strikes", "description")
    ours = {"state": row.state.value, "generation": row.generation, "attempt": row.attempt}
    ours |= {"strikes": row.strikes, "description": row.spec.description}
    ours["metadata"] = msgspec.json.decode(row.spec.metadata)
    return {name: shown[name] for name in (*members, "metadata")}, ours


@pytest.mark.timeout(240)
async def test_a_real_hub_s_turns_replay_to_the_same_rows(hub_process: HubProcess) -> None:
    hub_process.start(**RING)
    ada = await dialled(hub_process, "ada", plugins=["digest"])
    await work_with_everything(hub_process, ada)
    await cancelled_work(hub_process, ada)
    await old_work(hub_process)
    await interrupted_work(hub_process, ada)
    ring = hub_process.folder / "state" / "turns.ring"
    kept = list(read_turns(ring))
    assert [type(line) for line in kept].count(StartKept) == 2, "each life goes on behind the one before"
    replay = Replay()
    replay.run(kept)
    rows = {row.spec.description: row for row in replay.rows.values()}
    assert set(rows) == {"with everything", "to be cancelled", "old", "to be interrupted"}
    for row in rows.values():
        shown, replayed = await seen_of(hub_process, row)
        assert shown == replayed
    everything = rows["with everything"]
    assert everything.spec.inputs is not None
    assert msgspec.json.decode(everything.spec.inputs) == {"topics": ["tea", None]}
    assert (everything.result, rows["to be cancelled"].result) == (msgspec.Raw(b"null"), None)
    assert hub_process.stop() == 0
    await assert_the_command_says_so(ring)


async def assert_the_command_says_so(ring: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.simulation.cli", "replay", str(ring)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every invariant held (0 before the first start)" in done.stdout
    assert "1 cancelled, 2 completed, 1 failed" in done.stdout
