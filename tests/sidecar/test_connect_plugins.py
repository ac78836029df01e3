"""A connected sidecar with plugins: what its card says, while they load and when they change."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from protocol import frames as f
from sidecar.connect import LOADING, Sidecar
from tests.sidecar.dialogue import raw
from tests.sidecar.hubdouble import HubDouble, hub_double
from tests.sidecar.pluginyard import CHILD, Yard
from tests.sidecar.process import sidecar_of
from tests.waiting import until

PATIENCE_S = 60.0


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path / "plugins")


@asynccontextmanager
async def with_plugins(
    hub: HubDouble, yard: Yard, said: list[str] | None = None, **settings: Any
) -> AsyncIterator[Sidecar]:
    folder = yard.folder.parent / "state"
    members = {"plugins": (str(yard.folder),), "model": "offline", **settings}
    async with sidecar_of(hub, folder, CHILD, said, **members) as sidecar:
        yield sidecar


async def callers(hub: HubDouble, number: int) -> f.Identify:
    await until(lambda: len(hub.callers) >= number, f"it dials {number} times", PATIENCE_S)
    return (await hub.caller(number)).identify


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def asked(port: int, path: str) -> tuple[int, dict[str, Any]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_the_card_names_commands_and_plugins_and_what_they_can_do(hub: HubDouble, yard: Yard) -> None:
    yard.write("digest", capabilities=("briefing", "python"))
    commands = {"aider": ["/bin/true"]}
    async with with_plugins(hub, yard, commands=commands, capabilities=("gpu", "python")) as sidecar:
        identify = await callers(hub, 1)
        assert identify.plugins == ("aider", "digest")
        assert identify.capabilities == ("gpu", "python", "briefing")
        await hub.assign(1, plugin="digest", inputs=raw('{"topics": ["space"]}'))
        fact = await hub.fact(f.TaskComplete, 1)
        assert isinstance(fact, f.TaskComplete)
        assert json.loads(bytes(fact.result)) == {"output": {"topics": ["space"]}}
        assert sidecar.status()["plugins"] == ["digest 1.0.0"]


async def test_a_task_for_nothing_that_is_here_is_handed_back_at_once(hub: HubDouble, yard: Yard) -> None:
    """L72, L83"""
    yard.write("broken", above="1 / 0")
    async with with_plugins(hub, yard) as sidecar:
        await callers(hub, 1)
        for n, plugin in ((1, "missing"), (2, None), (3, "broken"), (4, "../plugins/broken")):
            await hub.assign(n, plugin=plugin)
            fact = await hub.fact(f.TaskRejected, n)
            assert isinstance(fact, f.TaskRejected)
            assert fact.reason == "unknown_plugin"
        (sentence,) = sidecar.status()["broken_plugins"]
        assert "ZeroDivisionError" in sentence


async def test_it_is_not_ready_and_not_connected_while_plugins_load(hub: HubDouble, yard: Yard) -> None:
    yard.write("digest")
    (yard.folder / "wait").touch()
    port = free_port()
    async with with_plugins(hub, yard, health_port=port) as sidecar:
        await until(lambda: (sidecar.folder.kept_status() or {}).get("reason") == LOADING, "it loads")
        assert await asked(port, "/health/live") == (200, {"status": "alive"})
        assert await asked(port, "/health/ready") == (503, {"status": "not_ready", "error": LOADING})
        assert hub.callers == []
        (yard.folder / "wait").unlink()
        assert (await callers(hub, 1)).plugins == ("digest",)
        await until(lambda: sidecar.readiness().is_ready, "it is ready", PATIENCE_S)
        assert (await asked(port, "/health/ready"))[0] == 200


async def test_whoever_wants_to_leave_while_plugins_load_may(hub: HubDouble, yard: Yard) -> None:
    yard.write("digest")
    (yard.folder / "wait").touch()
    async with with_plugins(hub, yard) as sidecar:
        await until(lambda: (sidecar.folder.kept_status() or {}).get("reason") == LOADING, "it loads")
        os.kill(os.getpid(), signal.SIGTERM)
    assert hub.callers == []
    assert left_of(yard) == []


def left_of(yard: Yard) -> list[str]:
    """Processes that have this yard on their argument vector."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [words] if str(yard.folder) in words else []
    return found


async def test_a_new_plugin_is_told_by_a_fresh_identify_and_no_run_is_lost(
    hub: HubDouble, yard: Yard
) -> None:
    gate = yard.folder.parent / "gate"
    yard.write(
        "slow", body=f"\n    while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n    return 'slow'"
    )
    async with with_plugins(hub, yard, slots=2) as sidecar:
        assert (await callers(hub, 1)).plugins == ("slow",)
        await hub.assign(1, plugin="slow")
        await hub.fact(f.TaskAccepted, 1)
        yard.write("second", capabilities=("late",))
        identify = await callers(hub, 2)
        assert (identify.plugins, identify.capabilities) == (("second", "slow"), ("late",))
        assert [held.state for held in identify.holding] == ["running"]
        await hub.assign(2, plugin="second")
        await hub.fact(f.TaskComplete, 2)
        gate.touch()
        await hub.fact(f.TaskComplete, 1)
        assert [fact for fact in hub.facts if isinstance(fact, f.TaskFailed | f.TaskStopped)] == []
        assert sidecar.line.endings[-1].reason == "the plugins have changed"


async def test_a_hangup_signal_loads_the_plugins_again(hub: HubDouble, yard: Yard) -> None:
    yard.write("digest")
    said: list[str] = []
    async with with_plugins(hub, yard, said):
        await callers(hub, 1)
        before = [sentence for sentence in said if sentence.startswith("plugins: ")]
        assert before == ["plugins: digest 1.0.0 (crewai none)"]
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: said.count(before[0]) == 2, "they are loaded again", PATIENCE_S)


async def test_nothing_is_left_when_it_leaves(hub: HubDouble, yard: Yard) -> None:
    """L75"""
    yard.write("digest")
    async with with_plugins(hub, yard):
        await callers(hub, 1)
        assert left_of(yard) != []
    assert left_of(yard) == []
