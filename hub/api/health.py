"""Whether the hub lives, is ready, and how it fares: /health, /health/live, /health/ready, /metrics.

Owns the reasons for not being ready. Never waits for the board: a health check must answer when nothing
else does.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from hub.api.endpoint import Call, Endpoint, Told, authorise
from hub.api.views import HealthView
from hub.auth import Scope
from hub.metrics import CONTENT_TYPE
from hub.version import VERSION

SERVICE: Final = "crewhub"


async def health(call: Call) -> Told:
    return Told(
        200,
        HealthView(status="ok", service=SERVICE, agents_connected=call.parts.board.count().agents_connected),
    )


async def live(call: Call) -> Told:
    return Told(200, HealthView(status="alive"))


def not_ready(call: Call) -> str | None:
    """The first reason why this hub should get no new work."""
    dispatcher = call.parts.dispatcher
    if dispatcher.is_closing:
        return "draining"
    if dispatcher.is_storage_full:
        return "storage_full"
    return None


async def ready(call: Call) -> Told:
    error = not_ready(call)
    if error is not None:
        return Told(503, HealthView(status="not_ready", error=error), {"Retry-After": "2"})
    return Told(
        200,
        HealthView(
            status="ready",
            service=SERVICE,
            agents_connected=call.parts.board.count().agents_connected,
            durability="local" if call.parts.settings.durability == "full" else "relaxed",
            version=VERSION,
            redis=None if call.parts.face is None else call.parts.face.state,
        ),
    )


def is_loopback(request: Request) -> bool:
    """A caller on this machine, unless a proxy speaks for somebody else."""
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def metrics(call: Call) -> Response:
    if not is_loopback(call.request):
        authorise(call.request, call.parts, Scope.TASKS_READ)
    return Response(call.parts.metrics.text(), media_type=CONTENT_TYPE)


ENDPOINTS: Final = (
    Endpoint("GET", "/health", "Whether the hub answers", health, None, reply=HealthView, tag="health"),
    Endpoint("GET", "/health/live", "Whether the process lives", live, None, reply=HealthView, tag="health"),
    Endpoint(
        "GET",
        "/health/ready",
        "Whether it takes work",
        ready,
        None,
        reply=HealthView,
        refusals=(503,),
        tag="health",
    ),
    Endpoint("GET", "/metrics", "Prometheus figures", metrics, None, refusals=(401, 403), tag="health"),
)
