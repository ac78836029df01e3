"""Webhooks over HTTP: who may, what is refused, and what is shown."""

from __future__ import annotations

from typing import Any

import pytest

from hub.auth import Role
from hub.store import webhooks
from tests.hub.conftest import HubProcess, RunningHub
from tests.hub.noticed import add, asked, deliveries, event_of, got, listening

URL = "https://receiver.example/hook"


async def test_a_webhook_is_named_changed_and_removed(running_hub: RunningHub) -> None:
    made = await add(running_hub, URL, description="mine", events=["task_*"], plugin="p", labels={"a": "b"})
    place = f"/{made['webhook_id']}"
    change = {"plugin": None, "labels": None, "events": ["*"], "description": "", "agent_id": "ada"}
    changed = (await asked(running_hub, "PATCH", place, change)).json()
    untouched = (await asked(running_hub, "PATCH", place, {})).json()
    listed = await got(running_hub, "")
    removed = await asked(running_hub, "DELETE", place)
    assert made["secret"].startswith("whsec_")
    assert (made["events"], made["plugin"], made["labels"]) == (["task_*"], "p", {"a": "b"})
    assert (changed["events"], changed["plugin"], changed["labels"]) == (["*"], None, {})
    assert (changed["agent_id"], changed["description"], changed["url"]) == ("ada", "", URL)
    assert {**untouched, "updated_at": 0} == {**changed, "updated_at": 0}
    assert [one["webhook_id"] for one in listed["webhooks"]] == [made["webhook_id"]]
    assert removed.json() == {"status": "removed", "webhook_id": made["webhook_id"]}
    assert (await got(running_hub, ""))["count"] == 0


async def test_a_secret_is_in_one_answer_and_on_no_disk(running_hub: RunningHub) -> None:
    made = await add(running_hub, URL)
    new = (await asked(running_hub, "POST", f"/{made['webhook_id']}/rotate")).json()
    for path in ("", f"/{made['webhook_id']}"):
        said = (await asked(running_hub, "GET", path)).text
        assert made["secret"] not in said
        assert "whsec_" not in said
    await running_hub.parts.audit.flush()
    written = b"".join(path.read_bytes() for path in running_hub.parts.settings.state_dir.glob("hub.db*"))
    assert made["webhook_id"].encode() in written
    for secret in (made["secret"], new["secret"]):
        assert secret.removeprefix("whsec_").encode() not in written


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "url"),
        ({"url": "http://example.com/"}, 422, "url"),
        ({"url": "https://user:pass@example.com/"}, 422, "url"),
        ({"url": "ftp://example.com/"}, 422, "url"),
        ({"url": URL, "events": []}, 422, "events"),
        ({"url": URL, "events": ["Task Complete"]}, 422, "events"),
        ({"url": URL, "events": ["x"] * 65}, 422, "events"),
        ({"url": URL, "labels": {"a": 1}}, 422, "labels"),
        ({"url": URL, "description": "x" * 501}, 422, "description"),
    ],
)
async def test_what_cannot_be_told_is_refused_by_name(
    running_hub: RunningHub, body: dict[str, Any], status: int, field: str
) -> None:
    answer = await asked(running_hub, "POST", "", body)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert (await got(running_hub, ""))["count"] == 0


async def test_what_is_not_there_is_said(running_hub: RunningHub) -> None:
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("GET", "/deliveries"),
    ):
        answer = await asked(running_hub, method, f"/hook-none{path}", {} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["error"]) == (404, "webhook_not_found"), path
    for name in ("dlv-1", "dlv-x", "1", "dlv-9999999999999999999"):
        answer = await asked(running_hub, "GET", f"/deliveries/{name}")
        assert (answer.status_code, answer.json()["error"]) == (404, "delivery_not_found")


async def test_a_replay_needs_a_place_of_this_history(running_hub: RunningHub) -> None:
    made = await add(running_hub, URL)
    place = f"/{made['webhook_id']}/replay"
    epoch = made["cursor"].rpartition(":")[0]
    bodies: tuple[dict[str, object], ...] = (
        {},
        {"since": "x"},
        {"since": "other:1"},
        {"since": f"{epoch}:1", "since_time": 1},
    )
    assert [(await asked(running_hub, "POST", place, body)).status_code for body in bodies] == [422] * 4
    far = await asked(running_hub, "POST", place, {"since": f"{epoch}:999999"})
    assert far.json()["cursor"] == made["cursor"], "never forwards"


