"""/openapi.json, /asyncapi.json and /docs: what the API is, generated from the types that the code decodes
with.

Owns the two generated documents and the plain page that lists them. Never describes anything by hand that
a type or the table of routes already says.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

from hub.api.problems import TITLES
from protocol import limits
from protocol.close import CLOSE_RULES
from protocol.frames import AGENT_FRAMES, HUB_FRAMES, Frame, frame_type

if TYPE_CHECKING:
    from hub.api.endpoint import Endpoint

SCHEMA_PLACE: Final = "#/components/schemas/{name}"
PROBLEM_NAME: Final = "Problem"

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "type", "title", "status", "detail"],
    "properties": {
        "error": {"type": "string"},
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}

ANYTHING: Final[dict[str, Any]] = {"description": "Any JSON value."}


def free_form(kind: type) -> dict[str, Any]:
    """Raw members are any JSON."""
    assert kind in (msgspec.Raw, object), f"{kind} has no schema"
    return dict(ANYTHING)


def components(kinds: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    schemas, parts = msgspec.json.schema_components(kinds, schema_hook=free_form, ref_template=SCHEMA_PLACE)
    return list(schemas), parts


def openapi(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The HTTP face as OpenAPI 3.1."""
    kinds = [k for e in endpoints for k in (e.body, e.reply) if k is not None]
    schemas, parts = components(kinds)
    schema_of = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Crewhub",
            "version": version,
            "summary": "Dispatch work to agents, watch it, stop it, trust it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**parts, PROBLEM_NAME: PROBLEM_SCHEMA},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def operation(endpoint: Endpoint, schema_of: dict[int, dict[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": operation_id(endpoint),
        "tags": [endpoint.tag],
        "parameters": parameters(endpoint),
        "responses": responses(endpoint, schema_of),
        "security": [] if endpoint.needs is None else [{"bearer": []}],
    }
    if endpoint.needs is not None:
        said["description"] = f"Needs the scope `{endpoint.needs.value}`."
    if endpoint.body is not None:
        said["requestBody"] = {"content": {"application/json": {"schema": schema_of[id(endpoint.body)]}}}
    return said


def operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[a-z0-9]+", f"{endpoint.method} {endpoint.path}".lower())
    return "_".join(words)


def parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    in_query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in endpoint.query]
    return in_path + in_query


def responses(endpoint: Endpoint, schema_of: dict[int, dict[str, Any]]) -> dict[str, Any]:
    content = (
        {} if endpoint.reply is None else {"application/json": {"schema": schema_of[id(endpoint.reply)]}}
    )
    said: dict[str, Any] = {str(endpoint.status): {"description": endpoint.summary, "content": content}}
    refusals = {*endpoint.refusals, *(() if endpoint.needs is None else (401, 403))}
    for status in sorted(refusals):
        said[str(status)] = {
            "description": TITLES[status],
            "content": {"application/json": {"schema": {"$ref": SCHEMA_PLACE.format(name=PROBLEM_NAME)}}},
        }
    return said


def asyncapi(version: str) -> dict[str, Any]:
    """The agent WebSocket as AsyncAPI 3."""
    schemas, parts = components([*AGENT_FRAMES, *HUB_FRAMES])
    by_frame = dict(zip([*AGENT_FRAMES, *HUB_FRAMES], schemas, strict=True))
    messages = {
        message_name(kind, HUB_FRAMES): {"name": frame_type(kind), "payload": schema}
        for kind, schema in by_frame.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Crewhub agent socket", "version": version, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "channels": {
            "agent": {
                "address": "/ws",
                "description": f"One message is a frame, or (v2) an array of at most "
                f"{limits.FRAMES_PER_MESSAGE_MAX} frames.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "hear": said_by("receive", AGENT_FRAMES, "What an agent says to the hub."),
            "say": said_by("send", HUB_FRAMES, "What the hub says to an agent."),
        },
        "components": {"messages": messages, "schemas": parts},
        "x-close-codes": {
            str(int(code)): {"sentence": rule.sentence, "come_back": rule.comeback.value}
            for code, rule in CLOSE_RULES.items()
        },
    }


def message_name(kind: type[Frame], hub_frames: Sequence[type[Frame]]) -> str:
    return f"{'hub' if kind in hub_frames else 'agent'}_{frame_type(kind)}"


def said_by(action: str, frames: Sequence[type[Frame]], summary: str) -> dict[str, Any]:
    names = [message_name(kind, HUB_FRAMES) for kind in frames]
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/agent"},
        "messages": [{"$ref": f"#/channels/agent/messages/{name}"} for name in names],
    }


def docs_page(endpoints: Sequence[Endpoint]) -> Response:
    """A plain list, readable without a script, under the page's own strict policy."""
    rows = "".join(
        f"<tr><td>{html.escape(e.method)}</td><td><code>{html.escape(e.path)}</code></td>"
        f"<td>{html.escape(e.summary)}</td>"
        f"<td>{html.escape(e.needs.value if e.needs else 'anyone')}</td></tr>"
        for e in endpoints
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Crewhub API</title>'
        '<link rel="stylesheet" href="/web/page.css"></head><body><main><h1>Crewhub API</h1>'
        '<p>Machine-readable: <a href="/openapi.json">OpenAPI</a> for HTTP, '
        '<a href="/asyncapi.json">AsyncAPI</a> for the agent socket.</p>'
        f"<table><thead><tr><th>Method<th>Path<th>What it does<th>Needs</tr></thead><tbody>{rows}"
        "</tbody></table></main></body></html>"
    )
    return Response(page, media_type="text/html")
