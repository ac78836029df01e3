"""Every list of the API goes by keyset: each thing once, the right end first, and limits at their edges."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hub.api.endpoint import PAGE_ROWS_MAX
from hub.api.routes import ENDPOINTS
from hub.auth import Role
from tests.hub.conftest import RunningHub

LISTS = {
    "/api/tasks": "tasks",
    "/api/tasks/dead-letter": "tasks",
    "/api/tasks/dead-letter/groups": "groups",
    "/api/agents": "agents",
    "/admin/tokens": "tokens",
    "/api/runs": "runs",
    "/api/briefings": "briefings",
    "/api/schedules": "schedules",
}


def test_every_list_is_here() -> None:
    """A row that answers a list and takes no limit would grow with what is in it."""
    for endpoint in ENDPOINTS:
        if "cursor" in endpoint.query and "{" not in endpoint.path:
            assert endpoint.path in LISTS, endpoint.path


async def walk(http: httpx.AsyncClient, path: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        page = (await http.get(path, params=query)).json()
        assert len(page[LISTS[path]]) <= limit
        found += page[LISTS[path]]
        cursor = page["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize("path", LISTS)
async def test_a_limit_counts_at_both_of_its_ends(running_hub: RunningHub, path: str) -> None:
    """L58, L59."""
    async with running_hub.http() as http:
        statuses = {
            said: (await http.get(path, params={"limit": said})).status_code
            for said in (
                "0",
                "1",
                str(PAGE_ROWS_MAX),
                str(PAGE_ROWS_MAX + 1),
                "-1",
                "abc",
                "\uff19",
                "0" * 5_000,
            )
        }
    right = {"1", str(PAGE_ROWS_MAX)}
    assert statuses == {said: 200 if said in right else 422 for said in statuses}


async def test_tokens_and_agents_are_paged_by_name_and_whole_without_a_limit(running_hub: RunningHub) -> None:
    names = [f"agent-{n}" for n in (3, 1, 2)]
    for name in names:
        await running_hub.token(name)
    await running_hub.token(role=Role.VIEWER)
    async with running_hub.http() as http:
        everything = (await http.get("/admin/tokens")).json()
        assert (len(everything["tokens"]), everything["next"]) == (5, None)
        for limit in (1, 2, 4, 5, 6):
            walked = [one["token_id"] for one in await walk(http, "/admin/tokens", limit)]
            assert walked == sorted(one["token_id"] for one in everything["tokens"]), limit
        assert await walk(http, "/api/agents", 1) == []


async def test_a_task_that_is_pushed_meanwhile_shifts_no_page(running_hub: RunningHub) -> None:
    """L59: a limit with a cursor is the next page, not the wrong end."""
    async with running_hub.http() as http:
        for n in range(4):
            await http.post("/api/tasks", json={"description": str(n)})
        first = (await http.get("/api/tasks", params={"limit": 2})).json()
        await http.post("/api/tasks", json={"description": "new"})
        second = (await http.get("/api/tasks", params={"limit": 2, "cursor": first["next"]})).json()
    said = [[task["description"] for task in page["tasks"]] for page in (first, second)]
    assert (said, second["next"]) == ([["3", "2"], ["1", "0"]], None)
