"""What surrounds every HTTP answer: security headers, the request's id, and words for what no route serves.

Owns the fold around the router. Never reads a body and never knows a resource.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from hub.api import problems
from hub.api.problems import Problem
from hub.web.pages import SECURITY_HEADERS

REQUEST_ID: Final = "x-request-id"
REQUEST_ID_FORM: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
STRICT_TRANSPORT: Final = "max-age=31536000"
"""One year, and only over TLS (security W10)."""

logger = logging.getLogger(__name__)


class Edge:
    """Adds the headers that no answer may lack. A caller's own request id comes back; others get one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers[REQUEST_ID] = request_id
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = STRICT_TRANSPORT
            await send(message)

        await self._app(scope, receive, say)


def request_id_of(scope: Scope) -> str:
    said = Request(scope).headers.get(REQUEST_ID, "")
    return said if REQUEST_ID_FORM.fullmatch(said) else secrets.token_hex(8)


async def no_such_route(request: Request, error: Exception) -> Response:
    """What the router itself refuses: no such path, or no such method on it."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problems.respond(problems.not_found())
    allowed = dict(error.headers or {})
    problem = Problem(
        error.status_code, "method_not_allowed", "This address has other methods.", headers=allowed
    )
    return problems.respond(problem)


async def our_bug(request: Request, error: Exception) -> Response:
    """The last resort: say nothing of the inside, keep the trace for the log (security W12, Z6)."""
    problem = Problem(500, "internal_error", "The hub failed at this. Its log has the reason.")
    return problems.respond(problem)


MIDDLEWARE: Final = (Middleware(Edge),)
EXCEPTION_HANDLERS: Final[dict[int | type[Exception], ExceptionHandler]] = {
    HTTPException: no_such_route,
    500: our_bug,
}
