"""One program as a guarded run: started under a supervisor, heard, stopped, and proven to be gone.

Owns the pipes, the supervisor and the end of one `Run`. No threads and no tasks: everything is a callback of
the loop, and `ended()` waits for the last of them. Never knows tasks or results: `attempt.py` gives bytes a
meaning. A run is over when its supervisor has said that no process is left, not when its pipes close: a
grandchild may hold those.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterable
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from sidecar.runners.contract import Proof
from sidecar.runners.guard import Control, Exited, Gone, Supervisors, Word
from sidecar.runners.hunt import kill_until_none_is_left
from sidecar.runners.pipes import Ear, Heard, Mouth

SUPERVISOR_SILENCE_MS: Final = 5_000
"""A supervisor that has begun to kill speaks at least once a second; one that is silent for five is stuck
or stopped.
"""

TIMEOUT_GRACE_MS: Final = 5_000
"""Between TERM and KILL of a run whose time is up: it has had its time, this is for closing files."""

DRAIN_MS: Final = 1_000
"""When no process is left the pipes hold 64 KiB each and close; only a descriptor given away can keep one
open.
"""

ANSWERS_BYTES_MAX: Final = 1024 * 1024
"""Answers a program has not read yet; more are dropped, because it does not listen."""

STDIN, STDOUT, STDERR, REPORT, ANSWERS = 0, 1, 2, 3, 4

Why: TypeAlias = Literal["exit", "stop", "timeout", "refused", "lost"]
"""The program ended by itself · was stopped · ran out of time · could not be started · its supervisor died.
"""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one process of a run may take; None leaves the machine's own limit. No core dumps, ever: they
    hold secrets.
    """

    open_files: int | None = 1024
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    processes: int | None = None
    file_bytes: int | None = None

    def as_rlimits(self) -> dict[str, int]:
        wanted = {
            "nofile": self.open_files,
            "as": self.memory_bytes,
            "cpu": self.cpu_seconds,
            "nproc": self.processes,
            "fsize": self.file_bytes,
        }
        return {"core": 0} | {name: value for name, value in wanted.items() if value is not None}


_encode = msgspec.json.Encoder().encode


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. `environment` is the whole environment, with the run's marker in it."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    cwd: str
    marker: str
    stdin: bytes = b""
    limits: Limits = Limits()
    new_privileges: bool = False


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `proof.survivors` is always 0: a run that is not over is waited for."""

    why: Why
    proof: Proof
    exit_code: int | None = None
    signal: str | None = None
    trouble: str = ""


class Guard(Protocol):
    """The process that guards one run, whoever's child it is."""

    def kill(self) -> None:
        """SIGKILL it; nothing when it is gone already. Never hits a number that belongs to another by now."""

    async def collected(self) -> None:
        """Return when it is gone and nobody's zombie of ours."""


class Launcher(Protocol):
    """Where guards come from: a program started anew, or a fork of a process that has imported much."""

    async def start(self, control_fd: int, given: Iterable[int]) -> Guard:
        """A guard that waits on `control_fd` for its order and has the descriptors `given`, which are the
        caller's to close. OSError when there can be none.
        """


SUPERVISED: Final[Launcher] = Supervisors()
"""Each run under a supervisor of its own, which starts the program by exec."""


