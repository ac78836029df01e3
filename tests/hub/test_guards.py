"""The guards of the edge, one test for each hole that uvicorn leaves open, on real sockets.

They hang on uvicorn's internals: an upgrade that breaks or fixes one is seen here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from websockets.frames import Frame, Opcode

from hub.census import Cap, Trusted
from hub.door import until_disconnect
from hub.guards import CONTROL_BURST, FRAGMENTS_MAX, HEAD_BYTES_MAX, GuardedWebSocket, in_frame
from hub.life import Life
from hub.metrics import Metrics
from hub.server import HubServer, configure, listen
from hub.settings import Settings
from tests.waiting import until


class EchoEar:
    """Says back whatever it hears; counts what it feels."""

    def __init__(self, door: Door, guarded: GuardedWebSocket) -> None:
        self.door = door
        self.guarded = guarded
        self.controls = 0

    def hear(self, message: bytes, is_text: bool) -> None:
        self.guarded.say(message.decode() if is_text else message)

    def hear_control(self, pong: bytes = b"") -> None:
        self.controls += 1

    def drained(self) -> None:
        self.door.drained += 1


class Door:
    """A bare application with one WebSocket and one page."""

    def __init__(self) -> None:
        self.sockets: list[GuardedWebSocket] = []
        self.ended: list[tuple[int, str]] = []
        self.drained = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        guarded: GuardedWebSocket = scope["state"]["socket"]
        guarded.ear = EchoEar(self, guarded)
        guarded.trust()
        self.sockets.append(guarded)
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        self.ended.append(await until_disconnect(receive))


class Edge:
    """A real server with our guards, and nothing of ours behind them."""

    def __init__(self, port: int, server: HubServer, door: Door) -> None:
        self.port = port
        self.server = server
        self.door = door
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def sockets_open(self) -> int:
        config = self.server.config
        return len(config.sockets)  # type: ignore[attr-defined]  # it is our GuardedConfig

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def upgraded(
        self, read_buffer: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A WebSocket whose frames the test makes itself."""
        plain = socket.socket()
        if read_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=plain, limit=1 << 12)
        self.writers.append(writer)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer
        return reader, writer


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def edge(request: pytest.FixtureRequest) -> AsyncIterator[Edge]:
    """`@pytest.mark.parametrize("edge", [{...}], indirect=True)` changes settings."""
    settings = Settings(port=0, **getattr(request, "param", {}))
    door = Door()
    app = Starlette(routes=[WebSocketRoute("/ws", door), Route("/", page, methods=["GET", "POST"])])
    life = Life()
    config = configure(app, settings, life)
    listening = listen(settings)
    server = HubServer(config, life)
    serving = asyncio.ensure_future(server._serve([listening]))  # noqa: TID251 - ended below, by this fixture
    await until(lambda: server.started, "the server listens")
    edge = Edge(listening.getsockname()[1], server, door)
    yield edge
    for writer in edge.writers:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    server.stop()
    await asyncio.wait_for(serving, 20)


async def is_cut(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has thrown the connection away."""
    try:
        return await reader.read(1 << 16) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("edge", [{"head_ms": 1_000}], indirect=True)
@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: hu"])
async def test_a_request_head_that_does_not_come_is_not_waited_for(edge: Edge, said: bytes) -> None:
    reader, writer = await edge.raw()
    writer.write(said)
    assert await asyncio.wait_for(is_cut(reader), 20)
    await until(lambda: edge.sockets_open == 0, "the socket is counted out")


@pytest.mark.parametrize("edge", [{"head_ms": 1_000}], indirect=True)
async def test_a_second_request_on_one_connection_has_the_same_deadline(edge: Edge) -> None:
    reader, writer = await edge.raw()
    writer.write(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(1) == b"0"
    writer.write(b"GET / HTTP/1.1\r\nHost: h")
    assert await asyncio.wait_for(is_cut(reader), 20)


async def test_a_request_head_without_end_is_refused(edge: Edge) -> None:
    reader, writer = await edge.raw()
    writer.write(b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"a" * (2 * HEAD_BYTES_MAX))
    assert b" 431 " in await reader.readline()


async def test_a_big_body_behind_a_small_head_is_not_taken_for_a_head(edge: Edge) -> None:
    reader, writer = await edge.raw()
    size = 4 * HEAD_BYTES_MAX
    writer.write(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(len(str(size))) == str(size).encode()


async def test_a_peer_that_never_reads_is_aborted_and_not_waited_for(edge: Edge) -> None:
    """uvicorn's own keepalive closes, which waits for a buffer that never drains."""
    await edge.upgraded(read_buffer=4096)
    guarded = edge.door.sockets[0]
    await until(lambda: is_stuffed(guarded), "the buffers are full")
    guarded.keepalive_timeout()
    await until(lambda: edge.door.ended, "the socket is gone at once")
    assert guarded.transport.is_closing()


def is_stuffed(guarded: GuardedWebSocket) -> bool:
    """Say more, until the peer counts as not reading."""
    guarded.say(b"x" * 100_000)
    return not guarded.is_read


async def test_a_flood_of_pings_is_cut_and_fills_no_memory(edge: Edge) -> None:
    reader, writer = await edge.upgraded(read_buffer=4096)
    ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
    writer.write(ping * 10 * CONTROL_BURST)
    await until(lambda: edge.door.ended, "the flood is cut")
    assert edge.door.sockets[0].unsent_bytes == 0
    del reader


async def test_a_few_pings_are_answered(edge: Edge) -> None:
    async with websockets.connect(edge.url) as client:
        for _ in range(5):
            await asyncio.wait_for(await client.ping(), 20)
        await client.send("still here")
        assert await client.recv() == "still here"


async def test_a_ping_is_not_answered_to_a_peer_that_does_not_read(edge: Edge) -> None:
    _, writer = await edge.upgraded(read_buffer=4096)
    guarded = edge.door.sockets[0]
    await until(lambda: is_stuffed(guarded), "the buffers are full")
    before = guarded.unsent_bytes
    writer.write(Frame(Opcode.PING, b"").serialize(mask=True))
    await until(lambda: edge.door.ended, "the socket is thrown away")
    assert guarded.unsent_bytes <= before


async def test_endless_fragments_are_refused(edge: Edge) -> None:
    reader, writer = await edge.upgraded()
    writer.write(Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True))
    for _ in range(FRAGMENTS_MAX + 1):
        writer.write(Frame(Opcode.CONT, b"a", fin=False).serialize(mask=True))
    await until(lambda: edge.door.ended, "the socket is closed")
    assert edge.door.ended[0][0] == 1009
    del reader


