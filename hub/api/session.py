"""The page's login: a token exchanged for a cookie that only the browser holds.

Owns the cookie's form (signed, so that it survives a restart of the hub without a table), its two
lifetimes, the log-outs, and the checks on requests that carry it. Never puts a token into a cookie, a URL
or a page.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.api import problems
from hub.auth import Identity, identity_of
from hub.origin import is_own, is_secure
from protocol.ids import TokenId

if TYPE_CHECKING:
    from hub.parts import Parts
    from hub.settings import Settings

COOKIE_SECURE: Final = "__Host-hub"
COOKIE_PLAIN: Final = "hub"
"""For plain http on loopback, where `__Host-` cookies are not kept by every browser."""

IDLE_MS: Final = 30 * 60_000
ABSOLUTE_MS: Final = 12 * 3_600_000
RENEW_MS: Final = 60_000
"""A cookie is written again at most once a minute."""

LOGGED_OUT_MAX: Final = 10_000
"""Remembered log-outs; each is forgotten with its cookie's absolute end."""

CSRF_HEADER: Final = "x-hub-csrf"
JSON: Final = "application/json"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """Signs and reads cookies; remembers who logged out."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.new(key, b"page session", sha256).digest()
        self._logged_out: dict[str, int] = {}

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()

    def issue(
        self, token_id: TokenId, now_ms: int, *, born_ms: int | None = None, nonce: str | None = None
    ) -> str:
        text = f"{token_id}.{born_ms or now_ms}.{now_ms}.{nonce or secrets.token_hex(16)}"
        return f"{text}.{self._sign(text)}"

    def read(self, cookie: str, now_ms: int) -> tuple[TokenId, int, int, str] | None:
        """(token id, born, seen, nonce) of a cookie that is ours and still good."""
        text, _, signature = cookie.rpartition(".")
        if not cookie.isascii() or not hmac.compare_digest(self._sign(text), signature):
            return None
        token_id, born, seen, nonce = text.split(".")
        if now_ms - int(born) > ABSOLUTE_MS or now_ms - int(seen) > IDLE_MS or nonce in self._logged_out:
            return None
        return TokenId(token_id), int(born), int(seen), nonce

    def forget(self, nonce: str, now_ms: int) -> None:
        self._logged_out = {n: end for n, end in self._logged_out.items() if end > now_ms}
        while len(self._logged_out) >= LOGGED_OUT_MAX:
            del self._logged_out[next(iter(self._logged_out))]
        self._logged_out[nonce] = now_ms + ABSOLUTE_MS


def cookie_name(connection: HTTPConnection) -> str:
    return COOKIE_SECURE if is_secure(connection) else COOKIE_PLAIN


def set_cookie(response: Response, connection: HTTPConnection, value: str) -> None:
    response.set_cookie(
        cookie_name(connection),
        value,
        max_age=ABSOLUTE_MS // 1000 if value else 0,
        path="/",
        secure=is_secure(connection),
        httponly=True,
        samesite="strict",
    )


def session_identity(connection: HTTPConnection, parts: Parts) -> Identity | None:
    """Who the cookie says is calling; a request that changes something must come from our own page."""
    cookie = connection.cookies.get(cookie_name(connection))
    if cookie is None:
        return None
    found = parts.sessions.read(cookie, parts.clock.now().wall_ms)
    if found is None:
        return None
    record = parts.authority.record(found[0])
    if record is None:
        return None
    if connection.scope.get("method", "GET") not in SAFE_METHODS:
        check_own_page(connection, parts.settings)
    return identity_of(record)


def renew(response: Response, connection: HTTPConnection, parts: Parts) -> None:
    """A cookie in use lives on, to its absolute end: only idle sessions end early."""
    cookie = connection.cookies.get(cookie_name(connection))
    if cookie is None or "authorization" in connection.headers or "set-cookie" in response.headers:
        return
    now_ms = parts.clock.now().wall_ms
    found = parts.sessions.read(cookie, now_ms)
    if found is not None and now_ms - found[2] > RENEW_MS:
        token_id, born_ms, _, nonce = found
        set_cookie(response, connection, parts.sessions.issue(token_id, now_ms, born_ms=born_ms, nonce=nonce))


def check_own_page(connection: HTTPConnection, settings: Settings) -> None:
    """Against requests that another site makes the browser send (security B2)."""
    kind = connection.headers.get("content-type", JSON)
    is_ours = connection.headers.get(CSRF_HEADER) == "1" and kind.split(";")[0].strip().lower() == JSON
    if not is_ours or not is_own(connection, settings):
        raise problems.forbidden("a request from the hub's own page")
