"""Where watchers come in: `GET /api/feed` (Server-Sent Events) and `GET /ws/feed` (the same objects).

Owns the two outlets of a `feed.Watcher`: what was asked for, how lines are sent, pings while nothing
happens, and the deadline after which a watcher that does not read is thrown out. Never holds a line back
for another watcher.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from hub.api import problems
from hub.api.endpoint import address_of, authorise, note_refusal
from hub.api.problems import Problem
from hub.api.session import ABSOLUTE_MS, cookie_name, session_identity
from hub.audit import NOBODY
from hub.auth import Identity
from hub.auth import Scope as Right
from hub.buckets import Bucket
from hub.door import WRONG_ORIGIN, Denial, bearer_of, deny, is_welcome, until_disconnect
from hub.errors import Overloaded
from hub.feed import Watcher
from hub.guards import GuardedHttp, GuardedWebSocket
from hub.lines import BadCursor, Filter
from protocol.close import CloseCode

if TYPE_CHECKING:
    from hub.parts import Parts

PING_MS: Final = 15_000
"""A comment on an idle stream: proxies cut silence at 30 to 120 s."""

TALK_PER_SECOND: Final = 5
TALK_BURST: Final = 20
"""What a watcher may say, in messages of at most `guards.STRANGER_BYTES_MAX`; we read none of it."""

KINDS_MAX: Final = 64

STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def filter_of(connection: HTTPConnection) -> Filter:
    """`?task=`, `?agent=` and `?kind=` (repeated, or with commas)."""
    query = connection.query_params
    kinds = [kind for said in query.getlist("kind") for kind in said.split(",") if kind]
    if len(kinds) > KINDS_MAX:
        raise problems.invalid_field("kind", "invalid", f"At most {KINDS_MAX} kinds.")
    return Filter(
        task_id=query.get("task") or query.get("task_id"),
        agent_id=query.get("agent") or query.get("agent_id"),
        kinds=frozenset(kinds) or None,
    )


def cursor_of(connection: HTTPConnection) -> str | None:
    """A reconnecting browser says `Last-Event-ID`, whatever its address says."""
    return connection.headers.get("last-event-id") or connection.query_params.get("since")


def caller_of(connection: HTTPConnection, parts: Parts) -> Identity | None:
    """The bearer token decides; only without one does the page's cookie count (security B2)."""
    token = bearer_of(connection)
    return parts.authority.check(token) if token is not None else session_identity(connection, parts)


def begin(connection: HTTPConnection, parts: Parts, who: Identity) -> Watcher:
    """A watcher as asked for, or the Problem with it (L58)."""
    found = None
    if bearer_of(connection) is None:
        found = parts.sessions.read(
            connection.cookies.get(cookie_name(connection), ""), parts.clock.now().wall_ms
        )
    session = found[3] if found is not None else None
    problem: Problem
    try:
        watcher = parts.feed.watch(
            filter_of(connection), since=cursor_of(connection), token_id=who.token_id, session=session
        )
        if found is not None:
            watcher.until_wall_ms = found[1] + ABSOLUTE_MS
        return watcher
    except BadCursor as error:
        problem = problems.invalid_field("since", "invalid", str(error))
    except Overloaded:
        problem = problems.overloaded()
    raise problem


# --- Server-Sent Events --------------------------------------------------------------------------------


class FeedStream(Response):
    """An answer that ends when the watcher goes, or does not read for too long."""

    def __init__(self, watcher: Watcher, send_ms: int) -> None:
        super().__init__()
        self._watcher = watcher
        self._send_ms = send_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        try:
            async with asyncio.TaskGroup() as both:
                listening = both.create_task(self._until_gone(receive))
                await self._pump(scope, send)
                listening.cancel()
        finally:
            self._watcher.end()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._watcher.end()

    async def _pump(self, scope: Scope, send: Send) -> None:
        try:
            while not self._watcher.is_ended:
                lines = await self._watcher.look(PING_MS)
                body = b"".join(line.sse for line in lines) or b": ping\n\n"
                async with asyncio.timeout(self._send_ms / 1000):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            connection = scope.get("state", {}).get("connection")
            if isinstance(connection, GuardedHttp):
                connection.transport.abort()


