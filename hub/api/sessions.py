"""Logging the page in and out: a pasted token in, a cookie out.

Owns the three routes of the session. The form of the cookie is `session.py`'s.
"""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from hub.api.bodies import LoginBody
from hub.api.endpoint import Call, Endpoint, not_believed
from hub.api.session import check_own_page, cookie_name, set_cookie
from hub.api.views import SessionView, StatusView
from hub.auth import Identity, Scope


def view_session(identity: Identity) -> SessionView:
    return SessionView(role=identity.role.value, label=identity.label, token_id=identity.token_id)


async def log_in(call: Call) -> Response:
    """Only tokens that may look at something become a session; an agent's token is for its socket."""
    check_own_page(call.request, call.parts.settings)
    body = await call.body(LoginBody)
    identity = call.parts.authority.check(body.token.strip())
    if identity is None or not identity.may(Scope.FEED_READ):
        raise not_believed(call.request, call.parts)
    response = Response(msgspec.json.encode(view_session(identity)), media_type="application/json")
    cookie = call.parts.sessions.issue(identity.token_id, call.parts.clock.now().wall_ms)
    set_cookie(response, call.request, cookie)
    await call.note("logged_in", "page", actor=str(identity.token_id))
    return response


async def who_am_i(call: Call) -> Response:
    """Who the cookie says I am."""
    return Response(msgspec.json.encode(view_session(call.identity)), media_type="application/json")


async def log_out(call: Call) -> Response:
    """The cookie is worthless from now on, and the page's open feeds end."""
    check_own_page(call.request, call.parts.settings)
    parts = call.parts
    now = parts.clock.now().wall_ms
    found = parts.sessions.read(call.request.cookies.get(cookie_name(call.request), ""), now)
    if found is not None:
        parts.sessions.forget(found[3], now)
        parts.feed.close_session(found[3])
        await call.note("logged_out", "page", actor=str(found[0]))
    response = Response(msgspec.json.encode(StatusView(status="logged_out")), media_type="application/json")
    set_cookie(response, call.request, "")
    return response


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/session",
        "Log the page in",
        log_in,
        None,
        reply=SessionView,
        body=LoginBody,
        refusals=(401, 403, 422),
        tag="page",
    ),
    Endpoint(
        "GET", "/api/session", "Who is logged in", who_am_i, Scope.FEED_READ, reply=SessionView, tag="page"
    ),
    Endpoint("DELETE", "/api/session", "Log the page out", log_out, None, reply=StatusView, tag="page"),
)
