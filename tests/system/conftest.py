"""What tests of whole systems start with: a hub, a proxy before it, and sidecars, each a process.

Owns only fixtures; whatever is still running at the end of a test is ended here, by its id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos.proxy import Proxy
from tests.hub.conftest import HubProcess, hub_process
from tests.system.processes import QUICK, SidecarProcess
from tests.waiting import until

__all__ = ["hub_process"]

StartSidecar = Callable[..., Awaitable[SidecarProcess]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where the runs of a test write down that they started."""
    return tmp_path / "runs.jsonl"


@pytest.fixture
def hub(hub_process: HubProcess) -> HubProcess:
    """A hub that serves, with a short beat."""
    hub_process.start(**QUICK)
    return hub_process


@pytest.fixture
async def proxy(hub_process: HubProcess) -> AsyncIterator[Proxy]:
    """A proxy before the hub's port, whether that is up or not."""
    async with Proxy(hub_process.port) as proxy:
        yield proxy


@pytest.fixture
async def sidecar(hub: HubProcess, tmp_path: Path, runs: Path) -> AsyncIterator[StartSidecar]:
    """Start a sidecar for an agent id, at the hub or at another address; ended with the test."""
    async with AsyncExitStack() as stack:

        async def start(
            agent_id: str, url: str | None = None, words: tuple[str, ...] = (), **environment: str
        ) -> SidecarProcess:
            token = await hub.token(agent_id)
            one = SidecarProcess(tmp_path, agent_id, url or f"{hub.ws_address}/ws", token, runs)
            stack.callback(one.end)
            one.environment = environment
            one.words = words or one.words
            one.start()
            await until(lambda: one.status() or not one.is_running, f"{agent_id} is up", 80)
            assert one.is_running, one.log.read_text()
            return one

        yield start
