"""What uvicorn leaves open, closed: its two protocol classes with deadlines, caps and aborts.

Owns the guards of the edge: a deadline and a size for the request's head, a deadline for its body, caps on
sockets, a bound on control frames and fragments, abort where a close would wait for a peer that never
reads. Never knows a frame of ours. These classes hang on uvicorn's internals: `tests/hub/test_guards.py`
has a test for each.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from hub.buckets import Bucket
from hub.census import Cap
from hub.clock import monotonic_ms
from protocol.close import CloseCode
from protocol.limits import KIB, WEBSOCKET_BYTES_MAX

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

HEAD_BYTES_MAX: Final = 64 * KIB
"""Request line and headers. A bearer token and a cookie take two."""

BODY_MS: Final = 60_000
"""For a whole request body: 16 MiB at a slow 2.2 Mbit/s."""

BODY_BYTES_MAX: Final = 32 * 1024 * KIB
"""Of one request as it travels: twice the largest body that an endpoint takes, for the framing of chunks."""

CONTROL_BURST: Final = 20
CONTROL_PER_SECOND: Final = 1
"""Pings and pongs from a peer: ours go out every 20 s, theirs may come as often; above this it is a flood."""

FRAGMENTS_MAX: Final = 64
"""Of one message. Endless tiny fragments cost more to count than to send."""

CLOSE_ACK_MS: Final = 5_000
"""How long we wait for a peer to answer our close before the socket is thrown away."""

LINGER_BYTES_MAX: Final = 16 * WEBSOCKET_BYTES_MAX
"""How much of what a peer goes on saying after our close is read and thrown away, so that it hears the code.
A socket that is closed with unread data in it is reset: that destroys what the peer has not read yet."""

STRANGER_BYTES_MAX: Final = 64 * KIB
"""The library's limit while nobody has shown a token. Ours (4 KiB) lies below and is met first, with a
name."""

OUT_BUFFER_BYTES_HIGH: Final = 256 * KIB
"""Unsent bytes of one socket above which the peer counts as not reading."""

UNAVAILABLE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 5\r\nContent-Type: application/json\r\nContent-Length: 22\r\nConnection: close\r\n\r\n"
    b'{"error":"overloaded"}'
)

HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class GuardedConfig(uvicorn.Config):
    """uvicorn's configuration with what our protocol classes need beside it."""

    sockets: Cap
    head_ms: int


class Ear(Protocol):
    """Whoever listens to a WebSocket. Called from the event loop, one call at a time; must never block or
    raise."""

    def hear(self, message: bytes, is_text: bool) -> None:
        """A whole message."""

    def hear_control(self, pong: bytes = b"") -> None:
        """A ping or a pong: a sign of life. `pong`: what a pong brings back of our ping."""

    def drained(self) -> None:
        """The peer reads again."""