async def test_deliveries_come_in_pages_and_by_state(running_hub: RunningHub) -> None:
    made = await add(running_hub, "https://localhost:1/", events=["task_queued"])
    tasks = [await event_of(running_hub) for _ in range(3)]
    place = f"/{made['webhook_id']}/deliveries"
    while len(await deliveries(running_hub, made)) < 3:
        pass  # asking again is the pause
    first = await got(running_hub, f"{place}?limit=2")
    rest = await got(running_hub, f"{place}?limit=2&cursor={first['next']}")
    assert [one["task_id"] for one in (*first["deliveries"], *rest["deliveries"])] == tasks[::-1]
    assert rest["next"] is None
    assert len(await deliveries(running_hub, made, "pending")) == 3
    assert await deliveries(running_hub, made, "delivered") == []
    for query in ("state=lost", "cursor=x", "limit=0"):
        assert (await asked(running_hub, "GET", f"{place}?{query}")).status_code == 422


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DISPATCHER, Role.AGENT])
async def test_only_admins_see_or_change_who_is_told(running_hub: RunningHub, role: Role) -> None:
    token = await running_hub.token("ada", role)
    async with running_hub.http(token) as http:
        assert (await http.get("/api/webhooks")).status_code == 403
        assert (await http.post("/api/webhooks", json={"url": URL})).status_code == 403


async def test_who_changed_what_is_in_the_audit(running_hub: RunningHub) -> None:
    """And where it is, without what comes behind the host: that is often a key, and the log has it too."""
    made = await add(running_hub, f"{URL}/a-key?token=another")
    place = f"/{made['webhook_id']}"
    await asked(running_hub, "PATCH", place, {"enabled": False})
    await asked(running_hub, "POST", f"{place}/rotate")
    await asked(running_hub, "PATCH", place, {"enabled": True})
    await asked(running_hub, "POST", f"{place}/test")
    await asked(running_hub, "POST", f"{place}/replay", {"since_time": 0})
    await asked(running_hub, "DELETE", place)
    said = await running_hub.parts.ledger.look(
        lambda connection: connection.execute(
            "SELECT action, detail FROM audit WHERE action LIKE 'webhook%' ORDER BY number"
        ).fetchall()
    )
    words = ("added", "changed", "rotated", "changed", "tested", "replayed", "removed")
    assert [action for action, _ in said] == [f"webhook_{word}" for word in words]
    assert all(made["webhook_id"] in str(detail) for _, detail in said)
    assert "https://receiver.example/" in str(said[0][1])
    assert not any("a-key" in str(detail) or "token" in str(detail) for _, detail in said)


async def test_one_webhook_more_than_there_is_room_for_is_refused(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert webhooks.RECEIVERS_MAX == 200
    monkeypatch.setattr(running_hub.parts.notices._webhooks, "_most", 2)
    for _ in range(2):
        await add(running_hub, URL)
    answer = await asked(running_hub, "POST", "", {"url": URL})
    assert (answer.status_code, answer.json()["error"]) == (409, "too_many_webhooks")


async def test_a_webhook_is_still_there_after_a_restart(hub_process: HubProcess) -> None:
    said = {"HUB_HOOKS_ALLOW_PRIVATE": "true"}
    hub_process.start(**said)
    async with listening() as ear:
        made = await add(hub_process, ear.url, events=["task_queued"])
        hub_process.kill()
        hub_process.start(**said)
        task_id = await event_of(hub_process)
        await ear.hears(1)
        (event,) = ear.told(made["secret"])
    assert event["subject"] == task_id


async def test_a_member_that_nobody_knows_is_refused_by_its_name(running_hub: RunningHub) -> None:
    """A filter that is mistyped would tell more than was meant."""
    body = {"url": "https://example.com/hook", "agent": "ada"}
    refused = await asked(running_hub, "POST", "", body)
    assert refused.status_code == 422
    assert "agent" in refused.text
