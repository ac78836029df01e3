"""A crew's run with a stand-in for its process: a few lines of Python that speak to the sidecar as crews do.

Owns no test. The stand-in is started by exec and under a real supervisor; no crewai is needed.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugins.contract import Found, Manifest, Plugin, Trouble
from sidecar.redaction import guarded
from sidecar.runners.contract import (
    Answers,
    Asked,
    Failed,
    Finished,
    Logged,
    Order,
    Outcome,
    Report,
    StopSignal,
)
from sidecar.runners.credentials import Account
from sidecar.runners.crew import CrewRunner, CrewSettings
from sidecar.runners.process import SUPERVISED, Launcher
from sidecar.workspace import Workspaces
from tests.sidecar.runs import alive, order
from tests.waiting import until

STAND_IN = """
import json, os, signal, sys, time
order = json.load(sys.stdin)
answers = open(4)
def say(**line): os.write(3, json.dumps(line).encode() + b"\\n")
def hear(): return json.loads(answers.readline())
"""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"topics": {"type": "array", "items": {"type": "string"}}, "length": {"type": "string"}},
    "additionalProperties": False,
}


def result_of(outcome: Outcome) -> Any:
    assert isinstance(outcome, Finished), outcome
    return json.loads(outcome.result)


def failure_of(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


class Cold:
    """Every run is this program, started anew."""

    def __init__(self, argv: tuple[str, ...], launcher: Launcher = SUPERVISED) -> None:
        self.argv = argv
        self.launcher = launcher


def plugins_of(*names: str, troubles: tuple[Trouble, ...] = ()) -> Found:
    """Plugins that need no files."""
    plugins = {
        name: Plugin(
            manifest=Manifest(name=name, version="1", default_config={"length": "short"}),
            folder=Path("/nowhere") / name,
            schema=SCHEMA,
        )
        for name in names
    }
    return Found(plugins=plugins, troubles=troubles)


class CrewBench:
    """One run of a stand-in, with everything it said. `environ` is what the sidecar itself finds."""

    def __init__(self, state: Path, argv: tuple[str, ...], environ: dict[str, str], **settings: Any) -> None:
        self.mark = uuid.uuid4().hex
        wanted: dict[str, Any] = {
            "account": Account(model="offline"),
            "environment": ("TEST_MARK",),
        } | settings
        self.workspaces = Workspaces(state)
        self.crews = CrewRunner(
            plugins_of("digest"),
            Cold(argv),
            self.workspaces,
            CrewSettings(**wanted),
            {"TEST_MARK": self.mark, "PATH": "/usr/bin:/bin"} | environ,
        )
        self.runner = guarded(self.crews, ())
        self.reports: list[Report] = []
        self.stop = StopSignal()
        self.answers = Answers()

    async def run(self, wanted: Order | None = None) -> Outcome:
        wanted = wanted or order(plugin="digest")
        return await self.runner.run(wanted, self.reports.append, self.stop, self.answers)

    async def run_while(
        self, meanwhile: Callable[["CrewBench"], Awaitable[None]], wanted: Order | None = None
    ) -> Outcome:
        """Run it, and await what `meanwhile` returns beside it."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.run(wanted))
            await meanwhile(self)
        return running.result()

    def texts(self, kind: str = "log") -> list[str]:
        return [said.text for said in self.reports if isinstance(said, Logged) and said.kind == kind]

    def questions(self) -> list[Asked]:
        return [said for said in self.reports if isinstance(said, Asked)]

    async def asked(self, number: int = 0) -> Asked:
        """The question with this number, as soon as it is asked."""
        await until(lambda: len(self.questions()) > number, f"question {number} was asked")
        return self.questions()[number]

    def left(self) -> set[int]:
        return alive(self.mark)

    def workspaces_left(self) -> list[Path]:
        return list(self.workspaces.folder.iterdir())


def crew(state: Path, source: str, environ: dict[str, str] | None = None, **settings: Any) -> CrewBench:
    """A run of a few lines behind those that every stand-in needs."""
    return CrewBench(state, (sys.executable, "-c", STAND_IN + source), environ or {}, **settings)


@contextmanager
def time_machine() -> Iterator[Callable[[float], None]]:
    """A way to let the loop's clock jump ahead by seconds, so that no test waits for what takes minutes."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0

    def jump(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    loop.time = lambda: real() + ahead  # type: ignore[method-assign]  # the loop's clock is the one thing feigned
    try:
        yield jump
    finally:
        loop.time = real  # type: ignore[method-assign]  # back to how it was
