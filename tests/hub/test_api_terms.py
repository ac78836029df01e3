"""What a task may ask of the queue, over HTTP: every field there and back, and each limit at its edge."""

from __future__ import annotations

from typing import Any, Final

import httpx
import msgspec
import pytest

from hub.api.bodies import KEY_LENGTH_MAX
from hub.api.bodies_tasks import (
    ACCEPT_MS_MAX,
    ACCEPT_MS_MIN,
    BACKOFF_MS_MAX,
    DEMANDED_LABELS_MAX,
    DEPENDENCIES_MAX,
    LEASE_MS_MAX,
    LEASE_MS_MIN,
    LIMIT_MAX,
    PROGRESS_MS_MIN,
    RATE_COUNT_MAX,
    RATE_PER_MS_MAX,
    SLOT_LENGTH_MAX,
    TIMEOUT_MS_MAX,
    PushTaskBody,
    TaskBody,
    fingerprint,
)
from protocol.limits import NAME_LENGTH_MAX
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.test_api_submit import connected, problem

FAR_MS: Final = 4_000_000_000_000

EVERYTHING: Final[dict[str, Any]] = {
    "description": "line one\nline two",
    "metadata": {"a": [1, 2.5, None, "ü\u2028"], "streamId": "not this one"},
    "priority": "urgent",
    "assign_to": "ada",
    "needed_capabilities": ["research"],
    "plugin": "digest",
    "inputs": {"topics": ["space"]},
    "labels": {"batch": "monday"},
    "attempts_max": 4,
    "timeout_ms": 60_000,
    "start_by": FAR_MS,
    "run_at": 1_000,
    "stream_id": "channel",
    "idempotency_key": "once",
    "backoff": {"first_ms": 500, "max_ms": 90_000, "jitter": "full"},
    "unique_key": "only",
    "depends_on": [],
    "needed_labels": {"zone": "eu"},
    "preferred_labels": {"disk": "fast"},
    "slot": "gpu",
    "sticky_key": "user 7",
    "concurrency_key": "user 7",
    "limit": 2,
    "rate": {"count": 3, "per_ms": 60_000},
    "accept_timeout_ms": 20_000,
    "lease_ms": 60_000,
    "progress_timeout_ms": 30_000,
}
SECRET_FIELDS: Final = {"idempotency_key"}
"""Who knows it can claim the push: it is shown to nobody."""


async def created(http: httpx.AsyncClient, **body: Any) -> str:
    answer = await http.post("/api/tasks", json={"description": "x"} | body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["task_id"])


async def test_every_field_of_a_task_survives_to_its_row_its_view_and_its_order(
    running_hub: RunningHub,
) -> None:
    """L56: a new field dropped at one of four hand-copied layers. A field that is added to the body and not
    here fails this test.
    """
    assert set(EVERYTHING) == set(TaskBody.__struct_fields__)
    async with running_hub.http() as http:
        first = await created(http)
        body = EVERYTHING | {"depends_on": [first]}
        answer = await http.post("/api/tasks", json=body)
        assert answer.status_code == 201, answer.text
        task_id = answer.json()["task_id"]
        live = (await http.get(f"/api/tasks/{task_id}")).json()
        assert live["waits_for"] == [first]
        row = next(
            task for task in (await http.get("/api/tasks")).json()["tasks"] if task["task_id"] == task_id
        )
        for name, value in body.items():
            if name not in SECRET_FIELDS:
                assert live[name] == value, name
                assert row[name] == value, name
        peer = await connected(
            running_hub,
            "ada",
            plugins=["digest"],
            capabilities=["research"],
            labels={"zone": "eu"},
            slot_kinds={"gpu": 1},
        )
        await complete_next(peer, first)
        order = await peer.hear("task_assign")
    assert order["task_id"] == task_id
    for name in ("description", "metadata", "plugin", "inputs", "attempts_max", "slot"):
        assert order[name] == body[name], name
    assert 0 < order["deadline_ms"] <= 60_000


async def complete_next(peer: V2Peer, task_id: str) -> None:
    order = await peer.hear("task_assign")
    assert order["task_id"] == task_id
    await peer.say(peer.fact("task_accepted", order), peer.fact("task_complete", order, result=1))


