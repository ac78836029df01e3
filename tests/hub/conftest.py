"""Real hubs for tests: one in the test's own process and event loop, one in a process of its own.

Owns their start, their end, and how a test gets tokens and addresses. Both serve on a free port of 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.app import create_app
from hub.auth import LIFETIME_MS, SECRET_BYTES, Role, TokenRecord, mint
from hub.life import Life
from hub.parts import Parts
from hub.server import HubServer, configure, listen
from hub.settings import Settings
from protocol.ids import AgentId, TokenId
from tests.hub.peers import Peer
from tests.waiting import until, until_true

ROOT = Path(__file__).parents[2]


class Reachable:
    """What a test needs to talk to a hub, wherever it runs."""

    address: str
    admin_token: str

    @property
    def ws_address(self) -> str:
        return self.address.replace("http", "ws", 1)

    def http(self, token: str | None = None) -> httpx.AsyncClient:
        """A client with the admin's token, or another one."""
        headers = {"Authorization": f"Bearer {token or self.admin_token}"}
        return httpx.AsyncClient(base_url=self.address, headers=headers, timeout=20)

    async def push(self, agent_id: str, description: str = "", **more: Any) -> dict[str, Any]:
        """Push a task; the answer's body."""
        async with self.http() as client:
            body = {"agent_id": agent_id, "description": description or "work", **more}
            answer = await client.post("/api/admin/push-task", json=body)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

    async def task(self, task_id: str) -> dict[str, Any]:
        async with self.http() as client:
            answer = await client.get(f"/api/tasks/{task_id}")
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

    async def becomes(self, task_id: str, *states: str) -> dict[str, Any]:
        """The task, once it is in one of these states."""
        async with asyncio.timeout(60):
            while (task := await self.task(task_id))["state"] not in states:
                pass  # asking again is the pause
        return task

    async def agent(self, agent_id: str) -> dict[str, Any]:
        async with self.http() as client:
            answer = await client.get(f"/api/agents/{agent_id}")
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found


class RunningHub(Reachable):
    """A whole hub in this process: real ledger, real sockets, and its parts within reach."""

    def __init__(self, parts: Parts, server: HubServer, life: Life, port: int) -> None:
        self.parts = parts
        self.server = server
        self.life = life
        self.address = f"http://127.0.0.1:{port}"
        assert life.first_token is not None
        self.admin_token = life.first_token

    async def token(self, agent_id: str | None = None, role: Role = Role.AGENT) -> str:
        """A new token; an agent's by default."""
        token = mint(role, secrets.token_bytes(SECRET_BYTES))
        now = self.parts.clock.now().wall_ms
        record = TokenRecord(
            token_id=TokenId("tok-" + secrets.token_hex(8)),
            digest=self.parts.authority.digest(token),
            role=role,
            agent_id=AgentId(agent_id) if agent_id is not None else None,
            created_wall_ms=now,
            expires_wall_ms=now + LIFETIME_MS[role],
        )
        await self.parts.tokens.add(record)
        self.parts.authority.add(record)
        return token


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[RunningHub]:
    """A hub in this event loop, drained at the end."""
    life = Life()
    app = create_app(settings, life)
    listening = listen(settings)
    server = HubServer(configure(app, settings, life), life)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(server._serve([listening]))
        await until(lambda: server.started or life.has_failed or run.done(), "the hub serves")
        assert not life.has_failed, life.failure
        yield RunningHub(app.state.parts, server, life, listening.getsockname()[1])
        await Peer.end_all()
        server.stop()


@pytest.fixture
async def running_hub(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RunningHub]:
    """A hub in this process; `parametrize("running_hub", [{...}], indirect=True)` changes settings."""
    changed = getattr(request, "param", {})
    async with serving(Settings(port=0, state_dir=tmp_path / "hub", **changed)) as hub:
        yield hub
    assert hub.life.failure is None or changed.get("may_fail"), hub.life.failure


@pytest.fixture
async def start_hub(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start a hub with these settings in this process; all are drained at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(**changed: Any) -> RunningHub:
            settings = Settings(**{"port": 0, "state_dir": tmp_path / "hub", **changed})
            return await stack.enter_async_context(serving(settings))

        yield start


class HubProcess(Reachable):
    """A hub in a process of its own, which a test may kill and start again on the same ledger and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "hub.log"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.admin_token = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self, **environment: str) -> None:
        """Returns when it answers."""
        assert self.process is None or self.process.poll() is not None, "it is still running"
        said = {
            "HUB_PORT": str(self.port),
            "HUB_STATE_DIR": str(self.folder / "state"),
            "HUB_LOG_LEVEL": "info",
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hub.server"],
                env={**os.environ, **said},
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the hub did not start:\n{self.log.read_text()}"
        self.admin_token = json.loads(line)["token"] or self.admin_token

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it is over."""
        assert self.process is not None
        process = self.process
        until_true(lambda: process.poll() is not None, "the hub has ended", 60)
        if process.stdout is not None:
            process.stdout.close()
        return process.returncode

    def kill(self) -> None:
        """As the kernel or a power switch would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    async def token(self, agent_id: str | None = None, role: str = "agent") -> str:
        async with self.http() as client:
            answer = await client.post("/admin/tokens", json={"agent_id": agent_id, "role": role})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["token"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def hub_process(tmp_path: Path) -> AsyncIterator[HubProcess]:
    """A hub in its own process, not started yet; killed at the end of the test if it still runs."""
    hub = HubProcess(tmp_path)
    yield hub
    await Peer.end_all()
    if hub.process is not None and hub.process.poll() is None:
        hub.kill()
