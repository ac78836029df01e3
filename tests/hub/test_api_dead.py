"""Dead letters by kind of failure, over HTTP."""

from __future__ import annotations

from typing import Any

from hub.core.fingerprints import fingerprint
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer


async def died(hub: RunningHub, peer: V2Peer, error: str, plugin: str = "digest") -> str:
    """A task that an agent has failed until its attempts were used up."""
    body = {"description": "work", "assign_to": "ada", "plugin": plugin, "attempts_max": 2}
    async with hub.http() as http:
        fast = {"first_ms": 1, "max_ms": 1}
        pushed = (await http.post("/api/tasks", json=body | {"backoff": fast})).json()
    for _ in range(2):
        assigned = await peer.hear("task_assign")
        accepted = peer.fact("task_accepted", assigned)
        await peer.say(accepted, peer.fact("task_failed", assigned, error=error, retry_after_ms=1))
    await hub.becomes(pushed["task_id"], "dead_letter")
    return str(pushed["task_id"])


async def groups(hub: RunningHub, **query: str) -> list[dict[str, Any]]:
    async with hub.http() as http:
        found: list[dict[str, Any]] = (await http.get("/api/tasks/dead-letter/groups", params=query)).json()[
            "groups"
        ]
    return found


async def test_dead_letters_are_grouped_by_what_went_wrong(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada", plugins=["digest"])
    assert await groups(running_hub) == []
    first = await died(running_hub, peer, "no page 7 at https://a.example/x")
    second = await died(running_hub, peer, "no page 9 at https://b.example/y")
    other = await died(running_hub, peer, "out of paper")
    found = await groups(running_hub)
    assert [(one["count"], one["retried"], one["example"]) for one in found] == [
        (1, 0, other),
        (2, 0, second),
    ]
    kind = found[1]
    tasks = [await running_hub.task(task_id) for task_id in (first, second)]
    assert (kind["first_seen_at"], kind["last_seen_at"]) == tuple(task["updated_at"] for task in tasks)
    assert (kind["error"], kind["plugin"]) == ("no page 9 at https://b.example/y", "digest")
    assert (kind["how"], kind["whose_fault"]) == (
        tasks[1]["ending"]["how"],
        tasks[1]["ending"]["whose_fault"],
    )
    assert kind["fingerprint"] == fingerprint(kind["how"], "digest", "no page 1 at http://c.example")
    async with running_hub.http() as http:
        listed = await http.get("/api/tasks/dead-letter", params={"fingerprint": kind["fingerprint"]})
        assert [task["task_id"] for task in listed.json()["tasks"]] == [second, first]
        await http.post(f"/api/tasks/{first}/retry")
    assert (await groups(running_hub))[1]["retried"] == 1


async def test_groups_are_paged_by_cursor(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada", plugins=["digest"])
    for error in ("one", "two", "three", "one"):
        await died(running_hub, peer, error)
    async with running_hub.http() as http:
        seen: list[tuple[str, int]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (
                await http.get("/api/tasks/dead-letter/groups", params={"limit": 2, "cursor": cursor})
            ).json()
            assert page["count"] == len(page["groups"]) <= 2
            seen += [(group["error"], group["count"]) for group in page["groups"]]
            cursor = page["next"]
        for query in ({"limit": "0"}, {"limit": "501"}, {"cursor": "nonsense"}):
            answer = await http.get("/api/tasks/dead-letter/groups", params=query)
            assert answer.status_code == 422, query
    assert seen == [("one", 2), ("three", 1), ("two", 1)]
