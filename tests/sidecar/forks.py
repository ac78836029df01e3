"""What the tests of warm runs share: a zygote of the stand-in child, its runs, who is left of both.

Owns no test. Every process of it carries the mark that `tests.sidecar.runs.alive` looks for.
"""

import contextlib
import json
import os
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sidecar.clock import SidecarClock
from sidecar.runners.process import Ended, Launcher, Program, Run
from sidecar.runners.warm import Zygote
from tests.sidecar.runs import alive
from tests.waiting import until

CHILD = "tests.sidecar.programs.child"
PATIENCE_S = 45.0
"""Tells a hang from a busy machine; nothing here takes so long."""


def words_of(pid: int | None) -> list[str]:
    """State, parent, group, session and so on of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def descriptors(pid: int | str | None = "self") -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


async def no_more_descriptors_than(before: int) -> None:
    """The loop closes a pipe in its next turn."""
    await until(lambda: descriptors() <= before, "what was opened is closed", PATIENCE_S)


class One:
    """One run, with everything that came out of it."""

    def __init__(
        self, act: str, launcher: Launcher, folder: Path, environ: dict[str, str], argv: Any
    ) -> None:
        self.marker = uuid.uuid4().hex
        self.heard: dict[int, bytes] = defaultdict(bytes)
        program = Program(
            argv=argv,
            environment=environ | {"CREWHUB_RUN": self.marker, "TMPDIR": str(folder), "TZ": "Asia/Tokyo"},
            cwd=str(folder),
            marker=self.marker,
            stdin=json.dumps({"act": act}).encode(),
        )
        self.run = Run(program, self._hear, launcher)

    def _hear(self, descriptor: int, piece: bytes) -> None:
        self.heard[descriptor] += piece

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.heard[3].splitlines()]

    @property
    def guard(self) -> int:
        """The number of the run's guard, while both live."""
        return int(words_of(self.run.session)[1])

    @property
    def result(self) -> Any:
        return next(line["result"] for line in self.lines() if "result" in line)

    async def is_up(self, count: int = 1) -> None:
        await until(lambda: self.heard[3].count(b'"up"') >= count, f"{count} are up", PATIENCE_S)
        await until(lambda: self.run.session, "its guard has told its number", PATIENCE_S)

    async def family_is_up(self) -> None:
        """The grandchild by fork, and the one by exec."""
        await self.is_up()
        await until(lambda: b"." in self.heard[1], "the executed grandchild is up", PATIENCE_S)


class Nursery:
    """A zygote, and the runs of it."""

    def __init__(self, folder: Path, clock: SidecarClock | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = folder / "work"
        self.folder.mkdir()
        self.plugins = folder / "plugins"
        self.plugins.mkdir()
        self.environ = {"TEST_MARK": self.mark, "PATH": os.environ["PATH"], "A_SECRET": "sk-never"}
        self.zygote = Zygote(
            folder / "zygote",
            [self.plugins],
            self.environ,
            passed_on=("TEST_MARK", "PATH"),
            child=CHILD,
            clock=clock,
        )

    def one(self, act: str, launcher: Launcher | None = None, argv: tuple[str, ...] = ()) -> One:
        environ = {"TEST_MARK": self.mark, "PATH": os.environ["PATH"]}
        return One(act, launcher or self.zygote.launcher, self.folder, environ, argv)

    async def begun(self, act: str) -> One:
        one = self.one(act)
        await one.run.begin()
        return one

    async def done(self, act: str) -> tuple[One, Ended]:
        one = await self.begun(act)
        return one, await one.run.ended()

    def prepares(self, what: str) -> None:
        """From now on the import does this, if anything."""
        (self.plugins / "prepare").write_text(what) if what else (self.plugins / "prepare").unlink()

    def imports(self) -> int:
        """How often everything was imported."""
        told = self.plugins / "prepared"
        return len(told.read_text().splitlines()) if told.exists() else 0

    def left(self) -> set[int]:
        """What is alive, but for the zygote itself."""
        return alive(self.mark) - {self.zygote.pid or 0}

    async def none_is_left(self) -> None:
        await until(lambda: not alive(self.mark), "no process is left", PATIENCE_S)


@contextlib.asynccontextmanager
async def nursery_in(folder: Path, clock: SidecarClock | None = None) -> AsyncIterator[Nursery]:
    """With nothing of it left at the end."""
    nursery = Nursery(folder, clock)
    try:
        yield nursery
    finally:
        await nursery.zygote.close()
    await nursery.none_is_left()
