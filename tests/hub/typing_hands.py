"""Somebody who types `hub …`: the command as a process of its own, and what came of it.

Owns the process, its environment and its end. Never imports the command that it runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hub.conftest import ROOT, Reachable

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as a program reads it."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(hub: Reachable | None, **more: str) -> dict[str, str]:
    there = {} if hub is None else {"HUB_URL": hub.address, "HUB_TOKEN": hub.admin_token}
    return {**os.environ, "PYTHONPATH": str(ROOT), **there, **more}


@asynccontextmanager
async def typed(
    hub: Reachable | None, *words: str, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command while it runs; killed at the end if it still does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli", *words),
        env=environment(hub, **environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=os.environ["HOME"],
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def said_by(process: asyncio.subprocess.Process, number: signal.Signals | None = None) -> Said:
    """What a command said until its end, which a signal may bring."""
    if number is not None:
        process.send_signal(number)
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Said(process.returncode, out.decode(), err.decode())


async def run(hub: Reachable | None, *words: str, **environ: str) -> Said:
    """`hub` with these words, to its end."""
    async with typed(hub, *words, **environ) as process:
        return await said_by(process)


async def line_of(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    async with asyncio.timeout(PATIENCE_S):
        return (await stream.readline()).decode()


def local_file() -> Path:
    """Where the test's own house keeps what `hub serve` writes down."""
    return Path(os.environ["HOME"]) / ".config" / "crewhub" / "local-hub.json"
