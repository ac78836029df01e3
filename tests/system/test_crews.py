"""Crews on a real sidecar at a real hub: what a watcher sees, who learns what, and what is left of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.hub.conftest import HubProcess
from tests.system.conftest import StartSidecar
from tests.system.crews import CREWS, DIGEST, TOPICS, family_of, hearing, living
from tests.system.processes import QUICK, connected, ended
from tests.waiting import until

pytest.importorskip("crewai", reason="crewai is not installed")
pytestmark = pytest.mark.timeout(240)

LEASE_MS = int(QUICK["HUB_LEASE_MS"])


async def test_a_crew_is_seen_at_work_and_its_tokens_add_up(hub: HubProcess, sidecar: StartSidecar) -> None:
    """L102: progress never goes back, 100 only with the result; crew, task, agent and tool hang together."""
    await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    async with hearing(hub) as heard:
        task_id = (await hub.push("ada", "the digest", plugin=DIGEST, inputs=TOPICS))["task_id"]
        task = await ended(hub, task_id)
        await heard.until(task_id, "task_complete")
    assert task["state"] == "completed", task["error"]
    assert len(task["result"]["summary"]) <= 300
    assert all(section["title"] and section["content"] for section in task["result"]["sections"])
    progress = heard.progress(task_id)
    assert progress == sorted(progress)
    assert len(progress) >= 3
    assert progress[-1] < 100 or heard.of(task_id)[-1]["event"] == "task_complete"
    words = [event["event"] for event in heard.of(task_id)]
    assert words.index("task_assigned") < words.index("task_accepted") < words.index("task_progress")
    assert words[-1] == "task_complete"
    activity = heard.activity(task_id)
    known = {entry["data"]["id"] for entry in activity if entry["kind"] == "task"}
    assert len(known) == 3
    agents = [entry for entry in activity if entry["kind"] == "agent"]
    assert agents
    assert {entry["data"]["parent"] for entry in agents} <= known
    usage = heard.of(task_id, "task_usage")[-1]["payload"]
    assert usage["tokens_out"] == task["usage"]["tokens_out"] > 0
    assert task["usage"]["tokens_in"] > 0


async def test_ten_crews_at_once_say_nothing_of_each_other(hub: HubProcess, sidecar: StartSidecar) -> None:
    await sidecar("ada", words=(*CREWS, "--slots", "10"))
    await connected(hub, "ada")
    names = [f"marker{number}zz" for number in range(10)]
    async with hearing(hub) as heard:
        pushed = [
            hub.push(
                "ada",
                plugin=DIGEST,
                inputs={"topics": [name], "summary_length": "short"},
                metadata={"offline": offline_about(name)},
            )
            for name in names
        ]
        tasks = [one["task_id"] for one in await asyncio.gather(*pushed)]
        for task_id in tasks:
            assert (await ended(hub, task_id))["state"] == "completed"
            await heard.until(task_id, "task_complete")
    for task_id, own in zip(tasks, names, strict=True):
        said = str(heard.of(task_id))
        assert own in said
        assert not [name for name in names if name != own and name in said]


def offline_about(name: str) -> dict[str, object]:
    digest = {"summary": f"All about {name}.", "sections": [{"title": name, "content": f"{name} again"}]}
    return {"*": [{"say": digest, "pause_ms": 5}]}


async def test_nothing_is_left_of_a_crew_that_succeeded_failed_or_crashed(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    """L75: what a tool had started goes with its run, after a success too; only the zygote stays."""
    ada = await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    at_rest = {one.pid for one in family_of(ada.pid)}
    ends: Counter[str] = Counter()
    for turn in ({"say": "fine"}, {"fail": "the provider is down"}, {"crash": "SEGV"}, {"crash": 7}):
        script = {"*": [turn]} if "say" not in turn else offline_about("tides")
        pushed = await hub.push("ada", plugin=DIGEST, inputs=TOPICS, metadata={"offline": script})
        task = await ended(hub, pushed["task_id"])
        ends[task["state"]] += 1
        assert task["state"] == ("completed" if "say" in turn else "failed"), task
    assert ends == {"completed": 1, "failed": 3}
    await until(lambda: {one.pid for one in living(family_of(ada.pid))} == at_rest, "only the zygote is left")


async def test_a_failed_crew_says_why(hub: HubProcess, sidecar: StartSidecar) -> None:
    """L70, L92: never complete; the error has the cause: what the model said, or how the process died."""
    await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    for turn, cause in (
        ({"fail": "the provider is down"}, "the provider is down"),
        ({"crash": "SEGV"}, "SIGSEGV"),
        ({"crash": 7}, "7"),
    ):
        script = {"offline": {"*": [turn]}}
        pushed = await hub.push("ada", plugin=DIGEST, inputs=TOPICS, metadata=script)
        task = await ended(hub, pushed["task_id"])
        assert task["state"] == "failed"
        assert cause in task["error"], task["error"]
        assert task["ending"]["whose_fault"] == "work"


async def test_bad_settings_fail_at_once_and_name_the_key(hub: HubProcess, sidecar: StartSidecar) -> None:
    await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    pushed = await hub.push("ada", plugin=DIGEST, inputs={"topics": "tides"}, attempts_max=3)
    task = await ended(hub, pushed["task_id"])
    assert (task["state"], task["attempt"]) == ("failed", 1)
    assert "topics" in task["error"]


async def test_the_connecting_process_never_maps_crewai(hub: HubProcess, sidecar: StartSidecar) -> None:
    """The tree of crewai is in the zygote only: not one of its compiled parts in the sidecar."""
    ada = await sidecar("ada", words=CREWS)
    await connected(hub, "ada")
    await ended(hub, (await hub.push("ada", plugin=DIGEST, inputs=TOPICS))["task_id"])
    assert not has_mapped(ada.pid, "pydantic", "numpy")
    assert any(has_mapped(one.pid, "pydantic") for one in family_of(ada.pid)), "where it is, the test sees it"


def has_mapped(pid: int, *words: str) -> bool:
    maps = Path(f"/proc/{pid}/maps").read_text()
    return any(word in maps for word in words)


async def test_four_crews_that_burn_the_processor_do_not_hold_up_the_heartbeat(
    hub: HubProcess, sidecar: StartSidecar
) -> None:
    """L20, for the sidecar: the gap that the hub sees stays below half a lease."""
    await sidecar("ada", words=(*CREWS, "--slots", "4"))
    await connected(hub, "ada")
    script = {"offline": {"*": [{"say": {"summary": "s", "sections": []}, "burn_ms": 3000}]}}
    pushed = [await hub.push("ada", plugin=DIGEST, inputs=TOPICS, metadata=script) for _ in range(4)]
    seen: set[int] = set()
    while not all([(await hub.task(one["task_id"]))["ending"] for one in pushed]):
        seen.add((await hub.agent("ada"))["last_seen"])
    assert {(await hub.task(one["task_id"]))["generation"] for one in pushed} == {1}
    at = sorted(seen)
    assert len(at) > 2
    assert max(later - before for before, later in pairwise(at)) < LEASE_MS / 2
