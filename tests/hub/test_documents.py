"""The generated documents: valid, whole, and made from the types that the code decodes with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from openapi_spec_validator import validate

from hub.api.documents import asyncapi, openapi
from hub.api.routes import DOCUMENTED
from hub.auth import Scope
from protocol.frames import AGENT_FRAMES, HUB_FRAMES, frame_type
from tests.hub.conftest import RunningHub

CONTRACT = """
POST /api/admin/push-task
POST /api/tasks
POST /api/tasks/batch
GET /api/tasks
GET /api/tasks/{task_id}
GET /api/tasks/{task_id}/events
GET /api/tasks/{task_id}/log
GET /api/tasks/{task_id}/explain
GET /api/tasks/dead-letter
GET /api/tasks/stats
POST /api/tasks/{task_id}/cancel
POST /api/tasks/{task_id}/retry
POST /api/tasks/{task_id}/input
GET /api/agents
GET /api/feed
GET /api/agents/{agent_id}
POST /api/agents/{agent_id}/pause
POST /api/agents/{agent_id}/resume
POST /api/agents/{agent_id}/drain
POST /api/agents/{agent_id}/disconnect
GET /api/fleet/explain
POST /api/message
GET /api/mailbox/{agent_id}
POST /api/mailbox/{agent_id}/ack
POST /admin/tokens
GET /admin/tokens
DELETE /admin/tokens/{token_id}
POST /api/onboard/register
GET /health
GET /health/live
GET /health/ready
GET /metrics
GET /openapi.json
GET /asyncapi.json
GET /docs
"""


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(document: Any, reference: str) -> Any:
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_promised_route_is_in_the_table() -> None:
    rows = {f"{endpoint.method} {endpoint.path}" for endpoint in DOCUMENTED}
    assert {line for line in CONTRACT.splitlines() if line} <= rows


def test_routes_are_closed_unless_they_are_meant_for_anyone() -> None:
    open_to_all = {e.path for e in DOCUMENTED if e.needs is None}
    assert open_to_all == {
        "/api/hooks/{name}",  # signed
        "/api/callbacks/{task_id}",  # signed, or with the token of this very call
        "/api/onboard/register",
        "/api/session",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/asyncapi.json",
        "/docs",
    }
    for endpoint in DOCUMENTED:
        if endpoint.path.startswith("/admin/"):
            assert endpoint.needs is Scope.TOKENS_ADMIN


def test_the_openapi_document_is_valid() -> None:
    document = msgspec.json.decode(msgspec.json.encode(openapi(DOCUMENTED, "1.2.3")))
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "PushTaskBody" in document["components"]["schemas"]


def test_the_asyncapi_document_names_every_frame_and_resolves() -> None:
    document = msgspec.json.decode(msgspec.json.encode(asyncapi("1.2.3")))
    assert document["asyncapi"].startswith("3.")
    for reference in references(document):
        assert resolved(document, reference) is not None
    names = {message["name"] for message in document["components"]["messages"].values()}
    assert names == {frame_type(kind) for kind in (*AGENT_FRAMES, *HUB_FRAMES)}
    assert document["x-close-codes"]["4409"]["come_back"].startswith("never")


async def test_the_documents_are_served_to_anyone(running_hub: RunningHub) -> None:
    async with running_hub.http("nothing") as http:
        for path in ("/openapi.json", "/asyncapi.json"):
            answer = await http.get(path)
            assert answer.status_code == 200
            json.loads(answer.text)
        docs = await http.get("/docs")
    assert docs.headers["content-type"].startswith("text/html")
    assert "/api/admin/push-task" in docs.text


async def test_every_answer_has_the_security_headers_and_a_request_id(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        answers = [
            await http.get("/", headers={"X-Request-Id": "my-id.1"}),
            await http.get("/api/tasks", headers={"X-Request-Id": "not\tan id"}),
            await http.get("/nowhere"),
            await http.get("/web/page.js"),
        ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
    assert answers[0].headers["x-request-id"] == "my-id.1"
    assert len(answers[1].headers["x-request-id"]) == 16


async def test_the_page_is_served_with_fingerprints_and_knows_no_stranger(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        page = await http.get("/")
        found = re.search(r'<script type="module" src="(/web/[^"]+)"', page.text)
        assert found is not None
        script = await http.get(found[1])
        unchanged = await http.get(found[1], headers={"If-None-Match": script.headers["etag"]})
        outside = await http.get("/web/../app.py")
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert (script.status_code, unchanged.status_code, outside.status_code) == (200, 304, 404)


async def test_health_says_how_it_is(running_hub: RunningHub) -> None:
    async with running_hub.http("nothing") as http:
        health, live, ready, metrics = [
            await http.get(path) for path in ("/health", "/health/live", "/health/ready", "/metrics")
        ]
        behind_proxy = await http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert health.json() == {"status": "ok", "service": "crewhub", "agents_connected": 0}
    assert live.json() == {"status": "alive"}
    assert (ready.json()["status"], ready.json()["durability"]) == ("ready", "local")
    assert "hub_agents_connected 0.0" in metrics.text
    assert behind_proxy.status_code == 401
