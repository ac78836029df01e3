"""The door of `/ws`: who may open a WebSocket at all, before anything is said over it.

Owns the checks that come before 101 (origin, bearer token, room for strangers) and the life of the socket
around a `Link`. A refusal here is an HTTP answer. Never hears a frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from hub.audit import NOBODY
from hub.auth import Identity
from hub.auth import Scope as Right
from hub.guards import GuardedWebSocket
from hub.link import Link
from hub.origin import is_own
from protocol.close import CloseCode
from protocol.codec import SUBPROTOCOLS

if TYPE_CHECKING:
    from hub.registry import Registry
    from hub.settings import Settings

RETRY_AFTER_S: Final = 5

NO_CODE: Final = 1005
"""RFC 6455's word for a close without a code; uvicorn says it also of a connection that was lost."""


@dataclass(frozen=True, slots=True)
class Denial:
    """An HTTP answer instead of a WebSocket."""

    status: int
    body: dict[str, object]
    headers: tuple[tuple[bytes, bytes], ...] = ()


UNAUTHORIZED: Final = Denial(
    401,
    {"error": "unauthorized", "hint": "provide Authorization: Bearer <token>"},
    ((b"www-authenticate", b"Bearer"),),
)
WRONG_ORIGIN: Final = Denial(403, {"error": "forbidden", "needs": "an allowed Origin"})
WRONG_ROLE: Final = Denial(403, {"error": "forbidden", "needs": "agent"})
FULL: Final = Denial(503, {"error": "overloaded"}, ((b"retry-after", str(RETRY_AFTER_S).encode()),))


async def deny(denial: Denial, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), *denial.headers]
    start = {"type": "websocket.http.response.start", "status": denial.status, "headers": headers}
    await send(start)
    body = json.dumps(denial.body).encode()
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


def is_welcome(connection: HTTPConnection, settings: Settings) -> bool:
    """Browsers name the page they come from; only the hub's own and listed ones may (W1). Programs name
    none."""
    return connection.headers.get("origin") in settings.allowed_origins or is_own(connection, settings)


def bearer_of(connection: HTTPConnection) -> str | None:
    """The token of the header, "" for a header that is not a bearer's, None without one."""
    header = connection.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def until_disconnect(receive: Receive) -> tuple[int, str]:
    """The code and reason with which a socket ended; 1006 when it went without a goodbye."""
    message = await receive()
    while message["type"] != "websocket.disconnect":
        message = await receive()
    code = int(message.get("code") or NO_CODE)
    return (CloseCode.ABNORMAL if code == NO_CODE else code), str(message.get("reason") or "")


class AgentDoor:
    """The ASGI application behind `/ws`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        connection = HTTPConnection(scope)
        address = connection.client.host if connection.client is not None else "local"
        checked = self._check(connection)
        if isinstance(checked, Denial):
            self._note(checked, connection, address)
            await deny(checked, send)
        elif not self._registry.strangers.enter(address):
            await deny(FULL, send)
        else:
            await self._serve(scope, receive, send, address, checked)

    def _note(self, denial: Denial, connection: HTTPConnection, address: str) -> None:
        if denial.status in (401, 403):
            identity = self._registry.authority.check(bearer_of(connection) or "")
            actor = identity.token_id if identity is not None else NOBODY
            self._registry.audit.refused(actor, f"/ws {denial.body['error']}", address=address)

    def _check(self, connection: HTTPConnection) -> Denial | Identity | None:
        """Whose token the header shows, None without a header, or why the door stays shut."""
        registry = self._registry
        if not is_welcome(connection, registry.settings):
            return WRONG_ORIGIN
        if registry.is_draining:
            return FULL
        token = bearer_of(connection)
        if token is None:
            return None
        identity = registry.authority.check(token)
        if identity is None:
            registry.metrics.refused_tokens.inc()
            return UNAUTHORIZED
        return identity if identity.may(Right.CONNECT) else WRONG_ROLE

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, address: str, identity: Identity | None
    ) -> None:
        """From 101 to the end of the socket. Whatever ends it, the account of it is kept and nothing is
        raised."""
        socket: GuardedWebSocket = scope["state"]["socket"]
        subprotocol = next((name for name in scope["subprotocols"] if name in SUBPROTOCOLS), None)
        link = Link(
            self._registry,
            socket,
            link_id=self._registry.number(),
            address=address,
            subprotocol=subprotocol,
            identity=identity,
        )
        if identity is not None:
            socket.trust()
        self._registry.add(link)
        socket.ear = link
        code, reason = int(CloseCode.SERVICE_RESTART), "the hub ends"
        try:
            await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
            code, reason = await until_disconnect(receive)
        except OSError:
            code, reason = CloseCode.ABNORMAL, "gone before it was accepted"
        finally:
            link.gone(code, reason, "hub" if socket.has_closed_first else "agent")
            self._registry.closed(link)
