"""Tests of plugins: the fixture `run_plugin` runs a real crew with the offline model, and tells what it said.

Owns what a test needs in place of a sidecar: the order, the pipes, the answers of people, the patience. A
pytest plugin: `pytest_plugins = ["crews.testing"]`. Never imports crewai: runs are processes of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import msgspec
import pytest

from crews import clock
from crews.order import Order, Step
from crews.transcript import Transcript
from plugins import keys as credentials
from plugins.contract import Plugin
from plugins.loader import find
from plugins.settings import check_settings
from protocol.ids import TaskId, question_id

PATIENCE_S: Final = 60.0
"""To tell a run that goes on from one that hangs; a run takes a fraction of a second."""

IMPORT_S_MAX: Final = 120.0
"""For the import of crewai and the plugin, once: three seconds on a quiet machine."""

TASK: Final = TaskId("task-00000000000000aa")
"""The name of a trial's task, so that ids of questions are the same every time."""

Answers: TypeAlias = Sequence[object] | Callable[[str], object]
StopWhen: TypeAlias = Callable[[Mapping[str, Any]], bool] | None


class UnfitTrial(Exception):
    """A run that could not be tried, or that did not end: the sentence says why."""


class Trials:
    """The process that has imported a plugin, and the runs in it."""

    def __init__(self, folder: Path) -> None:
        self.plugin = plugin_in(folder)
        self._workspaces = tempfile.TemporaryDirectory(prefix="crewhub-trials-")
        self._count = 0
        self._output = Path(self._workspaces.name, "import.log")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs, self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-P", "-m", "crews.trial", str(theirs.fileno()), str(self.plugin.folder)],
                env=environment(Path(self._workspaces.name)),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._refuse_troubles()

    def run(self, order: Order, answers: Answers, stop_when: StopWhen, patience_s: float) -> Transcript:
        """One run from its beginning to its end."""
        self._count += 1
        workspace = Path(self._workspaces.name, f"run-{self._count}")
        workspace.mkdir()
        output = workspace / "output.log"
        with contextlib.ExitStack() as ends:
            ours = self._begin(environment(workspace), output, ends)
            with contextlib.suppress(BrokenPipeError), os.fdopen(ours[0], "wb") as pipe:
                pipe.write(msgspec.json.encode(order))
            talk = Talk(ours[1], ours[2], ours[3], answers, stop_when)
            code = talk.until_the_end(patience_s)
        printed = output.read_text(encoding="utf-8", errors="replace")
        return Transcript(talk.lines, code, printed)

    def close(self) -> None:
        self._socket.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._workspaces.cleanup()

    def _begin(self, environ: Mapping[str, str], output: Path, ends: contextlib.ExitStack) -> tuple[int, ...]:
        """Have the run forked. Ours are: its order, its report, its answers, its end."""
        stdin, report, answers, over = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        printed = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
        theirs = [stdin[0], printed, printed, report[1], answers[0], over[1]]
        for fd in (report[0], answers[1], over[0]):
            ends.callback(os.close, fd)
        try:
            socket.send_fds(self._socket, [json.dumps(dict(environ)).encode()], theirs)
        finally:
            for fd in set(theirs):
                os.close(fd)
        return stdin[1], report[0], answers[1], over[0]

    def _refuse_troubles(self) -> None:
        self._socket.settimeout(IMPORT_S_MAX)
        try:
            size = int.from_bytes(self._hear(8))
            report = json.loads(self._hear(size))
        except (OSError, EOFError) as error:
            self._process.kill()
            self.close()
            raise UnfitTrial(f"crewai could not be imported: {error}") from error
        self._socket.settimeout(None)
        if report["troubles"]:
            self.close()
            told = "\n".join(f"{one['sentence']}\n{one['traceback']}" for one in report["troubles"])
            raise UnfitTrial(told.strip())

    def _hear(self, size: int) -> bytes:
        heard = b""
        while len(heard) < size:
            piece = self._socket.recv(size - len(heard))
            if not piece:
                raise EOFError(self._output.read_text(errors="replace")[-2000:] or "it ended without a word")
            heard += piece
        return heard


