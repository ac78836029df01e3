"""`hub push` in a process of its own against a real hub: what it says, and with which code it ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.values import duration_ms, inputs_of, moment_ms, text_of, value_of
from hub.auth import Role
from hub.commands.lines import BATCH_BYTES_MAX, LINES_A_BATCH_MAX, batches_of
from hub.commands.push import request_of, split_words
from hub.commands.terms import terms_of
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import PATIENCE_S, Said, environment, line_of, run, said_by, typed
from tests.waiting import until


async def working(hub: RunningHub, agent_id: str = "ada") -> V2Peer:
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(agent_id))
    await peer.identify(agent_id)
    return peer


async def pushed_and_watched(
    hub: RunningHub, *words: str, ending: dict[str, Any] | None = None, progress: bool = False
) -> Said:
    """Push with --watch, and let the agent accept the task and end it so."""
    peer, seen = await working(hub), ""
    async with typed(hub, "push", "ada", "work", "--watch", *words) as command:
        assigned = await peer.hear("task_assign")
        await peer.say(peer.fact("task_accepted", assigned))
        if progress:
            feed = hub.parts.feed
            await until(lambda: feed._watchers, "the command watches the feed")
            frame = {"type": "task_progress", "task_id": assigned["task_id"], "progress": 40}
            await peer.say({**frame, "generation": assigned["generation"], "message": "almost \x1b[2Jhalf"})
            while "half" not in seen:
                seen += await line_of(command.stdout)
        if ending is not None:
            await peer.say(peer.fact(ending.pop("type"), assigned, **ending))
        said = await said_by(command)
    return replace(said, out=seen + said.out)


async def test_a_watched_push_ends_with_0_and_the_task_as_the_last_line(running_hub: RunningHub) -> None:
    said = await pushed_and_watched(running_hub, ending={"type": "task_complete", "result": {"sum": 3}})
    assert said.code == 0, said.err
    assert [one["event"] for one in said.records[:-1]] == [
        "task_queued",
        "task_assigned",
        "task_accepted",
        "task_complete",
    ]
    assert (said.records[-1]["state"], said.records[-1]["result"]) == ("completed", {"sum": 3})


async def test_a_watched_push_that_fails_ends_with_1(running_hub: RunningHub) -> None:
    ending = {"type": "task_failed", "error": "no luck", "retryable": False}
    said = await pushed_and_watched(running_hub, "--no-json", ending=ending)
    assert said.code == 1
    assert "no luck" in said.out


@pytest.mark.parametrize("fault", ["work", "infrastructure", "policy", "time", "person"])
async def test_a_failure_is_told_with_whose_fault_it_was(running_hub: RunningHub, fault: str) -> None:
    ending = {"type": "task_failed", "error": "no luck", "retryable": False, "fault": fault}
    said = await pushed_and_watched(running_hub, "--no-json", ending=ending)
    assert said.code == (124 if fault == "time" else 1)
    assert f"fault: {fault}" in said.out


async def test_a_watched_push_that_asks_something_ends_with_7_where_nobody_can_answer(
    running_hub: RunningHub,
) -> None:
    peer = await working(running_hub)
    async with typed(running_hub, "push", "ada", "ask me", "--watch") as command:
        assigned = await peer.hear("task_assign")
        task_id = assigned["task_id"]
        question = {"request_id": f"{task_id}-1", "prompt": "Which one?"}
        await peer.say(
            peer.fact("task_accepted", assigned), peer.fact("input_required", assigned, **question)
        )
        said = await said_by(command)
    assert said.code == 7
    assert "Which one?" in said.err
    assert f"hub tasks answer {task_id}" in said.err
    assert (await run(running_hub, "tasks", "result", task_id)).code == 7
    answered = await run(running_hub, "tasks", "answer", task_id, '"the left one"')
    assert answered.code == 0, answered.err
    assert (await peer.hear("task_input"))["value"] == "the left one"


async def test_a_watched_push_that_is_cancelled_ends_with_3(running_hub: RunningHub) -> None:
    peer = await working(running_hub)
    async with typed(running_hub, "push", "ada", "stop me", "--watch") as command:
        assigned = await peer.hear("task_assign")
        await peer.say(peer.fact("task_accepted", assigned))
        cancelled = await run(running_hub, "tasks", "cancel", assigned["task_id"], "--reason", "enough")
        assert cancelled.records == [{"task_id": assigned["task_id"], "status": "cancelling"}]
        assert (await peer.hear("task_cancel"))["reason"] == "enough"
        proof = {"signals": ["TERM", "KILL"], "reaped": 2, "survivors": 0}
        await peer.say(peer.fact("task_stopped", assigned, how="killed", proof=proof))
        said = await said_by(command)
    assert said.code == 3
    assert said.records[-1]["ending"]["proof"]["survivors"] == 0


async def test_text_of_agents_reaches_no_terminal_as_it_is(running_hub: RunningHub) -> None:
    ending = {"type": "task_complete", "result": "\x1b]0;owned\x07"}
    said = await pushed_and_watched(running_hub, "--no-json", progress=True, ending=ending)
    assert said.code == 0
    assert "almost \\x1b[2Jhalf" in said.out
    assert "\\x1b]0;owned\\x07" in said.out
    assert "\x1b" not in said.out + said.err


async def test_a_push_to_an_agent_that_is_not_there_ends_with_6_and_says_queue(
    running_hub: RunningHub,
) -> None:
    said = await run(running_hub, "push", "nobody", "work")
    assert said.code == 6
    assert said.out == ""
    assert "nobody is not connected" in said.err
    assert "--queue" in said.err
    queued = await run(running_hub, "push", "nobody", "work", "--queue")
    assert queued.code == 0
    assert queued.records[0]["status"] == "queued"


async def test_a_quiet_push_says_the_id_and_nothing_else(running_hub: RunningHub) -> None:
    said = await run(running_hub, "push", "ada", "work", "--queue", "-q")
    assert said.err == ""
    assert (await running_hub.task(said.out.strip()))["description"] == "work"


async def test_a_push_for_whoever_can_carries_everything_that_was_said(
    running_hub: RunningHub, tmp_path: Path
) -> None:
    (tmp_path / "task.md").write_text("the task")
    (tmp_path / "inputs.json").write_text('{"topics": ["sea"], "depth": 1}')
    words = ["push", "--capability", "research", f"@{tmp_path}/task.md", "--plugin", "digest"]
    words += ["--inputs", f"@{tmp_path}/inputs.json", "--input", "depth=2", "--priority", "high"]
    words += ["--attempts", "5", "--timeout", "10m", "--key", "k-1", "--at", "2099-01-01T00:00+00:00"]
    first = await run(running_hub, *words)
    assert first.code == 0, first.err
    task = await running_hub.task(first.records[0]["task_id"])
    assert task["description"] == "the task"
    assert task["needed_capabilities"] == ["research"]
    assert task["inputs"] == {"topics": ["sea"], "depth": 2}
    assert (task["plugin"], task["priority"], task["attempts_max"]) == ("digest", "high", 5)
    again = await run(running_hub, *words)
    assert again.records[0]["task_id"] == task["task_id"]
    other = await run(running_hub, "push", "--any", "something else", "--key", "k-1")
    assert other.code == 1
    assert "idempotency" in other.err


async def test_a_push_that_says_too_little_ends_with_2(running_hub: RunningHub) -> None:
    for words in (
        ("ada",),
        ("ada", "say", "hello"),
        ("--any", "ada", "hello"),
        ("ada", "x", "--timeout", "9"),
    ):
        said = await run(running_hub, "push", *words)
        assert said.code == 2, words


async def test_a_push_without_the_right_to_push_ends_with_4(running_hub: RunningHub) -> None:
    wrong = await run(running_hub, "push", "ada", "work", HUB_TOKEN="huba_nonsense")
    assert wrong.code == 4
    assert "--token-file" in wrong.err
    viewer = await running_hub.token(role=Role.VIEWER)
    said = await run(running_hub, "push", "ada", "work", HUB_TOKEN=viewer)
    assert said.code == 4
    assert "dispatcher" in said.err


async def test_a_push_without_a_hub_ends_with_5_and_says_how_to_start_one() -> None:
    unknown = await run(None, "push", "ada", "work")
    assert unknown.code == 5
    assert "hub serve" in unknown.err
    silent = await run(None, "push", "ada", "work", "--hub", "http://127.0.0.1:9")
    assert silent.code == 5
    assert "No hub answers at http://127.0.0.1:9" in silent.err


def test_durations_and_times_are_read_as_people_write_them() -> None:
    assert [duration_ms(text) for text in ("500ms", "90s", "10m", "2h", "30d")] == [
        *(500, 90_000, 600_000, 7_200_000, 2_592_000_000)
    ]
    assert moment_ms("1970-01-01T00:00:01+00:00") == 1000
    for wrong in ("10", "m", "-5m", "5 weeks"):
        with pytest.raises(Exception, match="write 90s"):
            duration_ms(wrong)
    with pytest.raises(Exception, match="write 2030"):
        moment_ms("tomorrow")


def test_values_are_json_where_they_are_json() -> None:
    assert [value_of(text) for text in ("3", "[1]", "three", '"3"')] == [3, [1], "three", "3"]
    assert inputs_of(("a=1", "b=x=y"), '{"a": 0, "c": true}') == {"a": 1, "b": "x=y", "c": True}
    assert inputs_of((), None) is None
    assert text_of("plain") == "plain"
    for pairs, whole in ((("nothing",), None), ((), "[1]")):
        with pytest.raises(Exception, match="--input"):
            inputs_of(pairs, whole)
    with pytest.raises(Exception, match="cannot read /nowhere"):
        text_of("@/nowhere")


def test_a_push_to_one_agent_now_asks_for_that_agent_and_nothing_else() -> None:
    nothing = dict.fromkeys(("plugin", "whole", "timeout", "attempts", "key", "priority", "at"))
    options = {**nothing, "to_any": False, "capabilities": (), "pairs": (), "queue": False}
    path, body = request_of(("ada", "work"), options)
    assert path == "/api/admin/push-task"
    assert json.dumps(body) == '{"description": "work", "agent_id": "ada"}'
    assert split_words(("work",), open_to_all=True) == (None, "work")


async def test_a_push_says_to_the_queue_whatever_was_asked(running_hub: RunningHub) -> None:
    first = (await run(running_hub, "push", "--any", "first", "-q")).out.strip()
    words = ["push", "ada", "second", "--after", first, "--unique-key", "u", "--slot", "gpu"]
    words += ["--label", "a=1", "--label", "b=x=y", "--need-label", "zone=eu", "--prefer-label", "disk=fast"]
    words += ["--limit", "k=2", "--rate", "k=3/1m", "--sticky", "s", "--start-by", "2099-01-01T00:00+00:00"]
    words += ["--backoff", "500ms..2m,full", "--accept-timeout", "20s", "--lease", "1m"]
    said = await run(running_hub, *words, "--progress-timeout", "5m")
    assert said.code == 0, said.err
    task = await running_hub.task(said.records[0]["task_id"])
    told = {
        "assign_to": "ada",
        "waits_for": [first],
        "unique_key": "u",
        "slot": "gpu",
        "labels": {"a": "1", "b": "x=y"},
        "needed_labels": {"zone": "eu"},
        "preferred_labels": {"disk": "fast"},
        "concurrency_key": "k",
        "limit": 2,
        "rate": {"count": 3, "per_ms": 60_000},
        "sticky_key": "s",
        "start_by": 4_070_908_800_000,
        "backoff": {"first_ms": 500, "max_ms": 120_000, "jitter": "full"},
        "accept_timeout_ms": 20_000,
        "lease_ms": 60_000,
        "progress_timeout_ms": 300_000,
    }
    assert {name: task[name] for name in told} == told
    held = await run(running_hub, "push", "--any", "third", "--unique-key", "u")
    assert held.code == 1
    assert task["task_id"] in held.err


async def test_each_line_of_a_text_is_a_task(running_hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "tasks.txt").write_text("one\n\n  \ntwo\nthree\x00\n")
    words = ("push", "--any", "--lines", f"@{tmp_path}/tasks.txt", "--label", "from=file", "--key", "k")
    said = await run(running_hub, *words)
    assert said.code == 1, "one was refused"
    assert [one["line"] for one in said.records] == [1, 4]
    assert "line 5: validation_failed: description" in said.err
    assert "2 pushed, 1 refused" in said.err
    tasks = [await running_hub.task(one["task_id"]) for one in said.records]
    assert [(task["description"], task["labels"]) for task in tasks] == [
        ("one", {"from": "file"}),
        ("two", {"from": "file"}),
    ]
    again = await run(running_hub, *words, "-q")
    assert again.out.split() == [task["task_id"] for task in tasks], "the same lines make nothing twice"


async def test_lines_may_be_for_one_agent_and_come_from_standard_input(running_hub: RunningHub) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli", "push", "ada", "-", "--lines"),
        env=environment(running_hub),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=os.environ["HOME"],
    )
    async with asyncio.timeout(PATIENCE_S):
        out, _ = await command.communicate(b"one\ntwo\n")
    assert command.returncode == 0
    tasks = [await running_hub.task(json.loads(line)["task_id"]) for line in out.splitlines()]
    assert [(task["description"], task["assign_to"]) for task in tasks] == [("one", "ada"), ("two", "ada")]


async def test_lines_that_can_not_be_are_wrong_usage(running_hub: RunningHub) -> None:
    for words in (("--watch", "x"), ("--unique-key", "u", "x"), (" \n ",)):
        said = await run(running_hub, "push", "--any", "--lines", *words)
        assert said.code == 2, words
        assert said.err != ""


def test_batches_of_lines_are_bounded_in_number_and_in_bytes() -> None:
    few = [(number, {"description": "x"}) for number in range(2 * LINES_A_BATCH_MAX + 1)]
    assert [len(batch) for batch in batches_of(few)] == [LINES_A_BATCH_MAX, LINES_A_BATCH_MAX, 1]
    big = {"description": "x" * (BATCH_BYTES_MAX // 2)}
    assert [len(batch) for batch in batches_of([(1, big), (2, big), (3, big)])] == [1, 1, 1]
    assert list(batches_of([])) == []


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"labels": ("a",)}, "--label wants"),
        ({"needed_labels": ("=x",)}, "--need-label wants"),
        ({"backoff": "soon"}, "is not a duration"),
        ({"backoff": "2s..5m,none"}, "--backoff wants"),
        ({"limit": "k"}, "--limit wants"),
        ({"limit": "k=many"}, "--limit wants"),
        ({"limit": "k=\u00b2"}, "--limit wants"),
        ({"limit": ""}, "--limit wants"),
        ({"rate": "k=\u0663/1m"}, "--rate wants"),
        ({"rate": ""}, "--rate wants"),
        ({"backoff": ""}, "--backoff wants"),
        ({"run_at": ""}, "is not a time"),
        ({"start_by": "0001-01-01"}, "is not a time"),
        ({"lease_ms": ""}, "is not a duration"),
        ({"rate": "k=3"}, "--rate wants"),
        ({"rate": "=3/1m"}, "--rate wants"),
        ({"limit": "k=1", "rate": "other=3/1m"}, "of one key"),
    ],
)
def test_terms_that_are_not_written_so_are_said(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Exception, match=wrong):
        terms_of(options)


def test_what_was_said_is_never_left_out() -> None:
    """An empty variable of a script must not turn a push that is held back into one that is not."""
    for name in ("unique_key", "slot", "sticky_key", "priority"):
        assert terms_of({name: ""}) == {name: ""}
    assert terms_of({"limit": "k=0"}) == {"concurrency_key": "k", "limit": 0}


async def test_nonsense_is_refused_in_a_sentence_and_pushes_nothing(running_hub: RunningHub) -> None:
    options = (
        ("--unique-key", ""),
        ("--slot", ""),
        ("--limit", "k=0"),
        ("--rate", "k=0/1m"),
        ("--timeout", ""),
    )
    for words in (*options, ("--at", "0001-01-01T00:00"), ("--plugin", "\udcff")):
        said = await run(running_hub, "push", "--any", "x", *words)
        assert (said.code, said.out) == (2, ""), (words, said)
    async with running_hub.http() as http:
        assert (await http.get("/api/tasks")).json()["count"] == 0


def test_terms_are_read_as_people_write_them() -> None:
    assert terms_of({}) == {}
    assert terms_of({"backoff": "2s"}) == {"backoff": {"first_ms": 2_000}}
    assert terms_of({"backoff": "2s,full"}) == {"backoff": {"first_ms": 2_000, "jitter": "full"}}
    assert terms_of({"limit": "a=b=2"}) == {"concurrency_key": "a=b", "limit": 2}
