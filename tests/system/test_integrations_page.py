"""docs/integrations.md, "Schedules" and "Redis": the examples run as they stand, the figures are true."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.api.schedules import LastView, ScheduleView
from hub.runs.cron import NICKNAMES
from hub.runs.schedule import LATE_MS, SCHEDULES_MAX
from tests.hub.askers import BRIEFING, DIGEST
from tests.hub.company import v2
from tests.hub.conftest import ROOT, RunningHub, running_hub, start_hub
from tests.hub.typing_hands import PATIENCE_S, environment
from tests.streams.conftest import redis_server
from tests.streams.servers import Reachable

__all__ = ["redis_server", "running_hub", "start_hub"]

PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def examples(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(name), re.MULTILINE | re.DOTALL)


async def said_by(hub: RunningHub, *words: str, **environ: str) -> list[str]:
    """Lines of an example that runs beside this test's agents."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    process = await asyncio.create_subprocess_exec(
        *words,
        env=environment(hub, PATH=path, **environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=os.environ["HOME"],
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


async def test_the_examples_of_schedules_work_as_they_stand(start_hub: Callable[..., Any]) -> None:
    hub: RunningHub = await start_hub(plugins=("shipped",))
    found = examples("Schedules", "sh")
    assert len(found) == 2
    for example in found:
        await said_by(hub, "bash", "-euo", "pipefail", "-c", example)
    async with hub.http() as http:
        kept = (await http.get("/api/schedules")).json()["schedules"]
    assert sorted(one["zone"] for one in kept) == ["Asia/Tokyo", "Europe/Berlin"]
    assert {one["status"] for one in kept} == {"active"}


async def test_a_service_asks_by_stream_as_the_page_says(
    start_hub: Callable[..., Any], redis_server: Reachable
) -> None:
    hub: RunningHub = await start_hub(redis=redis_server.url)
    peer = await v2(hub, plugins=[DIGEST])
    program, _ = examples("Redis", "python")
    said, _ = await asyncio.gather(
        said_by(hub, sys.executable, "-c", program, REDIS_URL=redis_server.url), worked(peer, BRIEFING)
    )
    answer = json.loads(said[0])
    assert (answer["status"], answer["error"]) == ("completed", None)
    assert json.loads(answer["output"]) == BRIEFING


async def worked(peer: Any, result: Any) -> None:
    """An agent that takes the next order, tells how far it is, and has done it."""
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.say(
        {"type": "task_progress", "task_id": assigned["task_id"], "generation": assigned["generation"]}
        | {"progress": 40, "message": "half of it"}
    )
    await peer.say(peer.fact("task_complete", assigned, result=result))


async def test_a_task_is_followed_on_its_channel_as_the_page_says(
    start_hub: Callable[..., Any], redis_server: Reachable
) -> None:
    hub: RunningHub = await start_hub(redis=redis_server.url)
    peer = await v2(hub, "ada")
    _, program = examples("Redis", "python")
    said, _ = await asyncio.gather(
        said_by(hub, sys.executable, "-c", program, REDIS_URL=redis_server.url), worked(peer, "hello")
    )
    *progress, end = map(json.loads, said)
    assert (end["complete"], end["isError"]) == (True, False)
    assert all(set(one) == {"message", "progress"} for one in progress)


def test_its_figures_and_names_are_those_of_the_code() -> None:
    text = section("Schedules")
    assert f"up to {LATE_MS // 60_000} minutes late" in text
    assert f"A hub keeps {SCHEDULES_MAX}." in text
    assert set(re.findall(r"@\w+", text)) <= set(NICKNAMES)
    assert "missed_at" in ScheduleView.__struct_fields__
    assert {"is_new", "error"} <= set(LastView.__struct_fields__)
