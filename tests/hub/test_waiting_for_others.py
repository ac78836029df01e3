"""Dependencies through the deaths of a hub: whoever waited is told by the next one."""

from __future__ import annotations

import itertools
from typing import Any

import httpx

from tests.hub.conftest import HubProcess


async def created(http: httpx.AsyncClient, **body: Any) -> str:
    answer = await http.post("/api/tasks", json={"description": "x"} | body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["task_id"])


async def test_a_hub_that_is_killed_before_it_has_told_the_dependants_tells_them_in_its_next_life(
    hub_process: HubProcess,
) -> None:
    """L19: an end is durable with its task, and so is who waits for it. The hub dies at the commit."""
    hub_process.start()
    async with hub_process.http() as http:
        first = await created(http)
        chain = [first]
        for _ in range(20):
            chain.append(await created(http, depends_on=[chain[-1]]))
        kept = await created(http, depends_on=[await created(http)])
        assert (await http.post(f"/api/tasks/{first}/cancel", json={})).status_code == 200
    hub_process.kill()
    hub_process.start()
    for before, after in itertools.pairwise(chain):
        task = await hub_process.becomes(after, "failed")
        assert task["ending"]["how"] == "dependency_failed"
        assert before in task["error"]
    assert (await hub_process.task(kept))["state"] == "queued"
    assert len((await hub_process.task(kept))["waits_for"]) == 1
