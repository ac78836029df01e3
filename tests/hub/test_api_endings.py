"""How each agent's tasks of the last day ended, over HTTP."""

from __future__ import annotations

from typing import Any

from hub.api.fleet import COUNTED_MS, ENDPOINTS, EndingsView
from hub.store.tallies import COUNTED_MAX, Tallies, Tally
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer


async def work(hub: RunningHub, peer: V2Peer, name: str, **ending: Any) -> None:
    """A task that this agent completes, or fails for good."""
    async with hub.http() as http:
        body = {"description": "work", "assign_to": name, "attempts_max": 1}
        pushed = (await http.post("/api/tasks", json=body)).json()
    assigned = await peer.hear("task_assign")
    how = "task_failed" if ending else "task_complete"
    await peer.say(peer.fact("task_accepted", assigned), peer.fact(how, assigned, **ending))
    await hub.becomes(pushed["task_id"], "completed", "failed")


async def test_endings_are_counted_by_agent_and_state(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        path = ENDPOINTS[-1].path
        fresh = (await http.get(path)).json()
        assert fresh["agents"] == {}
        peers = {}
        for name in ("ada", "bob"):
            peers[name] = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token(name))
            await peers[name].identify(name)
        for name, count in (("ada", 2), ("bob", 1)):
            for _ in range(count):
                await work(running_hub, peers[name], name)
        await work(running_hub, peers["ada"], "ada", error="no page")
        await running_hub.push("ada", "still waiting or running")
        found = (await http.get(path)).json()
        assert found["agents"] == {"ada": {"completed": 2, "failed": 1}, "bob": {"completed": 1}}
        now = running_hub.parts.clock.now().wall_ms
        assert fresh["since"] <= found["since"] <= now - COUNTED_MS
    assert EndingsView(since=1, agents={}).agents == {}


async def test_of_too_many_endings_the_newest_are_counted_and_it_is_said_since_when(
    running_hub: RunningHub,
) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    for _ in range(3):
        await work(running_hub, peer, "ada")
    queries = running_hub.parts.queries
    assert COUNTED_MAX > 3
    assert await Tallies(queries).endings(1) == Tally(since_wall_ms=1, agents={"ada": {"completed": 3}})
    enough = await Tallies(queries, most=4).endings(1)
    assert (enough.since_wall_ms, enough.agents) == (1, {"ada": {"completed": 3}})
    two = await Tallies(queries, most=2).endings(1)
    assert two.agents == {"ada": {"completed": 2}}
    assert two.since_wall_ms > 1
    future = running_hub.parts.clock.now().wall_ms + 1
    assert (await Tallies(queries).endings(future)).agents == {}