class Talk:
    """The conversation with one run."""

    def __init__(self, report: int, answers: int, over: int, people: Answers, stop_when: StopWhen) -> None:
        self.lines: list[dict[str, Any]] = []
        self._report, self._answers, self._over = report, answers, over
        self._people = people
        self._stop_when = stop_when
        self._open = {report: b"", over: b""}
        self._asked: dict[str, int] = {}
        self._pid = 0
        self._code: int | None = None

    def until_the_end(self, patience_s: float) -> int:
        """Hear the run to its end; its exit code, or minus the signal that ended it."""
        due_s = clock.monotonic_s() + patience_s
        waiting = [self._report, self._over]
        while self._over in waiting:
            ready, _, _ = select.select(waiting, (), (), max(0.0, due_s - clock.monotonic_s()))
            if not ready:
                self._give_up(f"did not end within {patience_s:g} s")
            waiting = [fd for fd in waiting if fd not in ready or self._read(fd)]
        os.set_blocking(self._report, False)
        with contextlib.suppress(BlockingIOError):
            while self._report in waiting and self._read(self._report):
                pass
        if self._code is None:
            self._give_up("was lost: the process for trials has ended")
        return self._code

    def _read(self, fd: int) -> bool:
        piece = os.read(fd, 1 << 16)
        *whole, self._open[fd] = (self._open[fd] + piece).split(b"\n")
        for raw in whole:
            line = json.loads(raw)
            if fd == self._over:
                self._pid, self._code = line.get("pid", self._pid), line.get("code", self._code)
            else:
                self._take(line)
        return bool(piece)

    def _take(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if "ask" in line:
            self._answer(line["ask"])
        if self._stop_when is not None and self._stop_when(line):
            self._stop_when = None
            self._say(stop="cancel")

    def _answer(self, prompt: str) -> None:
        ordinal = self._asked[prompt] = self._asked.get(prompt, 0) + 1
        number = sum(self._asked.values()) - 1
        if callable(self._people):
            value = self._people(prompt)
        elif number < len(self._people):
            value = self._people[number]
        else:
            self._give_up(f"asked {prompt!r}, and the test has no answer left: give `answers`")
        self._say(request_id=question_id(TASK, ordinal, prompt), value=value)

    def _say(self, **members: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended meanwhile
            os.write(self._answers, json.dumps(members).encode() + b"\n")

    def _give_up(self, why: str) -> NoReturn:
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        said = "\n".join(json.dumps(line)[:300] for line in self.lines[-10:]) or "nothing"
        raise UnfitTrial(f"the run {why}; the last that it said:\n{said}")


# ---- the order ---------------------------------------------------------------------------------------------


def plugin_in(folder: Path) -> Plugin:
    found = find([folder])
    if len(found.plugins) != 1:
        sentences = "; ".join(trouble.sentence for trouble in found.troubles)
        raise UnfitTrial(sentences or f"{folder} is not the folder of one plugin")
    return next(iter(found.plugins.values()))


def order_for(
    plugin: Plugin,
    settings: Mapping[str, Any],
    *,
    description: str = "",
    offline: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    keys: Mapping[str, Any] | None = None,
    done: Sequence[Mapping[str, Any]] = (),
    attempt: int = 1,
) -> Order:
    """The order as a sidecar would write it; `done` are the `steps` of an earlier attempt's transcript."""
    own, secrets = credentials.split(settings)
    told = dict(metadata or {}) | ({} if offline is None else {"offline": dict(offline)})
    return Order(
        task_id=TASK,
        plugin=plugin.name,
        attempt=attempt,
        attempts_max=max(attempt, 3),
        description=description,
        settings=check_settings(plugin, own, description),
        keys={"llm_model": "offline"} | secrets | dict(keys or {}),
        inputs=own,
        metadata=told,
        done=[Step(index=index, output=dict(output)) for index, output in enumerate(done)] or None,
    )


def environment(workspace: Path) -> dict[str, str]:
    """What a run finds: no credential of whoever runs the tests is in it."""
    packages = str(Path(__file__).resolve().parent.parent)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": packages,
        "LANG": "C.UTF-8",
        "HOME": str(workspace),
        "TMPDIR": str(workspace),
        "CREWHUB_WORKSPACE": str(workspace),
    }


# ---- the fixtures ------------------------------------------------------------------------------------------

RunPlugin: TypeAlias = Callable[..., Transcript]


@pytest.fixture(scope="session")
def plugin_trials() -> Iterator[Callable[[Path], Trials]]:
    """One process for each plugin that is tried, for all tests."""
    started: dict[Path, Trials] = {}

    def trials_of(folder: Path) -> Trials:
        folder = folder.resolve()
        if folder not in started:
            started[folder] = Trials(folder)
        return started[folder]

    yield trials_of
    for trials in started.values():
        trials.close()


@pytest.fixture
def run_plugin(plugin_trials: Callable[[Path], Trials]) -> RunPlugin:
    """Run a plugin's crew offline: `run_plugin("plugins/mine", {"topics": ["cats"]}).result`."""

    def run(
        folder: str | Path,
        settings: Mapping[str, Any] | None = None,
        *,
        answers: Answers = (),
        stop_when: StopWhen = None,
        patience_s: float = PATIENCE_S,
        **order: Any,
    ) -> Transcript:
        trials = plugin_trials(Path(folder))
        return trials.run(order_for(trials.plugin, settings or {}, **order), answers, stop_when, patience_s)

    return run
