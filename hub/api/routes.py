"""The table of routes: every row of the HTTP face, in the order in which paths are tried.

Owns the order and the documents made from the table. Adding a route means adding a row to its resource's
file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.api import (
    agents,
    batch,
    bulk,
    dead,
    exports,
    fleet,
    health,
    hooks,
    messages,
    plugins,
    prune,
    runs,
    schedules,
    sessions,
    submit,
    tasks,
    tokens,
    webhooks,
)
from hub.api.documents import asyncapi, docs_page, openapi
from hub.api.endpoint import Call, Endpoint, as_route
from hub.auth import Scope
from hub.version import VERSION
from hub.web.pages import web_routes

if TYPE_CHECKING:
    from hub.parts import Parts


def as_json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


async def openapi_document(call: Call) -> Response:
    return as_json(openapi(DOCUMENTED, VERSION))


async def asyncapi_document(call: Call) -> Response:
    return as_json(asyncapi(VERSION))


async def docs(call: Call) -> Response:
    return docs_page(DOCUMENTED)


DOCUMENTS: Final = (
    Endpoint("GET", "/openapi.json", "This API as OpenAPI", openapi_document, None, tag="documents"),
    Endpoint(
        "GET", "/asyncapi.json", "The agent socket as AsyncAPI", asyncapi_document, None, tag="documents"
    ),
    Endpoint("GET", "/docs", "This API for people", docs, None, tag="documents"),
)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *submit.ENDPOINTS,
    *batch.ENDPOINTS,
    *bulk.ENDPOINTS,
    *dead.ENDPOINTS,
    *exports.ENDPOINTS,
    *tasks.ENDPOINTS,
    *plugins.ENDPOINTS,
    *runs.ENDPOINTS,
    *schedules.ENDPOINTS,
    *hooks.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *agents.ENDPOINTS,
    *fleet.ENDPOINTS,
    *messages.ENDPOINTS,
    *tokens.ENDPOINTS,
    *sessions.ENDPOINTS,
    *prune.ENDPOINTS,
    *health.ENDPOINTS,
    *DOCUMENTS,
)


async def served_apart(call: Call) -> Response:
    """The feed is a stream with a watcher of its own (`hub/watching.py`); here it is only documented."""
    raise AssertionError(f"{call.endpoint.path} is routed to its own endpoint")


FEED: Final = Endpoint(
    "GET",
    "/api/feed",
    "The live feed as Server-Sent Events; Last-Event-ID resumes it",
    served_apart,
    Scope.FEED_READ,
    query=("since", "task", "agent", "kind"),
    refusals=(422, 503),
    tag="feed",
)

DOCUMENTED: Final = (*ENDPOINTS, FEED)


def routes(parts: Parts) -> list[BaseRoute]:
    """Every route of the HTTP face but the live feed and the agent socket, which `app.py` adds."""
    return [*(as_route(endpoint, parts) for endpoint in ENDPOINTS), *web_routes()]
