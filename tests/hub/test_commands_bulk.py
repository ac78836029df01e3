"""`hub tasks cancel|retry|purge|export` for many at once, and `hub db prune`, typed against a real hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.commands.bulk import added
from hub.store.retention import DAY_MS
from protocol.ids import TaskId
from tests.hub.conftest import HubProcess, RunningHub
from tests.hub.terminal import sitting_at
from tests.hub.typing_hands import run


async def waiting(hub: RunningHub | HubProcess, count: int, site: str = "north") -> list[str]:
    async with hub.http() as http:
        tasks = [{"description": f"work {n} \u2028", "labels": {"site": site}} for n in range(count)]
        answer = await http.post("/api/tasks/batch", json={"tasks": tasks})
        return [one["task_id"] for one in answer.json()["items"]]


async def test_many_are_cancelled_run_again_and_purged_by_what_they_are(running_hub: RunningHub) -> None:
    ids = await waiting(running_hub, 3)
    (other,) = await waiting(running_hub, 1, "south")
    north = ("--label", "site=north")
    listed = await run(running_hub, "tasks", "list", "-q", *north)
    assert listed.out.split() == ids[::-1]
    counted = await run(running_hub, "tasks", "cancel", *north, "--dry-run")
    assert (counted.code, counted.records[0]["count"], counted.records[0]["done"]) == (0, 3, 0)
    unsure = await run(running_hub, "tasks", "cancel", *north)
    assert (unsure.code, unsure.out) == (2, "")
    assert "Cancel 3 tasks? Nothing was done" in unsure.err
    cancelled = await run(running_hub, "tasks", "cancel", *north, "--yes", "--reason", "moved south")
    assert (cancelled.code, cancelled.records[0]["done"]) == (0, 3)
    row = await running_hub.parts.queries.task(TaskId(ids[0]))
    assert row is not None
    assert row.cancel_reason == "moved south"
    retried = await run(running_hub, "tasks", "retry", *north, "--yes", "-q")
    assert retried.out == "3\n"
    assert (await run(running_hub, "tasks", "retry", *north, "--yes", "-q")).out == "0\n"
    purged = await run(running_hub, "tasks", "purge", "--state", "cancelled", "--yes", "-q")
    assert purged.out == "3\n"
    assert (await run(running_hub, "tasks", "get", ids[0])).code == 6
    assert (await running_hub.task(other))["state"] == "queued"


@pytest.mark.parametrize(
    "words",
    [
        ("tasks", "cancel"),
        ("tasks", "retry"),
        ("tasks", "purge"),
        ("tasks", "cancel", "task-1", "--state", "queued"),
        ("tasks", "cancel", "task-1", "--dry-run"),
        ("tasks", "cancel", "--after", "yesterday"),
        ("tasks", "cancel", "--label", "north", "--yes"),
        ("tasks", "export", "--events", "--state", "queued"),
        ("tasks", "export", "--since", "1"),
        ("db", "prune", "--older-than", "59s"),
        ("db", "prune", "--older-than", "3661d"),
    ],
)
async def test_words_that_may_mean_more_than_was_meant_are_usage(
    running_hub: RunningHub, words: tuple[str, ...]
) -> None:
    (task_id,) = await waiting(running_hub, 1)
    assert (await run(running_hub, *words)).code == 2
    assert (await running_hub.task(task_id))["state"] == "queued"


async def test_a_person_is_asked_and_may_say_no(running_hub: RunningHub) -> None:
    await waiting(running_hub, 2)
    async with sitting_at(running_hub, "tasks", "cancel", "--state", "queued") as screen:
        await screen.says("Cancel 2 tasks?")
        screen.type("n\n")
        assert await screen.ended() == 130
    async with running_hub.http() as http:
        states = (await http.get("/api/tasks/stats")).json()["states"]
        assert states["queued"] == 2
    async with sitting_at(running_hub, "tasks", "cancel", "--state", "queued") as screen:
        await screen.says("Cancel 2 tasks?")
        screen.type("y\n")
        assert await screen.ended() == 0


async def test_the_number_that_a_person_said_yes_to_is_what_is_done(
    running_hub: RunningHub,
) -> None:
    await waiting(running_hub, 2)
    async with sitting_at(running_hub, "tasks", "cancel", "--state", "queued") as screen:
        await screen.says("Cancel 2 tasks?")
        await waiting(running_hub, 1)
        screen.type("y\n")
        assert await screen.ended() == 1
        assert "count_differs" in screen.text


async def test_a_refusal_among_them_ends_with_1(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        for _ in range(2):
            body = {"description": "x", "unique_key": "report"}
            task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
            await http.post(f"/api/tasks/{task_id}/cancel")
    said = await run(running_hub, "tasks", "retry", "--state", "cancelled", "--yes")
    assert said.code == 1
    assert (said.records[0]["done"], said.records[0]["refusals"]) == (1, {"unique_key_held": 1})


def test_several_calls_are_one_account() -> None:
    one = {"count": 5, "done": 4, "refused": 1, "refusals": {"a": 1}, "more": True, "sample": ["x"]}
    two = {"count": 2, "done": 0, "refused": 2, "refusals": {"a": 1, "b": 1}, "more": False, "sample": []}
    assert added(one, two) == {
        "count": 7,
        "done": 4,
        "refused": 3,
        "refusals": {"a": 2, "b": 1},
        "more": False,
        "sample": ["x"],
    }


async def test_an_export_is_a_line_for_each_task_whatever_is_in_it(
    running_hub: RunningHub, tmp_path: Path
) -> None:
    ids = await waiting(running_hub, 3)
    await waiting(running_hub, 1, "south")
    said = await run(running_hub, "tasks", "export", "--label", "site=north")
    lines = [json.loads(line) for line in said.out.split("\n") if line]
    assert [line["task_id"] for line in lines] == ids[::-1]
    assert lines[0]["description"] == "work 2 \u2028"
    target = tmp_path / "tasks.jsonl"
    kept = await run(running_hub, "tasks", "export", "--out", str(target))
    assert kept.records[0]["lines"] == 4
    assert target.stat().st_mode & 0o777 == 0o600
    assert len(target.read_text().split("\n")) == 5
    again = await run(running_hub, "tasks", "export", "--out", str(target))
    assert (again.code, "never overwrites" in again.err) == (1, True)
    nowhere = await run(running_hub, "tasks", "export", "--out", str(tmp_path / "no" / "x"))
    assert (nowhere.code, "cannot be written" in nowhere.err) == (1, True)


async def test_an_export_of_events_goes_on_where_the_last_one_ended(running_hub: RunningHub) -> None:
    ids = await waiting(running_hub, 2)
    first = await run(running_hub, "tasks", "export", "--events")
    events = [json.loads(line) for line in first.out.split("\n") if line]
    assert [one["task_id"] for one in events if one["event"] == "task_queued"] == ids
    await waiting(running_hub, 1)
    later = await run(running_hub, "tasks", "export", "--events", "--since", events[-1]["cursor"])
    assert len([line for line in later.out.split("\n") if line]) == 1
    wrong = await run(running_hub, "tasks", "export", "--events", "--since", "another:1")
    assert wrong.code == 2


async def test_prune_asks_a_hub_that_runs_and_opens_the_file_of_one_that_does_not(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    """Nothing here is old enough: what is counted is what would go, and that is nothing."""
    here = ("--state-dir", str(tmp_path / "state"))
    missing = await run(None, "db", "prune", *here)
    assert missing.code == 6
    hub_process.start()
    await waiting(hub_process, 2)
    nothing = {"tasks": 0, "events": 0, "log_lines": 0, "more": False}
    live = await run(hub_process, "db", "prune", *here, "--older-than", "30d", "--yes")
    assert (live.code, live.records) == (0, [nothing | {"dry_run": True}]), live.err
    hub_process.stop()
    at_rest = await run(None, "db", "prune", *here, "--dry-run")
    assert (at_rest.code, at_rest.records) == (0, [nothing | {"dry_run": True}]), at_rest.err


async def test_prune_forgets_what_is_old_in_a_file_and_at_a_hub(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    import apsw

    here = ("--state-dir", str(tmp_path / "state"))
    hub_process.start()
    ids = await waiting(hub_process, 4)
    async with hub_process.http() as http:
        body = {"action": "cancel", "filter": {"state": "queued"}, "dry_run": False}
        assert (await http.post("/api/tasks/bulk", json=body)).json()["done"] == 4
    hub_process.stop()
    connection = apsw.Connection(str(tmp_path / "state" / "hub.db"))
    connection.execute("UPDATE tasks SET ended_wall_ms = ended_wall_ms - ? WHERE number < 3", (DAY_MS,))
    connection.close()
    unsure = await run(None, "db", "prune", *here, "--older-than", "12h")
    assert (unsure.code, "Forget 2 tasks, 0 events and 0 lines of logs" in unsure.err) == (2, True)
    done = await run(None, "db", "prune", *here, "--older-than", "25h", "--yes")
    assert done.records[0]["tasks"] == 0
    hub_process.start()
    done = await run(hub_process, "db", "prune", *here, "--older-than", "12h", "--yes")
    assert (done.records[0]["tasks"], done.records[0]["dry_run"]) == (2, False), done.err
    async with hub_process.http() as http:
        found = [(await http.get(f"/api/tasks/{one}")).status_code for one in ids]
    assert found == [404, 404, 200, 200]
