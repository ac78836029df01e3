"""A terminal that `hub …` writes on and a person types at: the command runs on a real pseudo-terminal.

Owns the terminal and the process on it. Never imports the command that it runs.
"""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.hub.conftest import Reachable
from tests.hub.typing_hands import PATIENCE_S, environment
from tests.waiting import until

CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Screen:
    """What came to the terminal, and the keyboard before it."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.raw = b""
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)

    @property
    def text(self) -> str:
        """Everything that was written, without colours and movements."""
        return CONTROL.sub("", self.raw.decode(errors="replace"))

    @property
    def lines(self) -> list[str]:
        """The lines that stay: what was written over at the foot is not among them."""
        shown = self.raw.decode(errors="replace").replace("\r\n", "\n").split("\n")
        return [CONTROL.sub("", line.rsplit("\r\x1b[2K", 1)[-1]) for line in shown]

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def says(self, text: str, times: int = 1) -> None:
        await until(lambda: self.text.count(text) >= times, f"the terminal shows {text!r}", PATIENCE_S)

    async def ended(self) -> int:
        """The exit code, once everything was read."""
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
        await until(lambda: self._descriptor < 0, "the terminal was read to its end")
        assert "Traceback" not in self.text, self.text
        return code

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> None:
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # the last process that had the terminal is gone
            piece = b""
        self.raw += piece
        if not piece:
            self.close()


@asynccontextmanager
async def sitting_at(hub: Reachable | None, *words: str, **environ: str) -> AsyncIterator[Screen]:
    """The command on a terminal of its own, while it runs; killed at the end if it still does."""
    ours, its = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hub.cli", *words),
            env=environment(hub, **{"COLUMNS": "100", "TERM": "xterm", **environ}),
            stdin=its,
            stdout=its,
            stderr=its,
            cwd=os.environ["HOME"],
            start_new_session=True,
        )
    finally:
        os.close(its)
    screen = Screen(ours, process)
    try:
        yield screen
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        screen.close()
