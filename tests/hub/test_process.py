"""A hub in a process of its own: signals, kills, stalls, and what is still there afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
from pathlib import Path

import pytest

from hub.core.board import Board
from hub.core.effects import Tell
from hub.core.task import State
from hub.core.turn import Turn
from hub.turns import StartKept, TurnKept, events_of, read_turns
from protocol.ids import TaskId
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


@pytest.mark.slow
async def test_a_hub_that_was_stopped_for_longer_than_every_deadline_requeues_nothing(
    hub_process: HubProcess,
) -> None:
    """L20: the accept timer (2 s), the lease (6 s) and the links' silence (10 s) all ran out."""
    hub_process.start(
        HUB_ACCEPT_MS="2000", HUB_HEARTBEAT_MS="2000", HUB_LEASE_MS="6000", HUB_V2_SILENCE_MS="10000"
    )
    peer = await V2Peer.dial(hub_process.ws_address, token=await hub_process.token("ada"))
    await peer.identify("ada", slots=2)
    running = await hub_process.push("ada", "accepted before")
    first = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", first))
    await peer.hear("task_ack")
    waiting = await hub_process.push("ada", "accepted after")
    second = await peer.hear("task_assign")
    hub_process.signal(signal.SIGSTOP)
    accepted = peer.fact("task_accepted", second)
    await peer.say(accepted)
    await pause(12)
    hub_process.signal(signal.SIGCONT)
    assert (await peer.hear("task_ack", "task_revoke"))["status"] == "accepted"
    for pushed in (running, waiting):
        task = await hub_process.task(pushed["task_id"])
        assert (task["state"], task["generation"], task["strikes"]) == ("running", 1, 0)
    assert await peer_is_alive(peer)


@pytest.mark.slow
async def test_a_database_that_is_blocked_for_longer_than_every_deadline_requeues_nothing(
    hub_process: HubProcess,
) -> None:
    """L20."""
    hub_process.start(HUB_ACCEPT_MS="2000", HUB_HEARTBEAT_MS="2000", HUB_LEASE_MS="6000")
    peer = await V2Peer.dial(hub_process.ws_address, token=await hub_process.token("ada"))
    await peer.identify("ada")
    pushed = await hub_process.push("ada", "blocked")
    assigned = await peer.hear("task_assign")
    blocker = sqlite3.connect(hub_process.folder / "state" / "hub.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await peer.say(peer.fact("task_accepted", assigned))
    await pause(12)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert (await peer.hear("task_ack", "task_revoke"))["status"] == "accepted"
    task = await hub_process.task(pushed["task_id"])
    assert (task["state"], task["generation"], task["strikes"]) == ("running", 1, 0)


async def test_a_killed_hub_s_turns_can_be_read_and_replayed(hub_process: HubProcess) -> None:
    hub_process.start(HUB_TURNS_BYTES="10000000", HUB_HISTORY_FILE=str(hub_process.folder / "history.jsonl"))
    peer = await V2Peer.dial(hub_process.ws_address, token=await hub_process.token("ada"))
    await peer.identify("ada")
    pushed = await hub_process.push("ada", "remember me")
    assert (await peer.work(await peer.hear("task_assign"), result=1))["status"] == "complete"
    hub_process.kill()
    board, said = replayed(hub_process.folder / "state" / "turns.ring")
    task = board.view_task(TaskId(pushed["task_id"]))
    assert task is not None
    assert task.state is State.COMPLETED
    assert "TaskAck" in said
    lines = [json.loads(line) for line in (hub_process.folder / "history.jsonl").read_text().splitlines()]
    deeds = [(line["f"], line.get("value")) for line in lines if line.get("task") == pushed["task_id"]]
    assert deeds.count(("terminal", "completed")) == 1
    assert ("push", None) in deeds
    assert ("ack", "complete") in deeds
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))


def replayed(path: Path) -> tuple[Board, list[str]]:
    """A new board, told what the old one was told; and what it would have said."""
    kept = read_turns(path)
    start = next(kept)
    assert isinstance(start, StartKept)
    loaded = start.loaded
    board = Board(
        start.policy,
        epoch=loaded.epoch,
        generation_floor=loaded.generation_floor,
        tasks=loaded.tasks,
        instances=loaded.instances,
        agents=loaded.agents,
        now=start.now,
    )
    said: list[str] = []
    for turn in kept:
        assert isinstance(turn, TurnKept)
        board.learn(turn.learned, turn.outcomes)
        settled = Turn(board, events_of(turn), turn.now, turn.rolls).settle()
        said += [type(effect.frame).__name__ for effect in settled.effects if isinstance(effect, Tell)]
    return board, said


async def pause(seconds: float) -> None:
    """Time itself is the subject here: a hub that is stopped does nothing that could be waited for."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def peer_is_alive(peer: V2Peer) -> bool:
    await peer.say({"type": "ping"})
    return "timestamp" in await peer.hear("pong")