def address_of(transport: BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else "local"


class GuardedHttp(HttpToolsProtocol):
    """HTTP/1.1 with deadlines. Becomes a GuardedWebSocket when asked to upgrade."""

    config: GuardedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._in_head = True
        self._entered: str | None = None
        self._lingering_bytes = 0
        """Above 0: refused, and read only so that the answer is not destroyed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        address = address_of(transport)
        if not self.config.sockets.enter(address):
            self.transport = transport
            transport.write(UNAVAILABLE)
            transport.close()
            return
        self._entered = address
        super().connection_made(transport)
        self._set_deadline(self.config.head_ms)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        if self._entered is None:
            return
        self.config.sockets.leave(self._entered)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._entered is None:
            return
        if self._lingering_bytes:
            self._linger(data)
        elif self._is_within_bounds(data):
            super().data_received(data)

    def _is_within_bounds(self, data: bytes) -> bool:
        """Whether head and body may still grow; the answer to one that may not is given here."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self._ends_head(data):
                self.transport.write(HEAD_TOO_LARGE)
                half_close(self.transport)
                self._set_deadline(CLOSE_ACK_MS)
                self._linger(data)
                return False
        else:
            self._body_bytes += len(data)
            if self._body_bytes > BODY_BYTES_MAX:
                self.transport.abort()
                return False
        return True

    def _linger(self, data: bytes) -> None:
        """Read on into the void, so that the refusal is heard, until the peer is gone or its time is over."""
        self._lingering_bytes += len(data)
        if self._lingering_bytes > LINGER_BYTES_MAX:
            self.transport.abort()

    def _ends_head(self, data: bytes) -> bool:
        """A big body may come in the same read as its head: only what precedes the blank line counts."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head_bytes - len(data) + end <= HEAD_BYTES_MAX

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._set_deadline(self.config.head_ms)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header behind the body is one that nobody here asks for, and uvicorn keeps without a bound."""
        if self._in_head:
            super().on_header(name, value)
        else:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._body_bytes = 0
        self._set_deadline(BODY_MS)
        self.scope["state"]["connection"] = self
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._clear_deadline()
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._clear_deadline()
        entered, self._entered = self._entered, None
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        assert isinstance(protocol, GuardedWebSocket)
        assert entered is not None
        protocol.entered = entered

    def _set_deadline(self, delay_ms: int) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(delay_ms / 1000, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket. With an ear it delivers whole messages at once, without a queue, a task or a pause
    between."""

    config: GuardedConfig
    entered: str | None = None
    ear: Ear | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._controls = Bucket(per_second=CONTROL_PER_SECOND, burst=CONTROL_BURST, now_ms=monotonic_ms())
        self._is_deaf = False
        self._is_lingering = False
        """The connection has failed: what still comes is read only so that the peer hears the code."""
        self._lingering_bytes = 0
        self.conn.max_message_size = STRANGER_BYTES_MAX

    # --- what uvicorn calls ---

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=OUT_BUFFER_BYTES_HIGH)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.entered is not None:
            self.config.sockets.leave(self.entered)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            self._lingering_bytes += len(data)
            if self._lingering_bytes > LINGER_BYTES_MAX:
                self.transport.abort()
        if not self._is_lingering:
            super().data_received(data)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"]["socket"] = self

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS_MAX:
            self.hang_up(CloseCode.MESSAGE_TOO_BIG, f"more than {FRAGMENTS_MAX} fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.ear is None:
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        self.frames = []
        if not self.close_sent:
            self.ear.hear(data, self.curr_msg_data_type == "text")

    def handle_ping(self) -> None:
        if self._hears_control():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._hears_control(bytes(event.data)):
            super().handle_pong(event)

    def keepalive_timeout(self) -> None:
        """uvicorn would close, which waits for ever for a peer that does not read."""
        self.transport.abort()

    def handle_parser_exception(self) -> None:
        """uvicorn would close at once, and reset a peer that still sends before it has read the code."""
        closing = self.conn.close_sent
        assert closing is not None, "the library fails a connection by closing it"
        code, reason = int(closing.code), closing.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self._is_lingering = True
        self._is_deaf = self.read_paused = False
        self.transport.resume_reading()
        half_close(self.transport)
        self._abort_unless_gone()

    def shutdown(self) -> None:
        """Say goodbye, and leave the socket to its answer or to the timer: uvicorn would close it unread."""
        if self.is_open:
            self.stop_keepalive()
            self.hang_up(CloseCode.SERVICE_RESTART, "the hub restarts")
        elif not (self.handshake_complete and self.close_sent):
            super().shutdown()
            self._abort_unless_gone()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.ear is not None:
            self.ear.drained()

    def _abort_unless_gone(self) -> None:
        """After a close, which waits for its buffer, or for an answer, as long as the peer likes."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_ACK_MS / 1000, self.transport.abort)

    def _hears_control(self, pong: bytes = b"") -> bool:
        """A ping is answered only to a peer that reads, and only so often: pongs have no flow control."""
        if not self.writable.is_set() or not self._controls.take(monotonic_ms()):
            self.transport.abort()
            return False
        if self.ear is not None:
            self.ear.hear_control(pong)
        return True

    # --- what a link calls ---

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not (
            self.close_sent or self.disconnected or self.transport.is_closing()
        )

    @property
    def has_closed_first(self) -> bool:
        """Whether the closing began here: by a link, the library or the server."""
        return self.conn.close_sent is not None and not self.conn.close_rcvd_then_sent

    @property
    def is_read(self) -> bool:
        """Whether the peer reads what we send."""
        return self.writable.is_set()

    @property
    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def trust(self) -> None:
        """A token was shown: whole frames are welcome."""
        self.conn.max_message_size = WEBSOCKET_BYTES_MAX

    def say(self, message: str | bytes) -> None:
        """Send one message at once; bytes as a binary one. Whoever calls looks at `is_read` first."""
        if not self.is_open:
            return
        if isinstance(message, str):
            self.transport.write(in_frame(Opcode.TEXT, message.encode()))
        else:
            self.transport.write(in_frame(Opcode.BINARY, message))

    def ping(self, data: bytes = b"") -> None:
        if self.is_open and self.is_read:
            self._controls.give()  # its pong is no flood: we have asked for it
            self.transport.write(in_frame(Opcode.PING, data))

    def stop_hearing(self) -> None:
        if not self._is_deaf and not self.transport.is_closing():
            self._is_deaf = True
            self.transport.pause_reading()

    def hear_again(self) -> None:
        if self._is_deaf and not self.transport.is_closing():
            self._is_deaf = False
            self.transport.resume_reading()

    def hang_up(self, code: CloseCode, reason: str) -> None:
        """Close with a code; the socket is thrown away if the peer does not answer in time."""
        if not self.is_open:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code), "reason": reason})
        self.conn.send_close(int(code), reason[:120])
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.hear_again()
        self._abort_unless_gone()

    def abort(self) -> None:
        """Throw the socket away: for peers that do not read or have not been heard for too long."""
        self.transport.abort()


def half_close(transport: asyncio.Transport) -> None:
    """Nothing more comes from here; TLS cannot say so, and waits for the peer."""
    if transport.can_write_eof():
        transport.write_eof()


def in_frame(opcode: Opcode, payload: bytes) -> bytes:
    """A WebSocket frame as servers send them: whole, unmasked (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8)
    return head + payload