async def test_a_push_to_one_agent_asks_nothing_of_the_queue(running_hub: RunningHub) -> None:
    """Its fields are the contract's and no others: unknown ones are left alone, as ever."""
    body = {"agent_id": "ada", "description": "x", "queue": True, "unique_key": "u", "slot": "gpu"}
    async with running_hub.http() as http:
        answer = await http.post("/api/admin/push-task", json=body)
        task = (await http.get(f"/api/tasks/{answer.json()['task_id']}")).json()
    assert answer.status_code == 202
    assert (task["unique_key"], task["slot"]) == (None, None)
    assert "unique_key" not in PushTaskBody.__struct_fields__


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("accept_timeout_ms", ACCEPT_MS_MIN, ACCEPT_MS_MAX),
        ("lease_ms", LEASE_MS_MIN, LEASE_MS_MAX),
        ("progress_timeout_ms", PROGRESS_MS_MIN, TIMEOUT_MS_MAX),
        ("timeout_ms", 1, TIMEOUT_MS_MAX),
        ("limit", 1, LIMIT_MAX),
        ("rate.count", 1, RATE_COUNT_MAX),
        ("rate.per_ms", 1, RATE_PER_MS_MAX),
        ("backoff.first_ms", 1, BACKOFF_MS_MAX),
        ("backoff.max_ms", 1, BACKOFF_MS_MAX),
    ],
)
async def test_each_number_holds_at_both_of_its_edges(
    running_hub: RunningHub, field: str, least: int, most: int
) -> None:
    async with running_hub.http() as http:
        for value, status in ((least, 201), (most, 201), (least - 1, 422), (most + 1, 422)):
            answer = await http.post("/api/tasks", json=with_field(field, value))
            assert answer.status_code == status, (field, value, answer.text)
            if status == 422:
                assert problem(answer)["errors"][0]["field"] == field


def with_field(path: str, value: int) -> dict[str, Any]:
    name, _, member = path.partition(".")
    body: dict[str, Any] = {"description": "x", "concurrency_key": "k"}
    whole = {"count": 1, "per_ms": 1} if name == "rate" else {}
    return body | {name: whole | {member: value} if member else value}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slot": "k" * (SLOT_LENGTH_MAX + 1)}, "slot"),
        ({"slot": ""}, "slot"),
        ({"sticky_key": "k" * (KEY_LENGTH_MAX + 1)}, "sticky_key"),
        ({"concurrency_key": ""}, "concurrency_key"),
        ({"unique_key": "k" * (KEY_LENGTH_MAX + 1)}, "unique_key"),
        ({"limit": 1}, "limit"),
        ({"rate": {"count": 1, "per_ms": 1}}, "rate"),
        ({"rate": {"count": 1}, "concurrency_key": "k"}, "rate.per_ms"),
        ({"backoff": {"first_ms": 2, "max_ms": 1}}, "backoff.max_ms"),
        ({"backoff": {"jitter": "none"}}, "backoff.jitter"),
        ({"needed_labels": {"a": ""}}, "needed_labels"),
        ({"needed_labels": dict.fromkeys(map(str, range(DEMANDED_LABELS_MAX + 1)), "x")}, "needed_labels"),
        ({"preferred_labels": {"a": 1}}, "preferred_labels"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"k" * (NAME_LENGTH_MAX + 1): "x"}}, "labels"),
        ({"depends_on": ["task-1"] * (DEPENDENCIES_MAX + 1)}, "depends_on"),
        ({"depends_on": ["task-nowhere"]}, "depends_on"),
        ({"depends_on": ["@first"]}, "depends_on"),
        ({"depends_on": "task-1"}, "depends_on"),
    ],
)
async def test_a_wrong_term_is_422_and_named(
    running_hub: RunningHub, body: dict[str, Any], field: str
) -> None:
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks", json={"description": "x"} | body)
    assert answer.status_code == 422, answer.text
    assert problem(answer)["errors"][0]["field"].startswith(field)