def feed_route(parts: Parts) -> Route:
    async def watch(request: Request) -> Response:
        try:
            who = authorise(request, parts, Right.FEED_READ)
            assert who is not None
            return FeedStream(begin(request, parts, who), parts.settings.send_ms)
        except Problem as problem:
            if problem.status == 403:
                note_refusal(request, parts, problem.error)
            return problems.respond(problem)

    return Route("/api/feed", watch, methods=["GET"], name="GET /api/feed")


# --- WebSocket -----------------------------------------------------------------------------------------


class WatcherSocket:
    """The WebSocket of a watcher: it is read from us only. Implements `guards.Ear`."""

    def __init__(self, socket: GuardedWebSocket, watcher: Watcher, parts: Parts) -> None:
        self._socket = socket
        self._watcher = watcher
        self._send_ms = parts.settings.send_ms
        self._clock = parts.clock
        self._talk = Bucket(per_second=TALK_PER_SECOND, burst=TALK_BURST, now_ms=self._clock.now().ms)
        self._readable = asyncio.Event()
        self._readable.set()

    def hear(self, message: bytes, is_text: bool) -> None:
        """A watcher has nothing to say; a little of it is ignored."""
        if not self._talk.take(self._clock.now().ms):
            self._socket.hang_up(CloseCode.TOO_MANY_VIOLATIONS, "a watcher has nothing to say")

    def hear_control(self, pong: bytes = b"") -> None:
        """The socket's own guard has counted it."""

    def drained(self) -> None:
        self._readable.set()

    async def pump(self) -> None:
        while not self._watcher.is_ended:
            lines = await self._watcher.look(PING_MS)
            for line in lines:
                self._socket.say(line.json.decode())
            if not lines:
                self._socket.ping()
            if not self._socket.is_read and not await self._reads_again():
                self._socket.abort()
                return

    async def _reads_again(self) -> bool:
        self._readable.clear()
        try:
            async with asyncio.timeout(self._send_ms / 1000):
                await self._readable.wait()
        except TimeoutError:
            return False
        return True


class FeedDoor:
    """The ASGI application behind `/ws/feed`. Nothing can be done over it but watching (L36)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        connection = HTTPConnection(scope)
        if not is_welcome(connection, self._parts.settings):
            self._parts.audit.refused(
                NOBODY, "/ws/feed a page of another site", address=address_of(connection)
            )
            await deny(WRONG_ORIGIN, send)
            return
        who = caller_of(connection, self._parts)
        if who is None or not who.may(Right.FEED_READ):
            actor = who.token_id if who is not None else NOBODY
            self._parts.audit.refused(actor, "/ws/feed unauthorized", address=address_of(connection))
            await self._send_away(send, receive)
            return
        try:
            watcher = begin(connection, self._parts, who)
        except Problem as problem:
            await deny(Denial(problem.status, problem.body()), send)
            return
        try:
            await self._serve(scope, receive, send, watcher)
        finally:
            watcher.end()

    async def _send_away(self, send: Send, receive: Receive) -> None:
        self._parts.metrics.refused_tokens.inc()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await send({"type": "websocket.send", "text": '{"error":"unauthorized"}'})
        await send(
            {"type": "websocket.close", "code": int(CloseCode.INVALID_TOKEN), "reason": "unauthorized"}
        )
        await until_disconnect(receive)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, watcher: Watcher) -> None:
        socket: GuardedWebSocket = scope["state"]["socket"]
        outlet = WatcherSocket(socket, watcher, self._parts)
        socket.ear = outlet
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        async with asyncio.TaskGroup() as both:
            pumping = both.create_task(outlet.pump())
            pumping.add_done_callback(lambda _: socket.hang_up(CloseCode.GOING_AWAY, "the feed has ended"))
            await until_disconnect(receive)
            watcher.end()


def watch_routes(parts: Parts) -> list[BaseRoute]:
    return [feed_route(parts), WebSocketRoute("/ws/feed", FeedDoor(parts))]
