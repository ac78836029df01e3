"""A sidecar in the test's own event loop, and one as a real process.

Owns nothing of the sidecar: it only starts, waits and takes down.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sidecar.connect import Sidecar
from sidecar.runners.warm import CHILD
from sidecar.settings import Settings
from tests.sidecar.hubdouble import HubDouble

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def sidecar_of(
    hub: HubDouble, folder: Path, child: str = CHILD, said: list[str] | None = None, **settings: Any
) -> AsyncIterator[Sidecar]:
    """Connected in this loop; drained, or stopped, at the end. What it tells a person is put into `said`."""
    base: dict[str, Any] = {
        "hub_url": hub.url,
        "agent_id": "porter",
        "token": "t",
        "state_dir": folder,
        "retry_least_ms": 1,
        "retry_first_ms": 20,
        "retry_most_ms": 50,
    }
    told: list[str] = [] if said is None else said
    sidecar = Sidecar(Settings(**base | settings), told.append, child)
    sidecar.folder.create()
    sidecar.folder.lock()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sidecar.work())
        try:
            yield sidecar
        finally:
            with suppress(AttributeError):
                if sidecar.agent.drain():
                    sidecar.agent.drain()
            if not running.done():
                await running
            sidecar.folder.unlock()


class Process:
    """`sidecar …` as a child of the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, *arguments: str) -> Process:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sidecar.cli",
                *arguments,
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def end(self) -> tuple[int, str, str]:
        """Exit code and both outputs."""
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()

    async def kill(self) -> None:
        self.process.kill()
        await self.end()


@asynccontextmanager
async def sidecar_process(*arguments: str) -> AsyncIterator[Process]:
    """A process that does not outlive the test."""
    process = await Process.start(*arguments)
    try:
        yield process
    finally:
        if process.process.returncode is None:
            await process.kill()