async def test_a_message_in_a_few_fragments_is_heard_whole(edge: Edge) -> None:
    async with websockets.connect(edge.url) as client:
        await client.send(iter(["one ", "two ", "three"]))
        assert await client.recv() == "one two three"


async def test_a_message_above_the_library_s_limit_closes_1009(edge: Edge) -> None:
    async with websockets.connect(edge.url, max_size=None) as client:
        await client.send("x" * 1_200_000)
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
    assert client.close_code == 1009


async def test_compression_is_off(edge: Edge) -> None:
    async with websockets.connect(edge.url, compression="deflate") as client:
        assert client.response is not None
        assert "sec-websocket-extensions" not in client.response.headers


async def test_no_answer_names_the_server(edge: Edge) -> None:
    reader, writer = await edge.raw()
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: hub\r\n\r\n")
    assert b"server:" not in (await reader.readuntil(b"\r\n\r\n")).lower()


async def test_a_dead_peer_is_noticed_by_the_kernel(edge: Edge) -> None:
    """TCP_USER_TIMEOUT is set on the listening socket and inherited."""
    await edge.upgraded()
    accepted = edge.door.sockets[0].transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


@pytest.mark.parametrize("edge", [{"sockets_max": 3}], indirect=True)
async def test_sockets_above_the_cap_are_answered_503_and_room_comes_back(edge: Edge) -> None:
    held = [await edge.raw() for _ in range(3)]
    await until(lambda: edge.sockets_open == 3, "three are counted")
    reader, _ = await edge.raw()
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in answer
    assert json.loads(answer.split(b"\r\n\r\n")[1]) == {"error": "overloaded"}
    held[0][1].close()
    await until(lambda: edge.sockets_open == 2, "one is counted out")
    _, writer = await edge.raw()
    writer.write(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
    await until(lambda: edge.sockets_open == 3, "the next one is let in")


def test_one_address_may_not_take_all_the_room() -> None:
    metrics = Metrics()
    cap = Cap("sockets", most=100, most_per_address=2, trusted=Trusted(["10.1.0.0/16"]), metrics=metrics)
    assert [cap.enter("192.0.2.7") for _ in range(3)] == [True, True, False]
    assert cap.enter("192.0.2.8")
    assert all(cap.enter("127.0.0.1") for _ in range(10)), "caps do not apply to loopback"
    assert all(cap.enter("10.1.2.3") for _ in range(10)), "nor to listed proxies"
    cap.leave("192.0.2.7")
    assert cap.enter("192.0.2.7")
    assert metrics.registry.get_sample_value("hub_refused_sockets_total", {"cap": "sockets"}) == 1


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_our_frames_are_the_library_s_frames(size: int) -> None:
    payload = b"x" * size
    assert in_frame(Opcode.TEXT, payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def settings_are(**values: Any) -> Settings:
    return Settings(**values)


def test_plain_http_is_refused_on_a_public_address() -> None:
    from hub.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="tls-cert"):
        listen(settings_are(host="0.0.0.0", port=0))
    listen(settings_are(host="0.0.0.0", port=0, insecure=True)).close()
