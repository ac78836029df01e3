"""The sidecar's side of a supervisor: starting it, understanding it, collecting it.

Owns the words that a supervisor says (`supervisor.py` has the other half) and how its process is waited
for without a thread. Never decides when a run must end.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = str(Path(__file__).parents[2])
"""Where `sidecar` lies; last on the path of what we start, because -I and -P leave out what we were started
with.
"""

SUPERVISOR: Final = (
    "import sys; sys.path.append(sys.argv[1]); from sidecar.runners.supervisor import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)
"""Imported rather than run as a file: its compiled form is kept, and a start does not compile it again."""

LOADER_VARIABLES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that an interpreter may need of our environment to start."""


class Exited(msgspec.Struct):
    code: int | None = None
    signal: str | None = None


class Gone(msgspec.Struct):
    signals: tuple[str, ...]
    reaped: int


class Word(msgspec.Struct):
    """Anything the supervisor says."""

    started: int | None = None
    refused: str | None = None
    exited: Exited | None = None
    gone: Gone | None = None


_words = msgspec.json.Decoder(Word)


class Control(asyncio.Protocol):
    """Our end of the control socket: bytes into words."""

    def __init__(self, heard: Callable[[Word], None], closed: asyncio.Future[None]) -> None:
        self.heard = heard
        self.closed = closed
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while len(self.waiting) >= 4:
            size = int.from_bytes(self.waiting[:4], "big")
            if len(self.waiting) < 4 + size:
                return
            word, self.waiting = self.waiting[4 : 4 + size], self.waiting[4 + size :]
            self.heard(_words.decode(word))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def start_supervisor(control_fd: int, given: Iterable[int]) -> subprocess.Popen[bytes]:
    """A supervisor that waits on `control_fd` for its order and has inherited its program's descriptors."""
    return subprocess.Popen(  # noqa: S603  our own program, started in a millisecond
        [sys.executable, "-I", "-S", "-c", SUPERVISOR, ROOT, str(control_fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(control_fd, *given),
        start_new_session=True,
        cwd="/",
        env={name: os.environ[name] for name in LOADER_VARIABLES if name in os.environ},
    )


class OwnChild:
    """A supervisor that is a child of ours: it cannot be another process while it is not collected."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def kill(self) -> None:
        self.process.kill()

    async def collected(self) -> None:
        await reap(self.process)


class Supervisors:
    """The launcher of everything that is started by exec: a supervisor each, in a millisecond."""

    async def start(self, control_fd: int, given: Iterable[int]) -> OwnChild:
        return OwnChild(start_supervisor(control_fd, given))


async def reap(process: subprocess.Popen[bytes]) -> None:
    """Collect an ending process without blocking the loop."""
    if process.poll() is not None:
        return
    try:
        watched = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        await asyncio.to_thread(process.wait)  # not Linux, or before 5.3
        return
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.add_reader(watched, _settle, over)
    try:
        await over
    finally:
        loop.remove_reader(watched)
        os.close(watched)
    process.wait()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
