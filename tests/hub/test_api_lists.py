"""Lists over HTTP as a table wants them: only these tasks, what runs them again, nothing that is large."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from hub.api.filters import IDS_MAX
from hub.store.statements import BRIEF_LENGTH
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer

LARGE = "x" * 20_000


async def pushed(http: httpx.AsyncClient, **members: Any) -> str:
    answer = await http.post("/api/tasks", json={"description": "work", **members})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["task_id"])


async def listed(http: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await http.get("/api/tasks", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["tasks"]
    return found


async def test_some_tasks_are_listed_by_their_ids(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        ids = [await pushed(http) for _ in range(4)]
        found = await listed(http, task_ids=f"{ids[0]},{ids[2]},task-unknown")
        assert [task["task_id"] for task in found] == [ids[2], ids[0]]
        assert await listed(http, task_ids=ids[1], state="running") == []
        exported = (await http.get("/api/tasks/export", params={"task_ids": ids[3]})).text.splitlines()
        assert [msgspec.json.decode(line)["task_id"] for line in exported] == [ids[3]]


async def test_what_runs_a_task_again_is_found_by_that_task(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        ids = [await pushed(http) for _ in range(3)]
        again = {}
        for task_id in ids[:2]:
            await http.post(f"/api/tasks/{task_id}/cancel")
            again[task_id] = (await http.post(f"/api/tasks/{task_id}/retry")).json()["task_id"]
        found = await listed(http, retry_of=",".join(ids))
        assert {task["retry_of"]: task["task_id"] for task in found} == again


@pytest.mark.parametrize("name", ["task_ids", "retry_of"])
async def test_as_many_ids_as_a_page_has_rows_and_no_more(running_hub: RunningHub, name: str) -> None:
    async with running_hub.http() as http:
        most = ",".join(f"task-{n}" for n in range(IDS_MAX))
        assert await listed(http, **{name: most}) == []
        for wrong in (f"{most},task-{IDS_MAX}", "a,,b", ""):
            answer = await http.get("/api/tasks", params={name: wrong})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name), wrong


async def test_a_selection_is_counted_and_cancelled_like_any_filter(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        ids = [await pushed(http) for _ in range(4)]
        body: dict[str, Any] = {"action": "cancel", "filter": {"task_ids": ids[1:3]}}
        counted = (await http.post("/api/tasks/bulk", json=body)).json()
        assert (counted["count"], set(counted["sample"])) == (2, set(ids[1:3]))
        done = await http.post("/api/tasks/bulk", json=body | {"dry_run": False, "expect": 2})
        assert done.json()["done"] == 2
        assert {task["task_id"] for task in await listed(http, state="queued")} == {ids[0], ids[3]}
        for wrong in ([], ["t"] * (IDS_MAX + 1), [""], "t"):
            answer = await http.post("/api/tasks/bulk", json={**body, "filter": {"task_ids": wrong}})
            assert answer.status_code == 422, wrong


async def test_a_list_in_brief_leaves_out_what_is_large_and_nothing_else(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    large = {"text": LARGE}
    whole = await running_hub.push("ada", "d" * BRIEF_LENGTH + " and the end", metadata=large, inputs=large)
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned), peer.fact("task_complete", assigned, result=large))
    task = await running_hub.becomes(whole["task_id"], "completed")
    assert (task["result"], task["metadata"], task["inputs"]) == (large, large, large)
    left_out: dict[str, Any] = {
        "result": None,
        "inputs": None,
        "metadata": {},
        "description": "d" * BRIEF_LENGTH,
    }
    async with running_hub.http() as http:
        assert await listed(http, brief="true") == [task | left_out]
        assert await listed(http, brief="false") == await listed(http) == [task]
        assert (await http.get("/api/tasks", params={"brief": "maybe"})).status_code == 422
        asked = {"brief": "true", "q": "d and the end"}
        assert len(await listed(http, **asked)) == 1, "what is looked for is looked for in all of it"


async def test_a_list_shows_how_far_a_run_says_it_is(running_hub: RunningHub) -> None:
    """As the task itself does: talk moves no row, and a list of rows alone would not know of it."""
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    pushed_id = (await running_hub.push("ada"))["task_id"]
    assigned = await peer.hear("task_assign")
    talk = {"task_id": pushed_id, "generation": assigned["generation"], "progress": 45, "message": "half way"}
    await peer.say(peer.fact("task_accepted", assigned), {"type": "task_progress", **talk})
    async with running_hub.http() as http:
        async with asyncio.timeout(60):
            while not (found := await listed(http, state="running", brief="true")):
                pass  # asking again is the pause
            while found[0]["progress"] is None:
                found = await listed(http, state="running")
        assert (found[0]["progress"], found[0]["message"]) == (45, "half way")
        assert found == [await running_hub.task(pushed_id)]
