"""Why agents idle, asked over HTTP and typed at a terminal."""

from __future__ import annotations

from hub.api import fleet
from hub.commands import idling
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import run
from tests.waiting import until


async def connected(hub: RunningHub, name: str, **card: object) -> V2Peer:
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(name))
    assert (await peer.identify(name, **card))["type"] == "identified"
    return peer


async def test_an_idle_fleet_says_why(running_hub: RunningHub) -> None:
    await connected(running_hub, "ada", slot_kinds={"gpu": 1})
    async with running_hub.http() as http:
        bored = (await http.get(fleet.ENDPOINTS[0].path)).json()
        assert bored["agents"] == [
            {"agent_id": "ada", "free": {"": 1, "gpu": 1}, "reason": "no_task_waits", "lines": []}
        ]
        pushed = await http.post("/api/tasks", json={"description": "x", "needed_capabilities": ["fly"]})
        task_id = pushed.json()["task_id"]
        found = (await http.get("/api/fleet/explain", params={"agent": "ada"})).json()
        line = {"task_id": task_id, "waiting": 1, "slot": "", "rule": "missing_capability"}
        assert (found["agents"][0]["reason"], found["agents"][0]["lines"]) == ("missing_capability", [line])
        assert found["waiting"] == {"in_line": 1, "later": 0, "dependency": 0, "key": 0}
        unknown = await http.get("/api/fleet/explain", params={"agent": "nobody"})
        assert (unknown.status_code, unknown.json()["error"]) == (404, "agent_not_found")


async def test_a_resting_agent_is_shown_with_its_reason_and_takes_work_when_it_is_over(
    running_hub: RunningHub,
) -> None:
    peer = await connected(running_hub, "ada", resting={"reason": "quiet hours", "until": 9})
    async with running_hub.http() as http:
        shown = (await http.get("/api/agents/ada")).json()
        assert (shown["state"], shown["resting"]) == ("resting", {"reason": "quiet hours", "until": 9})
        task_id = (await http.post("/api/tasks", json={"description": "x"})).json()["task_id"]
        why = (await http.get(f"/api/tasks/{task_id}/explain")).json()
        assert why["agents"] == [{"agent_id": "ada", "rule": "resting"}]
        await peer.say({"type": "heartbeat", "as_of_seq": 0, "tasks": []})
        assert (await peer.hear("task_assign"))["task_id"] == task_id
        await until(lambda: running_hub.parts.board.view_task(task_id) is not None, "the task is known")


async def test_the_fleet_is_explained_at_a_terminal(running_hub: RunningHub) -> None:
    await connected(running_hub, "ada")
    table = await run(running_hub, "agents", "explain", "--no-json")
    assert "1 ordinary" in table.out
    assert "no_task_waits" in table.out
    async with running_hub.http() as http:
        await http.post("/api/tasks", json={"description": "x", "slot": "gpu"})
    one = await run(running_hub, "agents", "explain", "ada", "--no-json")
    assert idling.said({"": 1, "gpu": 2}) == "1 ordinary, 2 gpu"
    assert "no_slot_of_kind" in one.out
    as_json = await run(running_hub, "agents", "explain", "ada")
    assert as_json.records[0]["agents"][0]["reason"] == "no_slot_of_kind"
    assert (await run(running_hub, "agents", "explain", "nobody")).code == 6


async def test_a_parked_task_says_what_bars_it(running_hub: RunningHub) -> None:
    await connected(running_hub, "ada", slots=4)
    async with running_hub.http() as http:
        body = {"description": "x", "concurrency_key": "k", "limit": 1}
        await http.post("/api/tasks", json=body)
        task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
        why = (await http.get(f"/api/tasks/{task_id}/explain")).json()
    assert (why["rule"], why["agents"]) == ("key_at_limit", [{"agent_id": "ada", "rule": "key_at_limit"}])
    assert "its key" in why["reason"]
