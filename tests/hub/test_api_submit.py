"""Pushing over HTTP: bodies and statuses as contracts §2 has them, each limit at its edge."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from hub.api.bodies import KEY_LENGTH_MAX
from hub.api.bodies_tasks import ATTEMPTS_MAX, BATCH_TASKS_MAX
from hub.api.endpoint import BODY_BYTES_MAX
from hub.auth import Role
from protocol.limits import DESCRIPTION_BYTES_MAX, METADATA_BYTES_MAX
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer

PUSH = "/api/admin/push-task"


async def connected(hub: RunningHub, name: str, **more: Any) -> V2Peer:
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(name))
    assert (await peer.identify(name, **more))["type"] == "identified"
    return peer


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The body of a refusal, which both kinds of reader must be able to read."""
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert {"error", "type", "title", "detail"} <= set(body)
    return body


@pytest.mark.parametrize(
    "body", [{}, {"agent_id": "ada"}, {"description": "x"}, {"agent_id": "", "description": "x"}]
)
async def test_a_push_without_agent_or_description_names_both(
    running_hub: RunningHub, body: dict[str, Any]
) -> None:
    async with running_hub.http() as http:
        answer = await http.post(PUSH, json=body)
    assert answer.status_code == 400
    assert problem(answer)["error"] == "missing required fields: agent_id, description"


async def test_a_push_to_nobody_is_refused_unless_it_may_wait(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        refused = await http.post(PUSH, json={"agent_id": "ada", "description": "x"})
        queued = await http.post(PUSH, json={"agent_id": "ada", "description": "x", "queue": True})
    assert refused.status_code == 404
    assert (problem(refused)["error"], problem(refused)["agent_id"]) == ("agent_not_connected", "ada")
    assert queued.status_code == 202
    assert queued.json() | {"task_id": ""} == {
        "status": "queued",
        "task_id": "",
        "agent_id": "ada",
        "state": "queued",
    }


@pytest.mark.parametrize("agent_id", ["hub:streams", "hub:webhooks", "hub:nobody"])
async def test_no_task_waits_for_an_agent_inside_the_hub_that_will_never_take_it(
    running_hub: RunningHub, agent_id: str
) -> None:
    """Only runs go out by streams, and there are no calls here: it would be in the queue for ever."""
    pushed = {"agent_id": agent_id, "description": "x", "queue": True}
    created = {"assign_to": agent_id, "description": "x"}
    async with running_hub.http() as http:
        for path, body in (("/api/admin/push-task", pushed), ("/api/tasks", created)):
            answer = await http.post(path, json=body)
            assert answer.status_code == 422, answer.text
            assert problem(answer)["errors"][0]["field"] in body
        (item,) = (await http.post("/api/tasks/batch", json={"tasks": [created]})).json()["items"]
    assert item["code"] == 422
    assert not running_hub.parts.board.open_tasks()


async def test_a_push_to_a_live_agent_is_assigned_and_the_next_one_waits(running_hub: RunningHub) -> None:
    await connected(running_hub, "ada")
    async with running_hub.http() as http:
        first = await http.post(PUSH, json={"agent_id": "ada", "description": "x"})
        second = await http.post(PUSH, json={"agent_id": "ada", "description": "y", "queue": True})
    assert (first.status_code, second.status_code) == (200, 200)
    assert [a.json()["status"] for a in (first, second)] == ["pushed", "pushed"]
    assert [a.json()["state"] for a in (first, second)] == ["assigned", "queued"]


async def test_every_field_of_a_push_survives_to_the_assign(running_hub: RunningHub) -> None:
    """L56: a new field dropped at one of four hand-copied layers."""
    peer = await connected(running_hub, "ada", plugins=["digest"])
    metadata = {"a": [1, 2.5, None, "ü\u2028"], "b": {"c": True}}
    body = {
        "agent_id": "ada",
        "description": "line one\nline two",
        "metadata": metadata,
        "plugin": "digest",
        "inputs": {"topics": ["space"]},
        "attempts_max": 3,
        "timeout_ms": 60_000,
    }
    async with running_hub.http() as http:
        pushed = await http.post(
            PUSH, json=body, headers={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
        )
    assert pushed.status_code == 200, pushed.text
    assigned = await peer.hear("task_assign")
    for name in ("description", "metadata", "plugin", "inputs", "attempts_max"):
        assert assigned[name] == body[name], name
    assert 0 < assigned["deadline_ms"] <= 60_000
    assert assigned["attempt"] == 1
    assert assigned["trace"].startswith("00-")
    task = await running_hub.task(pushed.json()["task_id"])
    for name in ("description", "metadata", "plugin", "inputs", "attempts_max"):
        assert task[name] == body[name], name


async def test_a_queued_task_is_201_with_its_priority_as_a_word(running_hub: RunningHub) -> None:
    """L57: priority in as a word, out as a number."""
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks", json={"description": "x", "priority": "urgent"})
        task = await http.get(f"/api/tasks/{answer.json()['task_id']}")
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["priority"]) == ("queued", "urgent")
    assert task.json()["priority"] == "urgent"
    assert task.json()["id"] == task.json()["task_id"]
    assert task.json()["status"] == task.json()["state"] == "queued"
    assert task.json()["attempts_max"] == 3


async def test_the_same_key_and_body_is_the_same_task_and_another_body_is_409(
    running_hub: RunningHub,
) -> None:
    body = {"description": "x"}
    async with running_hub.http() as http:
        first = await http.post("/api/tasks", json=body, headers={"Idempotency-Key": "k1"})
        again = await http.post("/api/tasks", json=body | {"idempotency_key": "k1"})
        other = await http.post("/api/tasks", json={"description": "y", "idempotency_key": "k1"})
        both = await http.post(
            "/api/tasks", json=body | {"idempotency_key": "k2"}, headers={"Idempotency-Key": "k1"}
        )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["task_id"] == again.json()["task_id"]
    assert other.status_code == 409
    assert problem(other)["error"] == "key_reused"
    assert both.status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"description": 5}, "description"),
        ({"description": "x", "priority": "soon"}, "priority"),
        ({"description": "x", "attempts_max": 0}, "attempts_max"),
        ({"description": "x", "attempts_max": ATTEMPTS_MAX + 1}, "attempts_max"),
        ({"description": "x", "attempts_max": True}, "attempts_max"),
        ({"description": "x", "metadata": [1]}, "metadata"),
        ({"description": "x", "metadata": {"a": "\x00"}}, "metadata"),
        ({"description": "a\x00b"}, "description"),
        ({"description": "x", "needed_capabilities": ["a", 1]}, "needed_capabilities"),
        ({"description": "x", "idempotency_key": "k" * (KEY_LENGTH_MAX + 1)}, "idempotency_key"),
        ({"description": "x", "unique_key": ""}, "unique_key"),
        ({"description": "x", "depends_on": ["@a"]}, "depends_on"),
    ],
)
async def test_a_wrong_field_is_422_and_named(
    running_hub: RunningHub, body: dict[str, Any], field: str
) -> None:
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks", json=body)
    assert answer.status_code == 422, answer.text
    found = problem(answer)
    assert found["error"] == "validation_failed"
    assert found["errors"][0]["field"].startswith(field)


