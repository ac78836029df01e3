"""A question and its answer survive what kills the run, the sidecar and the hub: real processes and disks."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.processes import QUICK, SidecarProcess, connected, ended, in_state, starts_of
from tests.waiting import until

ASKER = Path(__file__).parent / "programs" / "asker.py"


async def asking(hub: HubProcess, sidecar: StartSidecar, runs: Path) -> tuple[SidecarProcess, dict[str, Any]]:
    """A sidecar whose run has finished a step and asks a person."""
    one = await sidecar("ada", words=("--command", f"{sys.executable} -S {ASKER} {runs}"))
    await connected(hub, "ada")
    async with hub.http() as client:
        pushed = await client.post("/api/tasks", json={"description": "paint it", "assign_to": "ada"})
    task = await in_state(hub, pushed.json()["task_id"], "input_required")
    assert task["question"]["prompt"] == "Which colour?"
    return one, task


async def answered(hub: HubProcess, task: dict[str, Any], value: str) -> int:
    async with hub.http() as client:
        body = {"request_id": task["question"]["request_id"], "value": value}
        told = await client.post(f"/api/tasks/{task['task_id']}/input", json=body)
        return told.status_code


async def times_asked(hub: HubProcess, task_id: str) -> int:
    async with hub.http() as client:
        history = (await client.get(f"/api/tasks/{task_id}/events")).json()["events"]
    return sum(event["event"] == "input_required" for event in history)


async def test_an_answer_that_nobody_could_be_told_is_told_to_the_next_attempt(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    """Hub and sidecar are killed while a person thinks; the answer comes when only the hub is back."""
    ada, task = await asking(hub, sidecar, runs)
    hub.kill()
    ada.kill()
    hub.start(**QUICK)
    shown = await in_state(hub, task["task_id"], "recovering")
    assert shown["question"] == task["question"]
    assert await answered(hub, shown, "green") == 422
    assert await answered(hub, shown, "blue") == 200
    hub.kill()
    hub.start(**QUICK)
    ada.start()
    over = await ended(hub, task["task_id"])
    assert over["state"] == "completed", over
    result = over["result"]
    assert (result["told"], result["generation"]) == ("blue", 2)
    assert result["done"] == [{"index": 0, "output": {"by": 1}}], "what was paid for is not done again"
    assert await times_asked(hub, task["task_id"]) == 1


async def test_a_question_is_answered_while_its_task_waits_in_the_queue(
    hub: HubProcess, sidecar: StartSidecar, runs: Path
) -> None:
    """The run is killed while it asks; nobody has the task in hand when the answer comes."""
    _, task = await asking(hub, sidecar, runs)
    task_id = task["task_id"]
    async with hub.http() as client:
        assert (await client.post("/api/agents/ada/pause")).is_success
    (start,) = starts_of(runs, task_id)
    os.kill(start.value["pid"], signal.SIGKILL)
    shown = await in_state(hub, task_id, "queued")
    assert shown["question"] == task["question"]
    hub.kill()
    hub.start(**QUICK)
    assert await answered(hub, shown, "red") == 200
    assert await answered(hub, shown, "red") == 200, "the same again is the same"
    assert await answered(hub, shown, "blue") == 409
    await connected(hub, "ada")
    async with hub.http() as client:
        assert (await client.post("/api/agents/ada/resume")).is_success
    over = await ended(hub, task_id)
    assert over["state"] == "completed", over
    assert (over["result"]["told"], over["answers_kept"], over["steps_kept"]) == ("red", 1, 1)
    assert await times_asked(hub, task_id) == 1
    await until(lambda: len(starts_of(runs, task_id)) == 2, "it ran twice")
