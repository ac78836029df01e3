"""The processes of a measurement: a hub, a sidecar, a bare echo server, each alone in its process.

Owns starting them in a temporary folder and stopping them by their ids. Never measures anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

STOP_S_MAX = 30


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours, and the first line that it printed."""

    process: subprocess.Popen[str]
    said: dict[str, str]

    def rss_kib(self) -> int:
        """Resident memory now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu_s(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def child(
    folder: Path,
    name: str,
    arguments: Sequence[str],
    *,
    speaks: bool = True,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Child]:
    """Run a module of ours; if it speaks, wait for its first line, which is a JSON object."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("HUB_", "SIDECAR_"))}
    environment = (
        bare
        | dict(settings)
        | {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    )
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            line = process.stdout.readline() if speaks and process.stdout is not None else "{}"
            if not line:
                raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-3000:]}")
            yield Child(process, json.loads(line))
        finally:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


@dataclass(frozen=True, slots=True)
class Hub:
    child: Child
    url: str
    token: str


@contextlib.contextmanager
def hub(folder: Path, durability: str = "full", **settings: str) -> Iterator[Hub]:
    """A hub on a free port; `settings` by the names of its environment."""
    words = ("hub.cli", "serve", "--port", "0", "--durability", durability)
    with child(folder, "hub", words, settings=settings) as running:
        local = json.loads((folder / "config" / "crewhub" / "local-hub.json").read_text())
        yield Hub(running, running.said["url"], local["admin_token"])


@contextlib.contextmanager
def sidecar(folder: Path, agent_id: str, slots: int) -> Iterator[Child]:
    """A sidecar with the echo runner in its process."""
    words = (
        "sidecar.cli",
        "connect",
        "--agent-id",
        agent_id,
        "--slots",
        str(slots),
        "--log-level",
        "warning",
    )
    with child(folder, agent_id, words, speaks=False) as running:
        yield running


@contextlib.contextmanager
def echo_server(folder: Path) -> Iterator[str]:
    """A Starlette WebSocket that says back what it hears, served as the hub is."""
    with child(folder, "echo", ("bench.echo",)) as running:
        yield running.said["url"]
