"""Sidecars in processes of their own, and what their runs wrote down.

Owns the sidecar's start, its end by signal, and the account that the runs keep in a file. The hub beside it
is `HubProcess` of the hub's tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from hub.history import Record, records_of
from tests.hub.conftest import ROOT, HubProcess
from tests.waiting import until, until_true

WORKER = Path(__file__).parent / "programs" / "worker.py"

QUICK = {"HUB_HEARTBEAT_MS": "2000", "HUB_LEASE_MS": "20000"}
"""Hub settings of a test that waits for a beat."""


class SidecarProcess:
    """One sidecar, which a test may kill and start again on the same journal."""

    def __init__(self, folder: Path, agent_id: str, url: str, token: str, runs: Path) -> None:
        self.agent_id = agent_id
        self.folder = folder / agent_id
        self.folder.mkdir()
        self.log = self.folder / "sidecar.log"
        self.runs = runs
        self.words: tuple[str, ...] = ("--command", f"{sys.executable} -S {WORKER} {runs}")
        """What it runs: the tests' own worker, unless a test says otherwise."""
        self.module = "sidecar.cli"
        """The program: what people run, unless a test has one with a flaw."""
        self.environment: dict[str, str] = {}
        """More of its settings, at every start."""
        self.url = url
        self._token = self.folder / "token"
        self._token.write_text(token)
        self._token.chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *words: str, **environment: str) -> None:
        """Returns at once: `connected` waits until the hub knows it."""
        assert not self.is_running
        said = {
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "SIDECAR_RETRY_FIRST_MS": "600",
            "SIDECAR_RETRY_MOST_MS": "2000",
            **self.environment,
            **environment,
        }
        where = ("--agent-id", self.agent_id, "--token-file", str(self._token))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    self.module,
                    "connect",
                    self.url,
                    *where,
                    *self.words,
                    *words,
                ],
                env={**os.environ, **said},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        process = self.process
        until_true(lambda: process.poll() is not None, f"the sidecar {self.agent_id} has ended", 80)
        return process.returncode

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """Whatever it was doing, and however it was stopped."""
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGINT)  # the second word; two of one kind may reach it as one
            try:
                self.wait()
            except AssertionError:
                self.kill()

    def status(self) -> dict[str, Any]:
        """What it last wrote for `sidecar status`."""
        found = next(self.folder.glob("state/**/status.json"), None)
        if found is None:
            return {}
        status: dict[str, Any] = msgspec.json.decode(found.read_bytes())
        return status


def runs_of(path: Path, task_id: str | None = None) -> list[Record]:
    """What the runs wrote down, of one task or of all."""
    if not path.exists():
        return []
    return [record for record in records_of(path) if task_id is None or record.task == task_id]


def starts_of(path: Path, task_id: str) -> list[Record]:
    return [record for record in runs_of(path, task_id) if record.f == "start"]


async def connected(hub: HubProcess, agent_id: str) -> dict[str, Any]:
    """Wait until the hub knows this agent as connected."""
    return await becomes(hub, f"/api/agents/{agent_id}", lambda agent: agent.get("connected"), 80)


async def ended(hub: HubProcess, task_id: str, patience: float = 80) -> dict[str, Any]:
    """Wait until a task is over, and return it."""
    return await becomes(hub, f"/api/tasks/{task_id}", lambda task: task.get("ending") is not None, patience)


async def in_state(hub: HubProcess, task_id: str, *states: str, patience: float = 80) -> dict[str, Any]:
    return await becomes(hub, f"/api/tasks/{task_id}", lambda task: task.get("state") in states, patience)


async def becomes(hub: HubProcess, path: str, is_so: Any, patience: float) -> dict[str, Any]:
    """Ask the API again and again, also while the hub is away, until what it shows is so."""
    shown: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {hub.admin_token}"}
    with httpx.Client(base_url=hub.address, headers=headers, timeout=10, trust_env=False) as client:

        def look() -> dict[str, Any] | None:
            try:
                answer = client.get(path)
            except httpx.TransportError:
                return None
            shown.clear()
            shown.update(answer.json())
            return dict(shown) if answer.is_success and is_so(shown) else None

        try:
            found = await until(look, f"{path} is as it should be", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; last it was {shown}") from None
    assert found is not None
    return found


def is_alive(pid: int) -> bool:
    """A process that is more than a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
