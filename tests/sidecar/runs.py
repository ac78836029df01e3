"""What the tests of the runners share: making a run, hearing it, and looking for what is left of it in /proc.

Owns no test. The search is written apart from the sidecar's own: neither can hide a fault of the other.
"""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from protocol.ids import Generation, TaskId
from sidecar.runners.command import CommandRunner, CommandSettings
from sidecar.runners.contract import Answers, Logged, Order, Outcome, Report, StopSignal
from sidecar.workspace import Workspaces

PROGRAMS = Path(__file__).with_name("programs")


def order(description: str = "say hello", **members: Any) -> Order:
    wanted: dict[str, Any] = {
        "task_id": TaskId("task-00000000000000aa"),
        "generation": Generation(1),
    } | members
    return Order(description=description, **wanted)


def alive(mark: str) -> set[int]:
    """Living processes that carry the mark in the environment they were started with."""
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


class Bench:
    """One run of one program, with everything it said."""

    def __init__(self, state: Path, argv: tuple[str, ...], **settings: Any) -> None:
        self.mark = uuid.uuid4().hex
        wanted: dict[str, Any] = {"environment": ("TEST_MARK", "PATH")} | settings
        self.settings = CommandSettings(argv=argv, **wanted)
        self.workspaces = Workspaces(state)
        environ = {"TEST_MARK": self.mark, "PATH": "/usr/bin:/bin"}
        self.runner = CommandRunner(self.settings, self.workspaces, environ)
        self.reports: list[Report] = []
        self.stop = StopSignal()
        self.answers = Answers()

    async def run(self, wanted: Order | None = None) -> Outcome:
        return await self.runner.run(wanted or order(), self.reports.append, self.stop, self.answers)

    async def run_while(
        self, meanwhile: Callable[["Bench"], Awaitable[None]], wanted: Order | None = None
    ) -> Outcome:
        """Run it, and await what `meanwhile` returns beside it."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.run(wanted))
            await meanwhile(self)
        return running.result()

    def texts(self, kind: str) -> list[str]:
        return [said.text for said in self.reports if isinstance(said, Logged) and said.kind == kind]

    def left(self) -> set[int]:
        return alive(self.mark)

    def workspaces_left(self) -> list[Path]:
        return list(self.workspaces.folder.iterdir())


def script(state: Path, source: str, **settings: Any) -> Bench:
    """A run of a few lines of Python."""
    return Bench(state, (sys.executable, "-c", source), **settings)


def program(state: Path, name: str, **settings: Any) -> Bench:
    """A run of one of the programs beside this module."""
    return Bench(state, (sys.executable, str(PROGRAMS / f"{name}.py")), **settings)
