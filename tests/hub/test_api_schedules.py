"""Schedules over HTTP: made, listed, paused, resumed and deleted, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hub.auth import Role
from hub.runs.schedule import SCHEDULES_MAX, Plan, Schedule, schedule_id_of
from hub.runs.vault import MARK
from hub.store.schedules import row_of
from tests.hub.askers import DIGEST, TOPICS
from tests.hub.conftest import RunningHub

pytestmark = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)

MEMBERS = {
    "schedule_id",
    "status",
    "plugin_name",
    "plugin_id",
    "user_id",
    "settings",
    "cron",
    "zone",
    "missed",
    "next_due_at",
    "last",
    "missed_at",
    "created_by",
    "created_at",
}


async def make(http: httpx.AsyncClient, plugin: str = DIGEST, **changed: Any) -> httpx.Response:
    body = {"user_id": 7, "settings": TOPICS, "cron": "0 7 * * 1-5", "zone": "Europe/Berlin", **changed}
    return await http.post(f"/api/plugins/{plugin}/schedules", json=body)


async def test_a_schedule_is_made_once_and_read_back(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        made = await make(http, plugin_id=4)
        again = await make(http, plugin_id=4)
        read = await http.get(f"/api/schedules/{made.json()['schedule_id']}")
    assert (made.status_code, again.status_code) == (201, 200), made.text
    assert made.json() == again.json() == read.json()
    schedule = made.json()
    assert set(schedule) == MEMBERS
    assert schedule == schedule | {
        "status": "active",
        "plugin_name": DIGEST,
        "plugin_id": 4,
        "user_id": 7,
        "settings": TOPICS,
        "zone": "Europe/Berlin",
        "missed": "skip",
        "last": None,
    }
    assert schedule["next_due_at"] > schedule["created_at"]


async def test_what_is_paused_has_no_due_time_until_it_is_resumed(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        made = (await make(http)).json()
        there = f"/api/schedules/{made['schedule_id']}"
        paused = [(await http.post(f"{there}/pause")).json() for _ in range(2)]
        again = (await make(http)).json()
        resumed = [(await http.post(f"{there}/resume")).json() for _ in range(2)]
    assert [(one["status"], one["next_due_at"]) for one in (*paused, again)] == [("paused", None)] * 3
    assert resumed == [made, made]


async def test_what_is_deleted_is_gone(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        name = (await make(http)).json()["schedule_id"]
        there = f"/api/schedules/{name}"
        deleted = await http.delete(there)
        after = [await http.get(there), await http.delete(there), await http.post(f"{there}/pause")]
    assert deleted.json() == {"status": "deleted", "schedule_id": name}
    assert [(one.status_code, one.json()["error"]) for one in after] == [(404, "schedule_not_found")] * 3


async def test_a_list_is_newest_first_page_by_page_and_filtered(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        names = [(await make(http, user_id=user)).json()["schedule_id"] for user in (1, 2, 2**64 - 1)]
        found, cursor = [], None
        while True:
            query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await http.get("/api/schedules", params=query)).json()
            assert page["count"] == len(page["schedules"])
            found += [one["schedule_id"] for one in page["schedules"]]
            if (cursor := page["next"]) is None:
                break
        of_one = (await http.get("/api/schedules", params={"user_id": 2**64 - 1, "plugin": DIGEST})).json()
        of_none = (await http.get("/api/schedules", params={"plugin": "x"})).json()
        wrong = await http.get("/api/schedules", params={"cursor": "x"})
    assert sorted(found) == sorted(names)
    assert [one["schedule_id"] for one in of_one["schedules"]] == [names[2]]
    assert of_none == {"schedules": [], "count": 0, "next": None}
    assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"cron": "0 7 * *"}, "cron", "4 fields instead of five"),
        ({"cron": "0 25 * * *"}, "cron", "hour: '25'"),
        ({"cron": "* " * 200}, "cron", ""),
        ({"zone": "Mars/Olympus"}, "zone", "not a time zone"),
        ({"missed": "all"}, "missed", ""),
        ({"user_id": -1}, "user_id", ""),
        ({"user_id": 2**64}, "user_id", ""),
        ({"settings": {}}, "settings.topics", "is missing"),
        ({"settings": TOPICS | {f"{MARK}llm_api_key": "sk-secret"}}, "settings._llm_api_key", "credentials"),
        ({"settings": []}, "settings", ""),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_field(
    running_hub: RunningHub, changed: dict[str, Any], field: str, sentence: str
) -> None:
    async with running_hub.http() as http:
        answer = await make(http, **changed)
        listed = (await http.get("/api/schedules")).json()
    assert answer.status_code in (400, 422), answer.text
    (fault,) = answer.json()["errors"]
    assert fault["field"] == field
    assert sentence in fault["detail"]
    assert "sk-secret" not in answer.text
    assert listed["count"] == 0


async def test_a_plugin_that_nobody_knows_has_no_schedule(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        answer = await make(http, "weekly")
    assert (answer.status_code, answer.json()["error"]) == (404, "plugin_not_found")


async def test_a_viewer_looks_and_changes_nothing(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        name = (await make(http)).json()["schedule_id"]
    async with running_hub.http(await running_hub.token(role=Role.VIEWER)) as viewer:
        refused = [
            await make(viewer, user_id=8),
            await viewer.post(f"/api/schedules/{name}/pause"),
            await viewer.post(f"/api/schedules/{name}/resume"),
            await viewer.delete(f"/api/schedules/{name}"),
        ]
        seen = await viewer.get(f"/api/schedules/{name}")
    assert [one.status_code for one in refused] == [403] * 4
    assert seen.json()["status"] == "active"


async def test_a_hub_that_is_full_of_schedules_says_so(running_hub: RunningHub) -> None:
    def of(user_id: int) -> Schedule:
        plan = Plan(plugin=DIGEST, user_id=user_id, settings={}, cron="@daily")
        return Schedule(schedule_id=schedule_id_of(plan), plan=plan, by="test", created_wall_ms=1)

    rows = [row_of(of(user)) for user in range(SCHEDULES_MAX - 1)]
    await running_hub.parts.ledger.write(
        lambda connection: connection.executemany("INSERT INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    )
    async with running_hub.http() as http:
        last = await make(http)
        one_more = await make(http, user_id=8)
    assert last.status_code == 201
    assert (one_more.status_code, one_more.json()["error"]) == (409, "too_many_schedules")
