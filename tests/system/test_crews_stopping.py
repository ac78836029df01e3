"""Stopping crews: while they stream, hang, ask or are deaf; by a person, by time, by kill -9."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.crews import CREWS, DEAF, DIGEST, HUNG, STREAMING, TOPICS, family_of, hearing, living
from tests.system.processes import becomes, connected, ended, in_state
from tests.waiting import until

pytest.importorskip("crewai", reason="crewai is not installed")
pytestmark = pytest.mark.timeout(240)

ASKING: dict[str, Any] = {"*": [{"ask": "Shall we?"}, {"say": "fine"}]}


async def cancelled(hub: HubProcess, task_id: str) -> dict[str, Any]:
    async with hub.http() as client:
        answer = await client.post(f"/api/tasks/{task_id}/cancel", json={"reason": "enough"})
        assert answer.json()["status"] == "cancelling"
    return await ended(hub, task_id)


@pytest.mark.parametrize(
    ("script", "begun", "text", "how"),
    [
        pytest.param(STREAMING, "task_log", '"chunk"', "cooperative", id="streaming"),
        pytest.param(HUNG, "task_progress", "thinking", "killed", id="hung in a model call"),
        pytest.param(DEAF, "task_progress", "thinking", "killed", id="hung and deaf to TERM"),
    ],
)
async def test_a_cancelled_crew_ends_as_gently_as_it_lets_us(
    hub: HubProcess, sidecar: StartSidecar, script: dict[str, Any], begun: str, text: str, how: str
) -> None:
    """L74, L75: cancelled is said with the proof, no result comes later, and nothing of the run is left."""
    ada = await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    at_rest = {one.pid for one in family_of(ada.pid)}
    async with hearing(hub) as heard:
        task_id = (await hub.push("ada", plugin=DIGEST, inputs=TOPICS, metadata={"offline": script}))[
            "task_id"
        ]
        await heard.until(task_id, begun, text)
        task = await cancelled(hub, task_id)
        await heard.until(task_id, "task_cancelled")
    assert task["state"] == "cancelled"
    assert (task["ending"]["stopped"], task["ending"]["proof"]["survivors"]) == (how, 0)
    assert task["result"] is None
    assert not heard.of(task_id, "task_complete")
    assert {one.pid for one in living(family_of(ada.pid))} == at_rest


async def test_a_crew_that_waits_for_a_person_is_cancelled_at_once(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    pushed = await hub.push("ada", plugin="release-check", inputs={"version": "1.4.0"})
    await in_state(hub, pushed["task_id"], "input_required")
    task = await cancelled(hub, pushed["task_id"])
    assert (task["state"], task["ending"]["stopped"]) == ("cancelled", "cooperative")


async def test_a_crew_that_takes_too_long_has_timed_out(hub: HubProcess, sidecar: StartSidecar) -> None:
    """L73, L93: one ending, which names the limit that was reached, and it is time's fault."""
    ada = await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    at_rest = {one.pid for one in family_of(ada.pid)}
    pushed = await hub.push(
        "ada", plugin=DIGEST, inputs=TOPICS, metadata={"offline": STREAMING}, timeout_ms=6_000
    )
    task = await ended(hub, pushed["task_id"])
    assert task["state"] == "failed"
    assert "Workflow exceeded" in task["error"]
    assert task["ending"]["whose_fault"] == "time"
    assert {one.pid for one in living(family_of(ada.pid))} == at_rest


async def test_a_killed_sidecar_takes_its_crews_along(hub: HubProcess, sidecar: StartSidecar) -> None:
    """kill -9: the zygote, the guards, the crews and what they started are gone; the task runs again."""
    ada = await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    async with hearing(hub) as heard:
        task_id = (
            await hub.push("ada", plugin=DIGEST, inputs=TOPICS, metadata={"offline": DEAF}, attempts_max=3)
        )["task_id"]
        await heard.until(task_id, "task_progress", "thinking")
        family = family_of(ada.pid)
        assert len(family) >= 3, "a zygote, a guard, a crew"
        ada.kill()
        await until(lambda: not living(family), "nothing of the sidecar is left")
        ada.start()
        again = ("running", 2)
        await becomes(
            hub, f"/api/tasks/{task_id}", lambda one: (one["state"], one["generation"]) == again, 80
        )
    task = await cancelled(hub, task_id)
    assert (task["state"], task["generation"]) == ("cancelled", 2)
