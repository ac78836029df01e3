"""A TCP proxy between sidecars and hub that does to a connection what networks do.

Owns the weather of each direction (delay, stall, silence without an end, a bandwidth, a cut after so many
bytes) and of the whole line (cut, and closed for new connections). Knows nothing of what passes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType

PIECE_BYTES = 64 * 1024


class Way:
    """One direction of all connections. Changing it takes effect at once, on what is under way too."""

    def __init__(self) -> None:
        self.passed = 0
        """Bytes that came through, of all connections together."""
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._is_silent = False
        self._cut_at: int | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._changed = asyncio.Event()

    def stall(self) -> None:
        """Hold everything until `flow`."""
        self._open.clear()

    def swallow(self) -> None:
        """Lose everything, and say nothing about it: half a line is gone."""
        self._is_silent = True

    def slow(self, *, delay_s: float = 0.0, bytes_per_s: float | None = None) -> None:
        self._delay_s, self._bytes_per_s = delay_s, bytes_per_s

    def cut_after(self, count: int) -> None:
        """Let so many more bytes through, then cut that connection."""
        self._cut_at = self.passed + count

    def flow(self) -> None:
        """Fine weather again."""
        self._delay_s, self._bytes_per_s, self._is_silent, self._cut_at = 0.0, None, False, None
        self._open.set()
        self._changed.set()
        self._changed = asyncio.Event()

    async def carry(self, piece: bytes, out: asyncio.StreamWriter) -> bool:
        """Take a piece through this weather; False when it ended the connection."""
        await self._open.wait()
        if self._is_silent:
            return True
        await self._rest(self._delay_s)
        left = memoryview(piece)
        while left:
            await self._open.wait()
            size = min(len(left), self._room())
            out.write(left[:size])
            await out.drain()
            self.passed += size
            left = left[size:]
            if self._cut_at is not None and self.passed >= self._cut_at:
                self._cut_at = None
                return False
            if self._bytes_per_s is not None:
                await self._rest(size / self._bytes_per_s)
        return True

    def _room(self) -> int:
        room = PIECE_BYTES
        if self._bytes_per_s is not None:
            room = min(room, max(1, int(self._bytes_per_s / 4)))
        if self._cut_at is not None:
            room = min(room, max(1, self._cut_at - self.passed))
        return room

    async def _rest(self, seconds: float) -> None:
        """Until so much time has passed, or the weather changes."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()


class Proxy:
    """Listens on a free port of 127.0.0.1 and carries everything to `target_port`."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.to_hub = Way()
        self.to_client = Way()
        self.accepted = 0
        self.refused = 0
        self._target_port = target_port
        self._is_closed = False
        self._sockets: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ws_address(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection that is there."""
        for writer in list(self._sockets):
            reset(writer)

    def close(self) -> None:
        """Refuse new connections, and cut those that are there."""
        self._is_closed = True
        self.cut()

    def stall(self) -> None:
        self.to_hub.stall()
        self.to_client.stall()

    def open(self) -> None:
        """Fine weather again, both ways."""
        self._is_closed = False
        self.to_hub.flow()
        self.to_client.flow()

    async def _carry(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._sockets.add(client_out)
        try:
            if self._is_closed:
                self.refused += 1
            else:
                self.accepted += 1
                await self._connect(client_in, client_out)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            reset(client_out)
            self._sockets.discard(client_out)
            self._tasks.discard(task)

    async def _connect(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        hub_in, hub_out = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._sockets.add(hub_out)
        try:
            async with asyncio.TaskGroup() as both:
                ways = (
                    both.create_task(pump(client_in, self.to_hub, hub_out)),
                    both.create_task(pump(hub_in, self.to_client, client_out)),
                )
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        finally:
            reset(hub_out)
            self._sockets.discard(hub_out)


async def pump(source: asyncio.StreamReader, way: Way, out: asyncio.StreamWriter) -> None:
    """One direction of one connection, until either end is gone."""
    with contextlib.suppress(OSError):
        while piece := await source.read(PIECE_BYTES):
            if not await way.carry(piece, out):
                return
        await out.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """End without a goodbye, as a vanished peer's kernel would."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