async def test_the_longest_words_and_the_most_dependencies_are_taken(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        first = await created(http)
        task_id = await created(
            http,
            slot="k" * SLOT_LENGTH_MAX,
            unique_key="k" * KEY_LENGTH_MAX,
            needed_labels=dict.fromkeys(map(str, range(DEMANDED_LABELS_MAX)), "x"),
            labels={"k" * NAME_LENGTH_MAX: "v" * NAME_LENGTH_MAX},
            depends_on=[first] * DEPENDENCIES_MAX,
        )
    assert (await running_hub.task(task_id))["depends_on"] == [first], "each once"


async def test_what_a_backoff_leaves_out_is_as_everywhere_else(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        tasks = [
            await running_hub.task(await created(http, backoff=backoff))
            for backoff in ({}, {"max_ms": 1_000}, {"first_ms": 600_000})
        ]
    assert [(task["backoff"]["first_ms"], task["backoff"]["max_ms"]) for task in tasks] == [
        (2_000, 300_000),
        (1_000, 1_000),
        (600_000, 600_000),
    ]
    assert {task["backoff"]["jitter"] for task in tasks} == {"half"}


async def test_a_unique_key_that_is_held_is_409_and_names_its_holder(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        first = await created(http, unique_key="only", idempotency_key="i")
        assert await created(http, unique_key="only", idempotency_key="i") == first
        held = await http.post("/api/tasks", json={"description": "y", "unique_key": "only"})
        assert (await http.post(f"/api/tasks/{first}/cancel", json={})).status_code == 200
        second = await created(http, unique_key="only")
        retried = await http.post(f"/api/tasks/{first}/retry", json={})
    assert (held.status_code, problem(held)["error"], held.json()["task_id"]) == (
        409,
        "unique_key_held",
        first,
    )
    assert (retried.status_code, retried.json()["task_id"]) == (409, second)


async def test_a_dependency_that_fails_fails_its_dependants_and_says_why(running_hub: RunningHub) -> None:
    """L19: a dead dependency blocks its dependants silently for ever."""
    async with running_hub.http() as http:
        first = await created(http)
        second = await created(http, depends_on=[first])
        assert (await http.post(f"/api/tasks/{first}/cancel", json={})).status_code == 200
        task = await running_hub.becomes(second, "failed")
        late = await created(http, depends_on=[first])
        late_task = await running_hub.becomes(late, "failed")
    for one in (task, late_task):
        assert one["ending"]["how"] == "dependency_failed"
        assert one["ending"]["whose_fault"] == "person"
        assert first in one["error"]
        assert "cancelled" in one["error"]


def test_fields_that_are_not_said_do_not_change_what_a_key_stands_for() -> None:
    """A hub that is upgraded still knows the requests of the day before: these are its digests."""
    whole = {
        "description": "x",
        "metadata": {"a": [1, 2.5, None]},
        "priority": "high",
        "assign_to": "ada",
        "needed_capabilities": ["b", "a"],
        "plugin": "p",
        "inputs": {"t": 1},
        "labels": {"k": "v"},
        "attempts_max": 2,
        "timeout_ms": 5,
        "start_by": 7,
        "run_at": 6,
        "stream_id": "s",
        "idempotency_key": "k",
    }
    text = b'{"description":"x","metadata":{"a": [1, 2.5, null]},"inputs":{"t": 1}}'
    body = msgspec.structs.replace(
        msgspec.convert(
            {name: value for name, value in whole.items() if name not in ("metadata", "inputs")}, TaskBody
        ),
        metadata=msgspec.json.decode(text, type=TaskBody).metadata,
        inputs=msgspec.json.decode(text, type=TaskBody).inputs,
    )
    assert fingerprint(body) == "735e6d90ac53baa494f5b25be6825c3848a60ab52c677f56cf34a6a8af1590c9"
    bare = msgspec.json.decode(b'{"description":"x"}', type=TaskBody)
    assert fingerprint(bare) == "5b7ea8dc57b5278b99ecb907d8997291321fcb541a086caa3c6e67e8cae5cdee"
    push = msgspec.json.decode(b'{"agent_id":"ada","description":"x"}', type=PushTaskBody)
    assert fingerprint(push) == "ed53aa858ab5a064b3c006d86b190ddc470ce06412b5f298d9a3516a88ce0fa9"
    assert fingerprint(msgspec.structs.replace(bare, slot="gpu")) != fingerprint(bare)
