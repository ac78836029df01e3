"""`hub tasks` and `hub dead`, typed against a real hub; for many at once `test_commands_bulk`."""

from __future__ import annotations

from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import run


async def ended(hub: RunningHub, ending: str, *, attempts: int = 1, **more: object) -> str:
    """A task that an agent has accepted and ended so."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token("ada"))
    await peer.identify("ada", instance_id=f"instance-{ending}-{attempts}")
    pushed = await hub.push("ada", f"to be {ending}", attempts_max=attempts)
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned), peer.fact(ending, assigned, **more))
    await peer.hear("task_ack")
    await peer.hear("task_ack")
    await peer.hang_up()
    return str(pushed["task_id"])


async def test_tasks_are_listed_by_what_they_are(running_hub: RunningHub) -> None:
    done = await ended(running_hub, "task_complete", result=[1, 2])
    waiting = (await running_hub.push("bob", "a question of\ntime", queue=True))["task_id"]
    everything = await run(running_hub, "tasks", "list", "-q")
    assert everything.out.split() == [waiting, done]
    assert (await run(running_hub, "tasks", "list", "--limit", "1", "-q")).out.split() == [waiting]
    for words in (("--state", "completed"), ("--agent", "ada"), ("--grep", "complete")):
        assert (await run(running_hub, "tasks", "list", "-q", *words)).out.split() == [done], words
    wrong = await run(running_hub, "tasks", "list", "--state", "sleeping")
    assert wrong.code == 2
    assert "state: Expected one of" in wrong.err
    table = await run(running_hub, "tasks", "list", "--no-json")
    assert table.out.splitlines()[0].split()[:3] == ["TASK", "ID", "STATE"]
    assert "a question of time" in table.out


async def test_a_result_is_json_and_the_code_tells_how_the_task_ended(running_hub: RunningHub) -> None:
    done = await ended(running_hub, "task_complete", result={"name": "\u202eabc"})
    said = await run(running_hub, "tasks", "result", done)
    assert (said.code, said.out) == (0, '{"name": "\\u202eabc"}\n')
    lost = await ended(running_hub, "task_failed", error="no luck", retryable=False)
    said = await run(running_hub, "tasks", "result", lost)
    assert (said.code, said.out) == (1, "")
    assert "no luck" in said.err
    waiting = (await running_hub.push("bob", "later", queue=True))["task_id"]
    said = await run(running_hub, "tasks", "result", waiting)
    assert said.code == 1
    assert f"hub watch {waiting}" in said.err
    assert (await run(running_hub, "tasks", "result", "task-0000000000000000")).code == 6


async def test_a_task_is_shown_with_its_history_and_the_reason_why_it_waits(
    running_hub: RunningHub,
) -> None:
    done = await ended(running_hub, "task_complete", result=1)
    shown = await run(running_hub, "tasks", "get", done, "--no-json")
    assert "description   to be task_complete" in shown.out
    assert "1970" not in shown.out
    history = await run(running_hub, "tasks", "events", done)
    assert [one["event"] for one in history.records][-1] == "task_complete"
    assert (await run(running_hub, "tasks", "log", done)).out == ""
    waiting = (await running_hub.push("bob", "later", queue=True))["task_id"]
    why = await run(running_hub, "tasks", "explain", waiting)
    assert why.records[0]["agents"][0]["agent_id"] == "ada"
    table = await run(running_hub, "tasks", "explain", waiting, "--no-json")
    assert "AGENT ID  RULE" in table.out


async def test_one_task_that_cannot_be_cancelled_keeps_no_other_from_it(running_hub: RunningHub) -> None:
    first = (await running_hub.push("bob", "one", queue=True))["task_id"]
    second = (await running_hub.push("bob", "two", queue=True))["task_id"]
    said = await run(running_hub, "tasks", "cancel", first, "task-0000000000000000", second)
    assert said.code == 6
    assert [one["status"] for one in said.records] == ["cancelled", "cancelled"]
    assert "task-0000000000000000: There is no task" in said.err
    again = await run(running_hub, "tasks", "cancel", first)
    assert again.code == 1
    assert "invalid_state" in again.err
    retried = await run(running_hub, "tasks", "retry", first)
    assert retried.records[0]["retry_of"] == first
    assert retried.records[0]["task_id"] != first
    nothing = await run(running_hub, "tasks", "answer", second, "yes")
    assert nothing.code == 6
    assert "asks nothing" in nothing.err


async def test_dead_letters_are_listed_and_run_again_once(running_hub: RunningHub) -> None:
    dead = await ended(running_hub, "task_failed", attempts=2, error="broken", retryable=False)
    # A failure that is not worth a retry is `failed`; dead are those whose attempts are used up.
    assert (await run(running_hub, "dead", "list")).out == ""
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada", instance_id="another")
    dead = (await running_hub.push("ada", "twice", attempts_max=2))["task_id"]
    for _ in range(2):
        assigned = await peer.hear("task_assign")
        await peer.say(
            peer.fact("task_accepted", assigned),
            peer.fact("task_failed", assigned, error="broken", retry_after_ms=1),
        )
    await peer.hang_up()
    listed = await run(running_hub, "dead", "list")
    assert [one["task_id"] for one in listed.records] == [dead]
    (group,) = (await run(running_hub, "dead", "list", "--group")).records
    assert (group["count"], group["retried"], group["example"], group["error"]) == (1, 0, dead, "broken")
    kind = ("--fingerprint", group["fingerprint"])
    assert [one["task_id"] for one in (await run(running_hub, "dead", "list", *kind)).records] == [dead]
    unsure = await run(running_hub, "dead", "retry", "--all")
    assert (unsure.code, unsure.out) == (2, "")
    assert "Retry 1 tasks? Nothing was done: say --yes" in unsure.err
    counted = await run(running_hub, "dead", "retry", *kind, "--dry-run")
    assert (counted.records[0]["count"], counted.records[0]["sample"]) == (1, [dead])
    again = await run(running_hub, "dead", "retry", "--all", "--yes")
    assert (again.code, again.records[0]["done"]) == (0, 1)
    assert (await run(running_hub, "dead", "retry", "--all", "--yes", "-q")).out == "0\n"
    assert (await run(running_hub, "dead", "list", "--group")).records[0]["retried"] == 1
    assert (await run(running_hub, "dead", "retry")).code == 2
    assert (await run(running_hub, "dead", "retry", "--all", *kind)).code == 2
    assert (await run(running_hub, "dead", "retry", dead, "--dry-run")).code == 2
    assert (await run(running_hub, "dead", "list", "--group", *kind)).code == 2
    assert (await run(running_hub, "dead", "retry", dead)).code == 0
    assert (await run(running_hub, "dead", "purge")).code == 2
    purged = await run(running_hub, "dead", "purge", *kind, "--yes")
    assert purged.records[0]["done"] == 1
    assert (await run(running_hub, "dead", "list")).out == ""


async def test_what_is_typed_as_a_name_is_one_step_of_a_path(running_hub: RunningHub) -> None:
    task_id = await ended(running_hub, "task_complete", result=1)
    for name, code in ((f"{task_id}?x=1", 6), (f"../tasks/{task_id}", 6), (f"{task_id}#", 6), ("", 2)):
        assert (await run(running_hub, "tasks", "get", name)).code == code, name


async def test_only_a_push_is_told_of_queue(running_hub: RunningHub) -> None:
    said = await run(running_hub, "agents", "pause", "nobody")
    assert (said.code, said.err) == (6, "Error: Agent nobody is not connected.\n")
