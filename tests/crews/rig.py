"""Runs of real crews for the tests: one process imports crewai once, and forks a run for each order.

Owns the pipes and the folder of a run, and hears what it says. Owns no test.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.waiting import until_true

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
ROOT = HERE.parent.parent

# Only to tell a run that goes on from one that hangs: two busy cores may be shared by eight.
PATIENCE_S = 120.0

Line = dict[str, Any]


class Running:
    """One run: what it was told, what it says, and how it ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[Line] = []
        self.answers: list[Line] = []
        self.output_file = folder / "output.log"
        self._answers_fd = -1
        self._threads: list[threading.Thread] = []

    # ---- in between

    def say(self, **line: object) -> None:
        """A line on the run's answers descriptor."""
        os.write(self._answers_fd, json.dumps(line).encode() + b"\n")

    def deafen(self) -> None:
        """The end of the answers: nobody will say anything any more."""
        os.close(self._answers_fd)
        self._answers_fd = -1

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        until_true(lambda: self.answers, "the run has begun", PATIENCE_S)
        return int(self.answers[0]["pid"])

    def question(self, number: int = 1) -> Line:
        """The question that was asked as the `number`th."""
        until_true(
            lambda: len(self.said("ask")) >= number or self.is_over, f"question {number} is asked", PATIENCE_S
        )
        return self.said("ask")[number - 1]

    # ---- the end

    @property
    def is_over(self) -> bool:
        return len(self.answers) > 1

    def ended(self) -> int:
        """Wait for the end; the exit code, or minus the signal."""
        until_true(lambda: self.is_over, f"the run has ended; it said {self.lines[-3:]}", PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return int(self.answers[1]["code"])

    def said(self, member: str) -> list[Line]:
        """The lines that have this member."""
        return [line for line in tuple(self.lines) if member in line]

    @property
    def result(self) -> Any:
        return self.said("result")[-1]["result"]

    @property
    def error(self) -> str:
        return str(self.said("error")[-1]["error"])

    @property
    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def calls(self) -> list[str]:
        """The agents that called a model, in their order."""
        return [
            line["data"]["agent"]
            for line in self.said("log")
            if line.get("kind") == "model" and line["data"].get("state") == "began"
        ]

    def logged(self, kind: str) -> list[Line]:
        return [line for line in self.said("log") if line.get("kind") == kind]

    # ---- the pipes

    def hear(self, fd: int, into: list[Line]) -> None:
        thread = threading.Thread(target=_read_lines, args=(fd, into), daemon=True)
        thread.start()
        self._threads.append(thread)

    def answer_through(self, fd: int) -> None:
        self._answers_fd = fd

    def close(self) -> None:
        if self.answers and not self.is_over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._answers_fd >= 0:
            self.deafen()
        for thread in self._threads:
            thread.join(PATIENCE_S)


def _read_lines(fd: int, into: list[Line]) -> None:
    with os.fdopen(fd, "rb") as pipe:
        for line in pipe:
            into.append(json.loads(line))


class Rig:
    """The process that has imported crewai and the plugins, and the runs that it forks."""

    def __init__(self, folder: Path, plugins: tuple[Path, ...] = (PLUGINS,)) -> None:
        self.folder = folder
        self.runs: list[Running] = []
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.crews.programs.forks", str(theirs.fileno())),
                *(str(place) for place in plugins),
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.report: dict[str, Any] = json.loads(self._socket.recv(1 << 20) or b"{}")

    def start(self, order: Mapping[str, Any], *, tripwire: bool = False) -> Running:
        """Begin a run of this order in a folder of its own."""
        folder = self.folder / f"run-{len(self.runs)}"
        workspace = folder / "workspace"
        (workspace / "tmp").mkdir(parents=True)
        run = Running(folder)
        self.runs.append(run)
        stdin, report, answers, ends = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        output = os.open(run.output_file, os.O_WRONLY | os.O_CREAT)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(workspace),
            "TMPDIR": str(workspace / "tmp"),
            "CREWHUB_WORKSPACE": str(workspace),
        }
        theirs = [stdin[0], output, output, report[1], answers[0], ends[1]]
        request = json.dumps({"environ": environ, "tripwire": tripwire}).encode()
        socket.send_fds(self._socket, [request], theirs)
        for fd in dict.fromkeys(theirs):
            os.close(fd)
        run.answer_through(answers[1])
        run.hear(report[0], run.lines)
        run.hear(ends[0], run.answers)
        with os.fdopen(stdin[1], "wb") as pipe:
            pipe.write(json.dumps(dict(order)).encode())
        return run

    def run(self, order: Mapping[str, Any], **more: Any) -> Running:
        """A run from its beginning to its end."""
        run = self.start(order, **more)
        run.ended()
        return run

    def close(self) -> None:
        for run in self.runs:
            run.close()
        self._socket.close()
        self._process.wait(PATIENCE_S)


@contextlib.contextmanager
def rig_in(folder: Path, *plugins: Path) -> Iterator[Rig]:
    rig = Rig(folder, plugins or (PLUGINS,))
    try:
        yield rig
    finally:
        rig.close()


def order(script: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """An order for the bench crew; `script` is what its agents say."""
    wanted: dict[str, Any] = {
        "task_id": "task-00000000000000aa",
        "generation": 1,
        "attempt": 1,
        "attempts_max": 1,
        "description": "look into cats",
        "plugin": "bench_crew",
        "inputs": {},
        "metadata": None if script is None else {"offline": dict(script)},
        "settings": {"topic": "cats"},
        "keys": {"llm_model": "offline"},
        "done": None,
        "answers": None,
        "time_left_ms": None,
        "trace": None,
    }
    settings = wanted["settings"] | members.pop("settings", {})
    return wanted | members | {"settings": settings}
