"""Doing the same to many tasks over HTTP: counted first, in reach only, and never twice."""

from __future__ import annotations

from typing import Any

import apsw
import httpx
import pytest

from hub.api import bulk
from hub.api.bulk import SAMPLE_MAX
from hub.auth import Role
from hub.store import picks
from hub.store.picks import STOPPABLE, UNDONE
from protocol.limits import NAME_LENGTH_MAX
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer


async def many(http: httpx.AsyncClient, count: int, **members: Any) -> list[str]:
    body = {"tasks": [{"description": f"work {n}", **members} for n in range(count)]}
    answer = await http.post("/api/tasks/batch", json=body)
    assert answer.is_success, answer.text
    return [one["task_id"] for one in answer.json()["items"]]


async def told(http: httpx.AsyncClient, action: str, wanted: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await http.post("/api/tasks/bulk", json={"action": action, "filter": wanted, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def states(http: httpx.AsyncClient) -> dict[str, int]:
    found: dict[str, int] = (await http.get("/api/tasks/stats")).json()["states"]
    return {state: count for state, count in found.items() if count}


async def test_nothing_is_done_until_somebody_says_that_it_is_no_rehearsal(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        ids = await many(http, 25, labels={"site": "north"})
        await many(http, 2)
        counted = await told(http, "cancel", {"label": "site=north"})
        assert (counted["count"], counted["done"], counted["dry_run"], counted["more"]) == (
            25,
            0,
            True,
            False,
        )
        assert counted["sample"] == list(reversed(ids))[:SAMPLE_MAX]
        assert await states(http) == {"queued": 27}
        done = await told(http, "cancel", {"label": "site=north"}, dry_run=False, expect=25)
        assert (done["count"], done["done"], done["refused"], done["dry_run"]) == (25, 25, 0, False)
        again = await told(http, "cancel", {"label": "site=north"}, dry_run=False)
        assert (again["count"], again["done"]) == (0, 0)
        assert await states(http) == {"queued": 2, "cancelled": 25}


async def test_another_number_than_expected_does_nothing(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        await many(http, 3)
        body = {"action": "cancel", "filter": {"state": "queued"}, "dry_run": False}
        for expect in (2, 4):
            answer = await http.post("/api/tasks/bulk", json=body | {"expect": expect})
            assert (answer.status_code, answer.json()["error"]) == (409, "count_differs")
            assert answer.json()["count"] == 3
        assert await states(http) == {"queued": 3}
        exactly = await http.post("/api/tasks/bulk", json=body | {"expect": 3})
        assert exactly.json()["done"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"},
        {"action": "cancel", "filter": {}},
        {"action": "cancel", "filter": {"state": "done"}},
        {"action": "cancel", "filter": {"plugins": "typo"}},
        {"action": "cancel", "filter": {"label": "site"}},
        {"action": "cancel", "filter": {"label": "=north"}},
        {"action": "cancel", "filter": {"q": "\0"}},
        {"action": "cancel", "filter": {"q": "x" * (NAME_LENGTH_MAX + 1)}},
        {"action": "cancel", "filter": {"state": "queued"}, "dryrun": False},
        {"action": "cancel", "filter": {"state": "queued"}, "expect": -1},
        {"action": "cancel", "filter": {"after": "yesterday"}},
        {"action": "stop", "filter": {"state": "queued"}},
    ],
)
async def test_a_filter_that_may_mean_more_than_was_meant_is_refused(
    running_hub: RunningHub, body: dict[str, Any]
) -> None:
    """Also a misspelt member: ignored, it would mean every task. And U+0000, at which SQLite ends a pattern:
    the pattern of nothing fits every task, too.
    """
    async with running_hub.http() as http:
        await many(http, 1)
        answer = await http.post("/api/tasks/bulk", json=body | {"dry_run": False})
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
        assert await states(http) == {"queued": 1}


async def test_a_retry_in_bulk_is_safe_to_repeat(running_hub: RunningHub) -> None:
    """What was run again is not run again; its retry, once that has ended, is."""
    async with running_hub.http() as http:
        ids = await many(http, 4, plugin="digest")
        await told(http, "cancel", {"plugin": "digest"}, dry_run=False)
        by_hand = (await http.post(f"/api/tasks/{ids[0]}/retry")).json()["task_id"]
        first = await told(http, "retry", {"plugin": "digest"}, dry_run=False)
        assert (first["count"], first["done"]) == (3, 3)
        assert set(first["sample"]) == set(ids[1:])
        again = await told(http, "retry", {"plugin": "digest"}, dry_run=False)
        assert (again["count"], again["done"]) == (0, 0)
        assert await states(http) == {"queued": 4, "cancelled": 4}
        await http.post(f"/api/tasks/{by_hand}/cancel")
        assert (await told(http, "retry", {"plugin": "digest"}))["sample"] == [by_hand]
        retried = (await http.get("/api/tasks", params={"state": "queued"})).json()["tasks"]
        assert {task["retry_of"] for task in retried} == set(ids[1:])


async def test_what_is_done_is_run_again_only_when_somebody_says_so(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    pushed = await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned), peer.fact("task_complete", assigned, result=1))
    await running_hub.becomes(pushed["task_id"], "completed")
    async with running_hub.http() as http:
        assert (await told(http, "retry", {"agent_id": "ada"}))["count"] == 0
        assert (await told(http, "retry", {"agent_id": "ada", "state": "completed"}))["count"] == 1
        assert (await told(http, "retry", {"state": "queued"}))["count"] == 0


async def test_a_held_unique_key_is_a_refusal_that_is_counted(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        body = {"description": "x", "unique_key": "report"}
        for _ in range(2):
            task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
            await http.post(f"/api/tasks/{task_id}/cancel")
        done = await told(http, "retry", {"state": "cancelled"}, dry_run=False)
        assert (done["count"], done["done"], done["refused"]) == (2, 1, 1)
        assert done["refusals"] == {"unique_key_held": 1}
        assert await states(http) == {"queued": 1, "cancelled": 2}


async def test_a_running_task_is_asked_to_stop_and_is_not_asked_twice(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.hear("task_ack")
    async with running_hub.http() as http:
        done = await told(http, "cancel", {"agent_id": "ada"}, dry_run=False, reason="enough")
        assert (done["count"], done["done"]) == (1, 1)
        assert (await peer.hear("task_cancel"))["reason"] == "enough"
        assert (await told(http, "cancel", {"agent_id": "ada"}, dry_run=False))["count"] == 0
        assert (await told(http, "purge", {"agent_id": "ada"}))["count"] == 0, "it is not over"


async def test_a_limited_token_means_only_what_it_might_have_pushed(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        await many(http, 2, assign_to="build-1")
        await many(http, 3, assign_to="deploy")
        await many(http, 1)
        made = await http.post("/admin/tokens", json={"role": "dispatcher", "agent_patterns": ["build-*"]})
    async with running_hub.http(made.json()["token"]) as http:
        assert (await told(http, "cancel", {"state": "queued"}))["count"] == 2
        done = await told(http, "cancel", {"state": "queued"}, dry_run=False)
        assert done["done"] == 2
        assert await states(http) == {"queued": 4, "cancelled": 2}
        retried = await told(http, "retry", {"state": "cancelled"}, dry_run=False)
        assert retried["done"] == 2


async def test_purging_is_for_admins(running_hub: RunningHub) -> None:
    async with running_hub.http(await running_hub.token(role=Role.DISPATCHER)) as http:
        body = {"action": "purge", "filter": {"state": "cancelled"}}
        answer = await http.post("/api/tasks/bulk", json=body)
        assert (answer.status_code, answer.json()["needs"]) == (403, "admin")
    async with running_hub.http(await running_hub.token(role=Role.VIEWER)) as http:
        assert (await http.post("/api/tasks/bulk", json=body)).status_code == 403


async def test_what_is_purged_is_gone_and_what_is_open_stays(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        over = await many(http, 3, labels={"k": "v"})
        await told(http, "cancel", {"label": "k=v"}, dry_run=False)
        (waiting,) = await many(http, 1, labels={"k": "v"})
        done = await told(http, "purge", {"label": "k=v"}, dry_run=False)
        assert (done["count"], done["done"]) == (3, 3)
        assert [(await http.get(f"/api/tasks/{one}")).status_code for one in (*over, waiting)] == [
            *[404] * 3,
            200,
        ]
        assert await states(http) == {"queued": 1}


async def test_what_is_purged_answers_for_nothing_any_more(running_hub: RunningHub) -> None:
    """Its key makes a new task: answered with the id of the old one, that work would never be done."""
    async with running_hub.http() as http:
        (purged,) = await many(http, 1, idempotency_key="once", labels={"k": "v"})
        await told(http, "cancel", {"label": "k=v"}, dry_run=False)
        await many(http, 1)
        assert (await told(http, "purge", {"label": "k=v"}, dry_run=False))["done"] == 1
        for verb in ("retry", "cancel"):
            assert (await http.post(f"/api/tasks/{purged}/{verb}")).status_code == 404
        after = await http.post("/api/tasks", json={"description": "x", "depends_on": [purged]})
        assert after.status_code == 422
        (again,) = await many(http, 1, idempotency_key="once", labels={"k": "v"})
        assert again != purged
        assert (await http.get(f"/api/tasks/{again}")).json()["state"] == "queued"


async def test_the_newest_task_is_never_purged(running_hub: RunningHub) -> None:
    """Its number would be given again, and lists go by numbers."""
    async with running_hub.http() as http:
        ids = await many(http, 2, labels={"k": "v"})
        await told(http, "cancel", {"label": "k=v"}, dry_run=False)
        assert (await told(http, "purge", {"label": "k=v"}, dry_run=False))["done"] == 1
        assert (await http.get(f"/api/tasks/{ids[1]}")).status_code == 200


async def test_more_than_one_call_may_do_is_said_and_done_by_saying_it_again(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the edge: as many as a call may do are all there is, and one more is `more`."""
    monkeypatch.setattr(picks, "PICKED_MAX", 5)
    monkeypatch.setattr(picks, "PAGE_PICKS", 2)
    monkeypatch.setattr(bulk, "CHUNK_LETTERS", 2)
    async with running_hub.http() as http:
        await many(http, 5)
        assert (await told(http, "cancel", {"state": "queued"}))["more"] is False
        await many(http, 1)
        first = await told(http, "cancel", {"state": "queued"}, dry_run=False, expect=5)
        assert (first["count"], first["done"], first["more"]) == (5, 5, True)
        second = await told(http, "cancel", {"state": "queued"}, dry_run=False)
        assert (second["count"], second["done"], second["more"]) == (1, 1, False)


async def test_a_search_goes_on_below_what_one_read_looks_at(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picks, "SCAN_ROWS_MAX", 3)
    async with running_hub.http() as http:
        ids = await many(http, 2, labels={"k": "v"})
        await many(http, 8)
        found = await told(http, "cancel", {"label": "k=v"})
        assert found["sample"] == [ids[1], ids[0]]


async def test_a_full_disk_in_the_middle_says_what_is_done(running_hub: RunningHub) -> None:
    """The retries are new tasks, and there is no room for those: none is half there."""
    async with running_hub.http() as http:
        await many(http, 3)
        await told(http, "cancel", {"state": "queued"}, dry_run=False)
        running_hub.parts.ledger.free_bytes_min = 1 << 62
        body = {"action": "retry", "filter": {"state": "cancelled"}, "dry_run": False}
        answer = await http.post("/api/tasks/bulk", json=body)
        assert (answer.status_code, answer.json()["error"]) == (503, "storage_full")
        assert (answer.json()["done"], answer.json()["refused"]) == (0, 0)
        running_hub.parts.ledger.free_bytes_min = 0
        assert (await told(http, "retry", {"state": "cancelled"}, dry_run=False))["done"] == 3


async def test_the_audit_says_who_did_what_to_how_many(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        await many(http, 2)
        await told(http, "cancel", {"state": "queued"}, dry_run=False)
    await running_hub.parts.audit.flush()

    def look(connection: apsw.Connection) -> list[tuple[str, str]]:
        sql = "SELECT action, detail FROM audit WHERE action LIKE 'tasks_cancel_%' ORDER BY number"
        return [(str(row[0]), str(row[1])) for row in connection.execute(sql)]

    found = await running_hub.parts.ledger.look(look)
    assert [action for action, _ in found] == ["tasks_cancel_begun", "tasks_cancel_ended"]
    assert "2 done" in found[1][1]
    assert "queued" in found[1][1]


def test_what_is_done_to_which_state_is_written_down() -> None:
    assert set(STOPPABLE) == {"queued", "assigned", "running", "input_required", "recovering"}
    assert set(UNDONE) == {"failed", "dead_letter", "cancelled"}
