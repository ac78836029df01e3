"""What a container, a pod or a unit would run, run here: the same words, with the paths of a test's folder.

Owns the processes and the exchange of paths and ports. Where the words come from is the tests' affair.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.house.tree import ROOT
from tests.hub.conftest import free_port
from tests.waiting import until_true

PROGRAMS = str(Path(sys.executable).parent)
START_S = 150.0
"""A sidecar loads crewai before it is ready, which takes long on a busy machine."""


class Place:
    """A folder that stands for the file system, and what is exchanged in every word."""

    def __init__(self, folder: Path, **swaps: str) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.swaps = swaps

    def swapped(self, text: str) -> str:
        for there, here in self.swaps.items():
            text = text.replace(there, here)
        return text

    def environment(self, said: Mapping[str, str]) -> dict[str, str]:
        """Nothing of this machine's settings, and everything that was said."""
        own = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        return own | {name: self.swapped(value) for name, value in said.items()}

    def run(self, words: Sequence[str], **said: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.swapped(word) for word in words],
            cwd=self.folder,
            env=self.environment(said),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def running(self, words: Sequence[str], said: Mapping[str, str]) -> Iterator[Running]:
        """Stopped at the end as Docker, the kubelet and systemd do it."""
        log = self.folder / f"{free_port()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.swapped(word) for word in words],
                cwd=self.folder,
                env=self.environment(said),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        running = Running(process, log)
        try:
            yield running
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


class Running:
    """A process, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def until_answers(self, url: str) -> None:
        """Fails at once, with what it said, when the process has ended."""

        def answers() -> bool:
            assert self.process.poll() is None, self.said
            return status_of(url) == 200

        until_true(answers, f"{url} answers", START_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        until_true(lambda: self.process.poll() is not None, "it has ended")
        return self.process.returncode

    def first_token(self) -> str:
        found = re.search(r"\bhuba_[0-9A-Za-z]{49}\b", self.said)
        assert found is not None, self.said
        return found.group()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def asked(url: str, token: str, body: dict[str, Any] | None = None) -> Any:
    """A GET, or a POST of JSON."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
        return json.loads(answer.read())
