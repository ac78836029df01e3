"""`sidecar plugins` and `sidecar connect` with plugins, as real processes that import crewai."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sidecar.hubdouble import HubDouble, hub_double
from tests.sidecar.pluginyard import Yard
from tests.sidecar.process import Process, sidecar_process
from tests.waiting import until

pytest.importorskip("crewai", reason="crewai is not installed")

pytestmark = pytest.mark.timeout(180)

PATIENCE_S = 90.0

# A process that has imported crewai has 150 MB; this one is for small machines.
RSS_KB_MAX = 40_000


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path / "plugins")


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


async def run(*arguments: str) -> tuple[int, str, str]:
    async with sidecar_process(*arguments) as process:
        return await process.end()


async def test_the_plugins_that_come_along_are_in_order() -> None:
    code, out, err = await run("plugins", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert (code, {record["state"] for record in records}) == (0, {"ok"})
    assert {"daily-news-digest", "release-check"} <= {record["name"] for record in records}
    assert all(record["version"] and record["description"] for record in records)
    assert "showing what comes along" in err


async def test_a_broken_plugin_is_shown_with_its_traceback_beside_the_good_ones(yard: Yard) -> None:
    """L83"""
    yard.write("good", version="1.2.0", capabilities=("python",))
    yard.write("broken", above="import nothing_of_that_name")
    yard.write("leaver", above="raise SystemExit(3)")
    code, out, err = await run("plugins", "--plugins", str(yard.folder), "--no-json")
    assert code == 1
    header, *rows = out.splitlines()
    assert header.split() == ["NAME", "VERSION", "CAPABILITIES", "DESCRIPTION", "STATE"]
    (good,) = [row.split() for row in rows if row.startswith("good")]
    assert (good[:3], good[-1]) == (["good", "1.2.0", "python"], "ok")
    (broken,) = [row for row in rows if row.startswith("broken")]
    assert "broken: broken: crew/crew.py, line 2: ModuleNotFoundError" in broken
    assert "Traceback" in err
    assert "nothing_of_that_name" in err
    assert "leaver: crew/crew.py, line 2: ended the process with code 3" in err


async def test_a_folder_without_plugins_says_what_a_plugin_is(tmp_path: Path) -> None:
    code, out, err = await run("plugins", "--plugins", str(tmp_path), "--no-json")
    assert (code, out) == (0, "")
    assert "a folder with a plugin.yaml" in err
    code, out, err = await run("plugins", "--plugins", str(tmp_path / "gone"), "--no-json")
    assert (code, "there is no such folder" in err) == (1, True)


async def test_the_doctor_looks_at_plugins_and_model(hub: HubDouble, yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("t")
    yard.write("broken", above="1 / 0")
    place = (hub.url, "--state-dir", str(tmp_path / "s"), "--token-file", str(tmp_path / "t"))
    config = tmp_path / "sidecar.toml"
    config.write_text(f'plugins = ["{yard.folder}"]\n')
    code, out, _ = await run("doctor", *place, "--config", str(config))
    assert code == 1
    assert "ZeroDivisionError" in out
    assert "no plugin is in order" in out
    yard.write("good")
    code, out, _ = await run("doctor", *place, "--config", str(config))
    assert (code, "ok    plugins: good" in out) == (0, True)
    assert "no model is set" in out
    config.write_text(f'plugins = ["{yard.folder}"]\nmodel = "openai/gpt"\n')
    _, out, _ = await run("doctor", *place, "--config", str(config))
    assert "openai/gpt has no key: set SIDECAR_MODEL_KEY_FILE" in out
    config.write_text(f'plugins = ["{yard.folder}"]\nmodel = "offline"\n')
    _, out, _ = await run("doctor", *place, "--config", str(config))
    assert "offline model" in out


async def connected(hub: HubDouble, tmp_path: Path, *arguments: str) -> Process:
    (tmp_path / "t").write_text("t")
    place = ("--state-dir", str(tmp_path / "s"), "--agent-id", "a", "--token-file", str(tmp_path / "t"))
    process = await Process.start("connect", hub.url, *place, *arguments)
    await until(lambda: hub.callers, "it is connected", PATIENCE_S)
    return process


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def memory_of(pid: int) -> tuple[str, int]:
    """What is mapped, and how much of it is there, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (rss,) = [line.split()[1] for line in lines if line.startswith("VmRSS")]
    return Path(f"/proc/{pid}/maps").read_text(), int(rss)


async def test_the_sidecar_itself_never_imports_crewai_and_stays_small(
    hub: HubDouble, tmp_path: Path
) -> None:
    process = await connected(hub, tmp_path, "--plugins", "shipped", "--model", "offline")
    try:
        pid = process.process.pid
        assert "daily-news-digest" in (await hub.caller()).identify.plugins
        maps, rss_kb = memory_of(pid)
        assert "pydantic" not in maps
        assert "grpc" not in maps
        assert rss_kb < RSS_KB_MAX
    finally:
        process.process.terminate()
        code, _, err = await process.end()
    assert code == 0, err


async def test_nothing_is_left_of_a_sidecar_that_is_killed(hub: HubDouble, tmp_path: Path) -> None:
    """L75"""
    process = await connected(hub, tmp_path, "--plugins", "shipped", "--model", "offline")
    children = children_of(process.process.pid)
    assert children
    await process.kill()
    await until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "the zygote leaves", PATIENCE_S
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_plugins_load_ends_it_at_once(
    hub: HubDouble, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "t").write_text("t")
    place = ("--state-dir", str(tmp_path / "s"), "--agent-id", "a", "--token-file", str(tmp_path / "t"))
    async with sidecar_process("connect", hub.url, *place, "--plugins", "shipped") as process:
        assert process.process.stderr is not None
        assert await process.process.stderr.readline() == b"loading plugins\n"
        os.kill(process.process.pid, number)
        code, _, err = await process.end()
        assert (code, hub.callers, "Traceback" in err) == (0, [], False), err
