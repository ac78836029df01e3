"""Sidecars without a hub, in processes of their own, and a plugin whose runs wait for the test.

Owns the workers' start and end. Each run writes down that it began, and ends when its gate is there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.hub.conftest import ROOT
from tests.sidecar.pluginyard import Yard
from tests.streams.servers import free_port
from tests.waiting import until_true

PROGRAM = Path(__file__).parent / "programs" / "streamworker.py"
GATED = "gated"

BODY = """
    with open(settings["begun"], "a") as begun:
        begun.write(f"{settings['run']} {os.getpid()}\\n")
    while not os.path.exists(settings["gate"]):
        time.sleep(0.01)
    return {"summary": settings["run"], "sections": []}
"""


class StreamWorkers:
    """All workers of a test, below one folder, as one user's are."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.folder = folder
        self.state = folder / "state"
        self.yard = Yard(folder / "plugins")
        self.yard.write(GATED, body=BODY.strip())
        self.all: list[StreamProcess] = []

    def settings(self, run: str, **more: Any) -> dict[str, Any]:
        """What a run of the gated plugin needs."""
        return {
            "run": run,
            "begun": str(self.folder / "begun"),
            "gate": str(self.folder / f"gate-{run}"),
            **more,
        }

    def open(self, run: str) -> None:
        (self.folder / f"gate-{run}").touch()

    def begun(self) -> list[tuple[str, int]]:
        """Every start of a run, and its process."""
        file = self.folder / "begun"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(run, int(pid)) for run, pid in (line.split() for line in lines)]

    def runs_begun(self) -> list[str]:
        return [run for run, _ in self.begun()]

    def start(self, slots: int = 1) -> StreamProcess:
        """A worker that has loaded its plugins."""
        port = free_port()
        words = (self.url, str(self.yard.folder), str(self.state), str(slots), str(port))
        log = self.folder / f"worker-{len(self.all)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *words],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        worker = StreamProcess(process, log, port)
        self.all.append(worker)
        until_true(lambda: worker.says("works for"), "the worker is up")
        return worker

    def end(self) -> None:
        for worker in self.all:
            worker.end()


class StreamProcess:
    """One worker."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    def says(self, words: str) -> bool:
        assert self.process.poll() is None or words in self.log.read_text(), self.log.read_text()
        return words in self.log.read_text()

    def ready(self) -> tuple[int, dict[str, Any]]:
        """What a probe gets."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=30, trust_env=False)
        return answer.status_code, json.loads(answer.text)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        until_true(lambda: self.process.poll() is not None, "the worker has ended")
        code: int = self.process.wait()
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
