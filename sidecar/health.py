"""`/health/live` and `/health/ready` for those who watch this process: a tiny HTTP/1.1 responder, bounded.

Owns the socket, the few bytes of HTTP that a probe needs, and its limits. Answers while a run is on, because
runs are elsewhere. Never decides what ready means: it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.errors import SettingsError

HEAD_BYTES_MAX: Final = 8 * 1024
HEAD_MS: Final = 5_000
"""A probe says what it wants at once; whoever dawdles is let go."""

CONNECTIONS_MAX: Final = 16
"""Probes come one at a time; at the bound a connection is closed unanswered."""


class Readiness(NamedTuple):
    """Ready, and what there is to tell; or why not."""

    is_ready: bool
    members: dict[str, Any]


class Health:
    """One listening socket. Use it as a context."""

    def __init__(self, host: str, port: int, readiness: Callable[[], Readiness]) -> None:
        self._host = host
        self._port = port
        self._readiness = readiness
        self._open = 0
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that was really taken, when 0 was asked for."""
        assert self._server is not None, "it listens inside its context only"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Health:
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._port, limit=HEAD_BYTES_MAX
            )
        except OSError as error:
            raise SettingsError(
                f"nobody can listen on {self._host}:{self._port}: {error.strerror}"
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "it was entered"
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(HEAD_MS / 1000):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever asks like that gets no answer
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "method_not_allowed"}, method)
        if path in (b"/health", b"/health/live"):
            return _response(HTTPStatus.OK, {"status": "alive"}, method)
        if path == b"/health/ready":
            found = self._readiness()
            status = HTTPStatus.OK if found.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
            word = "ready" if found.is_ready else "not_ready"
            return _response(status, {"status": word, **found.members}, method)
        return _response(HTTPStatus.NOT_FOUND, {"error": "not_found"}, method)


def _response(status: HTTPStatus, body: dict[str, Any], method: bytes) -> bytes:
    text = msgspec.json.encode(body)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else text)
