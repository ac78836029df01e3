"""Many crews wait for two sidecars, of which one is killed and one sent home: nothing is lost, and at every
step the hub says why it does not go on.

`CREWS_QUEUED=100` is the long form; CI queues fewer.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

from tests.hub.conftest import HubProcess
from tests.hub.typing_hands import run
from tests.system.conftest import StartSidecar
from tests.system.crews import CREWS, DIGEST, TOPICS
from tests.system.processes import becomes, connected, ended

pytest.importorskip("crewai", reason="crewai is not installed")

CREWS_QUEUED: Final = int(os.environ.get("CREWS_QUEUED", "16"))
SLOTS: Final = ("--slots", "2")

pytestmark = pytest.mark.timeout(180 + 12 * CREWS_QUEUED)

DIGESTED: Final = {"summary": "All about tides.", "sections": [{"title": "tides", "content": "high, low"}]}
SLOWLY: Final = {"offline": {"*": [{"say": DIGESTED, "pause_ms": 300}]}}
"""A model that takes a moment for each answer, so that there is something to kill in the middle of."""


async def queue_crews(hub: HubProcess) -> list[str]:
    wish = {"description": "the digest", "plugin": DIGEST, "inputs": TOPICS, "metadata": SLOWLY}
    async with hub.http() as client:
        answer = await client.post("/api/tasks/batch", json={"tasks": [wish] * CREWS_QUEUED})
    return [item["task_id"] for item in answer.json()["items"]]


async def explained(hub: HubProcess, task_id: str, rules: dict[str, set[str]]) -> dict[str, Any]:
    """Wait until `explain` names one of these rules for each of these agents."""

    def is_so(found: dict[str, Any]) -> bool:
        said = {
            one["agent_id"]: one["rule"] for one in found["agents"] if not one["agent_id"].startswith("hub:")
        }
        return said.keys() == rules.keys() and all(said[agent] in rules[agent] for agent in rules)

    return await becomes(hub, f"/api/tasks/{task_id}/explain", is_so, 90)


async def somebody_runs(hub: HubProcess, agent_id: str) -> str:
    """A task that this agent has begun."""
    agent = await becomes(hub, f"/api/agents/{agent_id}", lambda one: one.get("running_tasks"), 90)
    task_id: str = agent["running_tasks"][0]
    await becomes(hub, f"/api/tasks/{task_id}", lambda task: task.get("state") != "assigned", 90)
    return task_id


async def steer(hub: HubProcess, agent_id: str, word: str) -> None:
    async with hub.http() as client:
        answer = await client.post(f"/api/agents/{agent_id}/{word}")
    assert answer.is_success, answer.text


async def test_one_sidecar_killed_and_one_drained_lose_no_crew_and_every_wait_is_explained(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    """L25: nothing waits without a reason, and the reason is the one the scheduler has."""
    tasks = await queue_crews(hub)
    last = tasks[-1]
    async with hub.http() as client:
        found = (await client.get(f"/api/tasks/{last}/explain")).json()
    assert found["state"] == "queued"
    assert "no agent" in found["reason"]
    ada = await sidecar("ada", words=(*CREWS, *SLOTS))
    grace = await sidecar("grace", words=(*CREWS, *SLOTS))
    await connected(hub, "grace")
    hit = await somebody_runs(hub, "ada")
    await somebody_runs(hub, "grace")
    await explained(hub, last, {"ada": {"no_free_slot"}, "grace": {"no_free_slot"}})
    ada.kill()
    await explained(hub, last, {"ada": {"not_connected"}, "grace": {"no_free_slot"}})
    await steer(hub, "grace", "drain")
    await explained(hub, last, {"ada": {"not_connected"}, "grace": {"draining"}})
    ada.start()
    await connected(hub, "ada")
    await explained(hub, last, {"ada": {"no_free_slot"}, "grace": {"draining", "not_connected"}})
    await becomes(hub, "/api/agents/grace", lambda agent: not agent["running_tasks"], 90)
    grace.end()
    grace.start()
    await connected(hub, "grace")
    ends = [await ended(hub, task_id, 60 + 12 * CREWS_QUEUED) for task_id in tasks]
    assert {task["state"] for task in ends} == {"completed"}
    assert sum(task["strikes"] for task in ends) >= 1, "the kill cost somebody a strike"
    assert all(task["attempt"] == 0 for task in ends), "and nobody an attempt"
    story = await run(hub, "watch", hit, "--no-json")
    assert story.code == 0
    told = [line for line in story.out.splitlines() if hit in line]
    assert told[-1].startswith("completed") or "completed" in told[-1], story.out
    assert "sidecar_crash" in story.out or "requeued" in story.out, story.out