class Run:
    """One program from its start to the proof of its end. The steps in order: `begin`, then `ended`; the
    rest in between.
    """

    def __init__(self, program: Program, heard: Heard, launcher: Launcher = SUPERVISED) -> None:
        self.program = program
        self.heard = heard
        self.launcher = launcher
        self.loop = asyncio.get_running_loop()
        self.guard: Guard | None = None
        self.control: asyncio.Transport | None = None
        self.ears: list[asyncio.ReadTransport] = []
        self.mouths: dict[int, tuple[asyncio.WriteTransport, Mouth]] = {}
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.silenced: list[asyncio.Future[None]] = []
        self._ours: dict[int, int] = {}  # our ends, until transports own them
        self.session: int | None = None
        self.refused = ""
        self.exited: Exited | None = None
        self.gone: Gone | None = None
        self.asked_to_end: Literal["stop", "timeout"] | None = None
        self.is_over = False
        self.patience: asyncio.TimerHandle | None = None

    # -- starting

    async def begin(self) -> None:
        """Start the program under its supervisor. OSError when the machine has no room for it; nothing is
        left then.
        """
        with contextlib.ExitStack() as theirs:
            control, given = self._descriptors(theirs)
            try:
                await self._connect(control, given)
            except BaseException:
                await self._abandon()
                raise

    def _descriptors(self, theirs: contextlib.ExitStack) -> tuple[tuple[socket.socket, int], dict[int, int]]:
        """All pipes. Our ends are adopted by transports; `theirs` closes the other ends here once they were
        inherited.
        """
        ours, far = socket.socketpair()
        theirs.callback(far.close)
        given: dict[int, int] = {}
        try:
            for number in (STDIN, STDOUT, STDERR, REPORT, ANSWERS):
                read_fd, write_fd = os.pipe()
                mine, its = (write_fd, read_fd) if number in {STDIN, ANSWERS} else (read_fd, write_fd)
                self._ours[number], given[number] = mine, its
                theirs.callback(os.close, its)
        except OSError:
            ours.close()
            self._close_unadopted()
            raise
        return (ours, far.fileno()), given

    async def _connect(self, control: tuple[socket.socket, int], given: dict[int, int]) -> None:
        ours, far_fd = control
        try:
            self.guard = await self.launcher.start(far_fd, given.values())
            await self._adopt(ours)
        except BaseException:
            ours.close()
            raise
        self._tell(
            start={
                "argv": self.program.argv,
                "env": self.program.environment,
                "cwd": self.program.cwd,
                "descriptors": given,
                "limits": self.program.limits.as_rlimits(),
                "new_privileges": self.program.new_privileges,
            }
        )
        stdin, _ = self.mouths[STDIN]
        stdin.write(self.program.stdin)
        stdin.close()  # after what is written; a program that never reads it does not keep us

    async def _adopt(self, ours: socket.socket) -> None:
        """Hand our ends to the loop."""
        self.control, _ = await self.loop.create_unix_connection(
            lambda: Control(self._hear, self.closed), sock=ours
        )
        for number in (STDOUT, STDERR, REPORT):
            silenced: asyncio.Future[None] = self.loop.create_future()
            pipe = os.fdopen(self._ours.pop(number), "rb", buffering=0)
            ear, _ = await self.loop.connect_read_pipe(partial(Ear, number, self.heard, silenced), pipe)
            self.ears.append(ear)
            self.silenced.append(silenced)
        for number in (STDIN, ANSWERS):
            mouth = os.fdopen(self._ours.pop(number), "wb", buffering=0)
            self.mouths[number] = await self.loop.connect_write_pipe(Mouth, mouth)

    def _close_unadopted(self) -> None:
        for fd in self._ours.values():
            os.close(fd)
        self._ours.clear()

    async def _abandon(self) -> None:
        """The start failed half way: without a start order the supervisor just leaves."""
        self._close_unadopted()
        self._close_everything()
        if self.guard is not None:
            self.guard.kill()
            await self.guard.collected()

    # -- in between

    def say(self, line: bytes) -> None:
        """A line on the program's answers descriptor."""
        mouth, _ = self.mouths[ANSWERS]
        if not mouth.is_closing() and mouth.get_write_buffer_size() < ANSWERS_BYTES_MAX:
            mouth.write(line + b"\n")

    def end(self, why: Literal["stop", "timeout"], grace_ms: int) -> None:
        """TERM to everything now, KILL after the grace. Asking again may only shorten the grace."""
        if self.is_over:
            return
        self.asked_to_end = self.asked_to_end or why
        self._tell(stop={"grace_ms": grace_ms})
        self._expect_a_word_within(grace_ms + SUPERVISOR_SILENCE_MS)

    # -- the end

    async def ended(self) -> Ended:
        """Wait until no process of the run is left; everything is closed and collected then. Survives being
        cancelled.
        """
        try:
            await asyncio.shield(self.closed)
        except asyncio.CancelledError:
            self.end("stop", 0)
            await self._finish()
            raise
        return await self._finish()

    async def _finish(self) -> Ended:
        guard = self.guard
        assert guard is not None, "ended() comes after begin()"
        await asyncio.shield(self.closed)
        await guard.collected()
        lost = self.gone is None
        hunted = await kill_until_none_is_left(self.program.marker, self.session) if lost else 0
        await self._drain()
        self._close_everything()
        return self._verdict(lost=lost, hunted=hunted)

    def _verdict(self, *, lost: bool, hunted: int) -> Ended:
        exited = self.exited or Exited()
        if self.gone is not None:
            proof = Proof(signals=self.gone.signals, reaped=self.gone.reaped)
        else:
            proof = Proof(signals=("KILL",), reaped=hunted)
        return Ended(
            why=self._why(lost=lost),
            proof=proof,
            exit_code=exited.code,
            signal=exited.signal,
            trouble=self.refused,
        )

    def _why(self, *, lost: bool) -> Why:
        if self.refused:
            return "refused"
        if lost:
            return self.asked_to_end or ("lost" if self.exited is None else "exit")
        if self.asked_to_end is not None and self.gone is not None and "TERM" in self.gone.signals:
            return self.asked_to_end
        return "exit"  # also when it had left before the TERM could reach it

    async def _drain(self) -> None:
        """Read what is still in the pipes, but wait for nobody who keeps one open."""
        await asyncio.wait(self.silenced, timeout=DRAIN_MS / 1000)

    def _close_everything(self) -> None:
        self.is_over = True
        if self.patience is not None:
            self.patience.cancel()
        for ear in self.ears:
            ear.close()
        for mouth, end in self.mouths.values():
            if not end.closed:  # a closed one no longer has a loop to be aborted in
                mouth.abort()
        if self.control is not None:
            self.control.abort()

    # -- the supervisor

    def _tell(self, **frame: object) -> None:
        if self.control is not None and not self.control.is_closing():
            body = _encode(frame)
            self.control.write(len(body).to_bytes(4, "big") + body)

    def _hear(self, word: Word) -> None:
        if self.patience is not None:
            self._expect_a_word_within(SUPERVISOR_SILENCE_MS)
        if word.started is not None:
            self.session = word.started
        if word.refused is not None:
            self.refused = word.refused
        if word.exited is not None:
            self.exited = word.exited
        if word.gone is not None:
            self.gone = word.gone

    def _expect_a_word_within(self, silence_ms: int) -> None:
        if self.patience is not None:
            self.patience.cancel()
        self.patience = self.loop.call_later(silence_ms / 1000, self._lose_patience)

    def _lose_patience(self) -> None:
        """Stopped, stuck or starved: without it the hunt by marker does its work."""
        if self.guard is not None:
            self.guard.kill()
