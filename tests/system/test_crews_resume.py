"""Crews that go on where another attempt ended: after a crash, on another machine, with a person's answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.crews import CREWS, DIGEST, TOPICS, hearing
from tests.system.processes import connected, ended, in_state

pytest.importorskip("crewai", reason="crewai is not installed")
pytestmark = pytest.mark.timeout(240)

FOUND: dict[str, Any] = {"summary": "Tides turn.", "sections": [{"title": "Tides", "content": "They turn."}]}
CRASHES: dict[str, Any] = {
    "researcher": [{"say": "found by the researcher"}],
    "writer": [{"crash": "SEGV", "attempt": 1}, {"say": "written by the writer"}],
    "reviewer": [{"say": FOUND}],
}


async def test_a_crew_that_crashed_goes_on_at_its_unfinished_task_on_another_sidecar(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    """The research is not paid for twice: the second attempt begins with the writer, and says so."""
    for name in ("ada", "bob"):
        await sidecar(name, words=CREWS)
        await connected(hub, name)
    async with hearing(hub) as heard, hub.http() as client:
        body = {
            "description": "survive",
            "plugin": DIGEST,
            "inputs": TOPICS,
            "attempts_max": 3,
            "metadata": {"offline": CRASHES},
        }
        answer = await client.post("/api/tasks", json=body)
        task_id = answer.json()["task_id"]
        assigned = await heard.until(task_id, "task_assigned")
        pause = await client.post(f"/api/agents/{assigned['agent_id']}/pause")
        assert pause.is_success
        task = await ended(hub, task_id)
        await heard.until(task_id, "task_complete")
    assert task["state"] == "completed", task["error"]
    assert task["result"]["summary"] == "Tides turn."
    assert (task["generation"], task["attempt"]) == (2, 1)
    assert task["agent_id"] != assigned["agent_id"]
    again = [entry for entry in heard.activity(task_id) if entry["kind"] == "resumed"]
    assert [entry["data"]["index"] for entry in again] == [1]
    research = [
        entry
        for entry in heard.activity(task_id)
        if entry["kind"] == "agent" and "research" in str(entry["data"].get("agent")).lower()
    ]
    first = {event["generation"] for event in heard.of(task_id, "task_log") if event["payload"] in research}
    assert first == {1}, "the researcher has worked in the first attempt only"


async def test_an_answer_survives_the_run_that_asked(hub: HubProcess, sidecar: StartSidecar) -> None:
    """Asked, killed with its sidecar, answered while nobody runs it: the next attempt gets the answer."""
    ada = await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    pushed = await hub.push("ada", plugin="release-check", inputs={"version": "1.4.0"}, attempts_max=3)
    task = await in_state(hub, pushed["task_id"], "input_required")
    ada.kill()
    async with hub.http() as client:
        body = {"request_id": task["question"]["request_id"], "value": "hold"}
        answer = await client.post(f"/api/tasks/{pushed['task_id']}/input", json=body)
        assert answer.is_success, answer.text
    async with hearing(hub) as heard:
        ada.start()
        task = await ended(hub, pushed["task_id"])
    assert task["state"] == "completed", task["error"]
    assert "hold" in str(task["result"]).lower()
    assert not heard.of(pushed["task_id"], "input_required"), "nobody was asked twice"


async def test_a_question_survives_a_restart_of_the_hub(hub: HubProcess, sidecar: StartSidecar) -> None:
    await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    pushed = await hub.push("ada", plugin="release-check", inputs={"version": "1.4.0"})
    task = await in_state(hub, pushed["task_id"], "input_required")
    hub.kill()
    hub.start(HUB_HEARTBEAT_MS="2000", HUB_LEASE_MS="20000")
    await connected(hub, "ada")
    async with hub.http() as client:
        body = {"request_id": task["question"]["request_id"], "value": "release"}
        answer = await client.post(f"/api/tasks/{pushed['task_id']}/input", json=body)
        assert answer.is_success, answer.text
    task = await ended(hub, pushed["task_id"])
    assert (task["state"], task["generation"]) == ("completed", 1), task["error"]
    assert "release" in str(task["result"]).lower()
