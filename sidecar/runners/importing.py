"""The process in which plugins are imported, as the sidecar sees it: started, heard, ended.

Owns its start in a clean environment, its report, and the last of what it printed, which is quoted when it
fails. Whether it is forked afterwards or just leaves is its caller's. The sidecar itself never imports what
that process imports.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sidecar.runners.clean import importing_environment
from sidecar.runners.guard import ROOT, reap
from sidecar.runners.hunt import MARKER_VARIABLE
from sidecar.runners.mark import PLACEHOLDER
from sidecar.runners.pipes import Ear
from sidecar.runners.prepared import CannotPrepare, Prepared, read_report

START_MS: Final = 120_000
"""Importing takes 3 to 6 seconds on an idle machine; what takes two minutes hangs."""

LEAVE_MS: Final = 5_000
"""A zygote leaves at once when its socket closes; after this it is killed."""

REPORT_BYTES_MAX: Final = 4 * 1024 * 1024
"""A hundred broken plugins with a traceback each."""

TAIL_BYTES_MAX: Final = 16 * 1024
QUOTED_LENGTH_MAX: Final = 2_000
"""Kept of what it prints, and quoted in an error: the end of a traceback says what happened."""

OURS_FIRST: Final = "import sys; sys.argv[1] in sys.path or sys.path.insert(0, sys.argv[1]); "
"""-P leaves the current folder out of the path; whatever is installed can be imported. A sidecar that runs
from a source tree is followed by the code of that tree, whatever is installed beside it.
"""

ZYGOTE: Final = OURS_FIRST + "from sidecar.runners.zygote import main; main(*sys.argv[2:])"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What is imported and how: the child module's name, the plugin folders, a folder of its own to write
    in, and which variables of the sidecar's environment it sees.
    """

    child: str
    folders: tuple[str, ...]
    folder: Path
    environ: Mapping[str, str]
    passed_on: tuple[str, ...]

    @classmethod
    def of(
        cls,
        child: str,
        folders: Sequence[str | Path],
        folder: Path,
        environ: Mapping[str, str],
        passed_on: Sequence[str],
    ) -> Recipe:
        """With absolute paths: no process that imports or runs is where the sidecar is."""
        return cls(
            child=child,
            folders=tuple(str(Path(each).absolute()) for each in folders),
            folder=folder.absolute(),
            environ=environ,
            passed_on=tuple(passed_on),
        )


class Report(asyncio.Protocol):
    """The one line it says; nothing when it ended before."""

    def __init__(self, line: asyncio.Future[bytes]) -> None:
        self.line = line
        self.heard = bytearray()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if self.heard.endswith(b"\n") or len(self.heard) > REPORT_BYTES_MAX:
            self._settle(bytes(self.heard))

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(b"")

    def _settle(self, line: bytes) -> None:
        if not self.line.done():
            self.line.set_result(line)


class Importer:
    """One such process: `begin`, then `prepared`, and at last `end`, whatever happened between."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tail = b""
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_unwanted = False
        self._line: asyncio.Future[bytes] = self._loop.create_future()
        self._ears: list[asyncio.ReadTransport] = []

    async def begin(self, requests: socket.socket | None = None) -> None:
        """Start it; with the far end of a socket it stays and answers there. CannotPrepare when it cannot
        be started.
        """
        with contextlib.ExitStack() as theirs:
            try:
                report_fd = await self._listen(theirs, Report(self._line))
                printed_fd = await self._listen(theirs, Ear(1, self.hear, self._loop.create_future()))
                self._process = self._start(requests, report_fd, printed_fd)
            except OSError as trouble:
                self._close()
                reason = trouble.strerror or str(trouble)
                raise CannotPrepare(f"the process for the plugins cannot be started: {reason}") from trouble
            except BaseException:
                self._close()
                raise

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    async def prepared(self) -> Prepared:
        """What it said of the plugins. CannotPrepare when it said nothing of use, or nothing in time."""
        try:
            async with asyncio.timeout(START_MS / 1000):
                line = await self._line
        except TimeoutError:
            late = f"importing the plugins took more than {START_MS // 1000} s and was given up"
            raise CannotPrepare(self.quoting(late)) from None
        if line:
            return read_report(line)
        await self.end()
        raise CannotPrepare(
            self.quoting(f"the process for the plugins ended while importing ({self._how()})")
        )

    def quoting(self, sentence: str) -> str:
        """The sentence, and behind it the last that was printed."""
        words = self.tail.decode(errors="replace").replace("\0", "\ufffd").strip()[-QUOTED_LENGTH_MAX:]
        return f"{sentence}; last output:\n{words}" if words else sentence

    def kill(self) -> None:
        """End it now, or keep it from being started."""
        self._is_unwanted = True
        if self._process is not None:
            self._process.kill()

    async def ended(self) -> None:
        """Return when the process is gone."""
        if self._process is not None:
            await reap(self._process)

    async def end(self) -> None:
        """Let it leave, or kill it; nothing of it is open afterwards."""
        try:
            async with asyncio.timeout(LEAVE_MS / 1000):
                await self.ended()
        except TimeoutError:
            pass
        finally:
            self.kill()
            await self.ended()
            self._close()

    # -- its pipes

    async def _listen(self, theirs: contextlib.ExitStack, ear: asyncio.Protocol) -> int:
        read_fd, write_fd = os.pipe()
        theirs.callback(os.close, write_fd)
        end, _ = await self._loop.connect_read_pipe(lambda: ear, os.fdopen(read_fd, "rb", buffering=0))
        self._ears.append(end)
        return write_fd

    def hear(self, descriptor: int, piece: bytes) -> None:
        self.tail = (self.tail + piece)[-TAIL_BYTES_MAX:]

    def _close(self) -> None:
        for ear in self._ears:
            ear.close()

    # -- its start and its end

    def _start(
        self, requests: socket.socket | None, report_fd: int, printed_fd: int
    ) -> subprocess.Popen[bytes]:
        if self._is_unwanted:
            raise CannotPrepare("it is no longer wanted")
        recipe = self.recipe
        environment = importing_environment(recipe.environ, recipe.passed_on, recipe.folder)
        numbers = [requests.fileno(), report_fd] if requests is not None else [report_fd]
        asked = [str(requests.fileno()) if requests is not None else "", str(report_fd), str(os.getpid())]
        return subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-P", "-c", ZYGOTE, ROOT, *asked, recipe.child, *recipe.folders],
            stdin=subprocess.DEVNULL,
            stdout=printed_fd,
            stderr=printed_fd,
            pass_fds=numbers,
            start_new_session=True,
            cwd=recipe.folder,
            env=environment | {MARKER_VARIABLE: PLACEHOLDER},
        )

    def _how(self) -> str:
        code = self._process.returncode if self._process is not None else None
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