async def test_a_task_without_description_is_400(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks", json={})
        garbage = await http.post("/api/tasks", content=b"{nope")
        not_object = await http.post("/api/tasks", content=b"[1]")
        latin = await http.post("/api/tasks", content='{"description":"é"}'.encode("latin-1"))
    assert answer.status_code == 400
    assert (garbage.status_code, problem(garbage)["error"]) == (400, "invalid_json")
    assert not_object.status_code == 422
    assert latin.status_code == 400


async def test_a_description_may_have_64_kib_and_no_byte_more(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        fits = await http.post("/api/tasks", json={"description": "x" * DESCRIPTION_BYTES_MAX})
        wide = await http.post("/api/tasks", json={"description": "ü" * (DESCRIPTION_BYTES_MAX // 2)})
        more = await http.post("/api/tasks", json={"description": "x" * (DESCRIPTION_BYTES_MAX + 1)})
    assert (fits.status_code, wide.status_code, more.status_code) == (201, 201, 413)


async def test_metadata_and_bodies_have_their_limits(running_hub: RunningHub) -> None:
    def metadata_of(size: int) -> bytes:
        filler = "x" * (size - len('{"a":""}'))
        return b'{"description":"x","metadata":{"a":"' + filler.encode() + b'"}}'

    async with running_hub.http() as http:
        fits = await http.post("/api/tasks", content=metadata_of(METADATA_BYTES_MAX))
        more = await http.post("/api/tasks", content=metadata_of(METADATA_BYTES_MAX + 1))
        huge = await http.post("/api/tasks", content=b" " * (BODY_BYTES_MAX + 1))
    assert fits.status_code == 201, fits.text
    assert more.status_code == 413
    assert huge.status_code == 413


async def test_a_batch_answers_each_item_alone(running_hub: RunningHub) -> None:
    items: list[Any] = [
        {"description": "one", "idempotency_key": "b1"},
        {"description": "two", "priority": "soon"},
        "nonsense",
        {"description": "one", "idempotency_key": "b1"},
        {"description": "three", "idempotency_key": "b1"},
    ]
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks/batch", json={"tasks": items})
        too_many = await http.post("/api/tasks/batch", json={"tasks": [1] * (BATCH_TASKS_MAX + 1)})
        empty = await http.post("/api/tasks/batch", json={"tasks": []})
    assert answer.status_code == 200, answer.text
    told = answer.json()["items"]
    assert [item["code"] for item in told] == [201, 422, 422, 201, 409]
    assert told[0]["task_id"] == told[3]["task_id"]
    assert too_many.status_code == 422
    assert empty.json() == {"items": []}


async def test_a_batch_of_thousands_is_one_answer(running_hub: RunningHub) -> None:
    tasks = [{"description": str(n)} for n in range(1_000)]
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks/batch", content=json.dumps({"tasks": tasks}))
        stats = await http.get("/api/tasks/stats")
    assert {item["code"] for item in answer.json()["items"]} == {201}
    assert stats.json()["states"]["queued"] == 1_000


@pytest.mark.parametrize("path", [PUSH, "/api/tasks", "/api/tasks/batch"])
async def test_who_may_not_push_is_told_what_it_takes(running_hub: RunningHub, path: str) -> None:
    viewer = await running_hub.token(role=Role.VIEWER)
    async with running_hub.http(viewer) as http:
        forbidden = await http.post(path, json={})
    async with httpx.AsyncClient(base_url=running_hub.address) as nobody:
        unauthorized = await nobody.post(path, json={})
    assert (forbidden.status_code, problem(forbidden)["needs"]) == (403, "dispatcher")
    assert unauthorized.status_code == 401
    assert problem(unauthorized)["hint"] == "provide Authorization: Bearer <token>"


async def test_an_unknown_route_is_404_with_a_reason(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        answer = await http.get("/api/nothing")
        wrong_method = await http.put("/api/tasks", json={})
    assert (answer.status_code, problem(answer)["error"]) == (404, "not_found")
    assert wrong_method.status_code == 405
