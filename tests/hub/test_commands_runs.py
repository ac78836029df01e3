"""`hub runs` in a process of its own against a real hub: what it says, and with which code it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from console.results import WIDTH_MAX
from hub.commands.runs import readable
from tests.hub.askers import BRIEFING, DIGEST, TOPICS, ask, failed, worked
from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.terminal import sitting_at
from tests.hub.typing_hands import Said, run, said_by, typed

SHIPPED = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)

START = ("runs", "start", DIGEST, "--user", "7", "--input", 'topics=["space"]')


async def started_and_watched(hub: RunningHub, *words: str, ending: dict[str, Any]) -> Said:
    """Start with --watch, and let an agent accept the run and end it so."""
    peer = await v2(hub, plugins=[DIGEST])
    async with typed(hub, *START, "--watch", *words) as command:
        assigned = await peer.hear("task_assign")
        await peer.say(
            peer.fact("task_accepted", assigned), peer.fact(ending.pop("type"), assigned, **ending)
        )
        return await said_by(command)


@SHIPPED
async def test_a_watched_start_ends_with_0_and_names_first_its_run_and_last_its_task(
    running_hub: RunningHub,
) -> None:
    said = await started_and_watched(running_hub, ending={"type": "task_complete", "result": BRIEFING})
    assert said.code == 0, said.err
    first, last = said.records[0], said.records[-1]
    assert set(first) == {"plugin_run_id", "task_id", "status"}
    assert (last["task_id"], last["state"], last["result"]) == (first["task_id"], "completed", BRIEFING)


@SHIPPED
async def test_a_watched_start_whose_run_fails_ends_with_1(running_hub: RunningHub) -> None:
    ending = {"type": "task_failed", "error": "no luck", "retryable": False}
    said = await started_and_watched(running_hub, "--no-json", ending=ending)
    assert said.code == 1, said.out
    assert "no luck" in said.out


@SHIPPED
async def test_a_start_that_is_not_watched_says_how_to_go_on(running_hub: RunningHub) -> None:
    said = await run(running_hub, *START, "--plugin-id", "mondays", "--no-json")
    again = await run(running_hub, *START, "-q")
    told = (await run(running_hub, *START)).records[0]
    shown = (await run(running_hub, "runs", "get", told["plugin_run_id"])).records[0]
    assert (said.code, again.code) == (0, 0)
    assert said.out.split() == ["pending", told["plugin_run_id"]]
    assert f"hub watch {told['task_id']}" in said.err
    assert f"hub runs get {told['plugin_run_id']}" in said.err
    assert again.out.split() == [told["plugin_run_id"]]
    assert (shown["user_id"], shown["plugin_id"], shown["input"]) == (7, "mondays", {"topics": ["space"]})


@SHIPPED
async def test_settings_come_whole_from_a_file_too(running_hub: RunningHub, tmp_path: Any) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(TOPICS))
    said = await run(running_hub, "runs", "start", DIGEST, "--user", "7", "--inputs", f"@{file}")
    shown = (await run(running_hub, "runs", "get", said.records[0]["plugin_run_id"])).records[0]
    assert shown["input"] == TOPICS


@SHIPPED
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("start", "weekly", "--user", "7"), 6, "There is no plugin weekly here."),
        (("start", "../x", "--user", "7"), 6, ""),
        (("start", DIGEST, "--user", "7"), 2, "settings.topics: is missing"),
        (("start", DIGEST, "--user", "seven"), 2, "seven"),
        (("start", DIGEST), 2, "--user"),
        (("get", "nobody"), 6, "There is no run nobody. See: hub runs list"),
        (("list", "--status", "queued"), 2, "queued"),
    ],
)
async def test_what_cannot_be_done_is_a_sentence_and_a_number(
    running_hub: RunningHub, words: tuple[str, ...], code: int, sentence: str
) -> None:
    said = await run(running_hub, "runs", *words)
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err


async def made(hub: RunningHub, peer: V2Peer, topic: str, result: object) -> str:
    async with hub.http() as http:
        told = (await ask(http, TOPICS | {"topics": [topic]})).json()
        await worked(peer, result)
    return str(told["plugin_run_id"])


@SHIPPED
async def test_runs_and_briefings_are_json_lines_in_a_pipe(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    briefed = await made(running_hub, peer, "a", BRIEFING)
    other = await made(running_hub, peer, "b", "no briefing")
    async with running_hub.http() as http:
        broken = (await ask(http, user_id=8)).json()["plugin_run_id"]
    await failed(peer, "no luck")

    async def ids(*words: str) -> list[str]:
        said = await run(running_hub, "runs", *words)
        assert said.code == 0, said.err
        return [record["plugin_run_id"] for record in said.records]

    assert await ids("list") == [broken, other, briefed]
    assert await ids("list", "--limit", "1") == [broken]
    assert await ids("list", "--user", "8", "--status", "failed", "--plugin", DIGEST) == [broken]
    assert await ids("briefings") == [briefed]
    assert await ids("briefings", "--user", "8") == []
    quiet = await run(running_hub, "runs", "list", "-q")
    assert quiet.out.split() == [broken, other, briefed]


@SHIPPED
@pytest.mark.parametrize("kind", [lambda result: result, json.dumps], ids=["object", "text"])
async def test_a_briefing_reads_as_one_on_a_terminal(
    running_hub: RunningHub, kind: Callable[[Any], Any]
) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    briefing = BRIEFING | {"summary": "All is well \x1b[2Jhere."}
    name = await made(running_hub, peer, "a", kind(briefing))
    async with sitting_at(running_hub, "runs", "get", name, COLUMNS=str(WIDTH_MAX)) as screen:
        assert await screen.ended() == 0
    async with sitting_at(running_hub, "runs", "briefings") as listed:
        assert await listed.ended() == 0
    assert "All is well \\x1b[2Jhere." in screen.text
    assert screen.text.index("completed") < screen.text.index("Space") < screen.text.index("Still there.")
    assert '"sections"' not in screen.text
    assert "PLUGIN RUN ID" in listed.text
    assert name in listed.text


def test_only_a_briefing_is_read_as_json() -> None:
    assert readable(json.dumps(BRIEFING)) == BRIEFING
    for text in ("plain", '{"a": 1}', "[1]", "{"):
        assert readable(text) == text


@SHIPPED
async def test_a_person_sees_what_a_failed_run_has_died_of(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    async with running_hub.http() as http:
        name = (await ask(http)).json()["plugin_run_id"]
    await failed(peer, "the model is on holiday")
    shown = await run(running_hub, "runs", "get", name, "--no-json")
    listed = await run(running_hub, "runs", "list", "--no-json")
    for said in (shown, listed):
        assert "failed" in said.out
        assert "the model is on holiday" in said.out
