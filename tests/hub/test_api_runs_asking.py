"""What the asking for a run is refused for, and what a list of runs can be asked: each limit at its edge."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.runs.vault import KEYS_BYTES_MAX, SETTINGS_BYTES_MAX
from protocol.ids import AgentId
from protocol.limits import INTEGER_MAX, METADATA_BYTES_MAX, NAME_LENGTH_MAX
from streams.names import USER_ID_MAX
from tests.hub.askers import BRIEFING, DIGEST, TOPICS, ask, failed, make_plugin, run_of, worked
from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.waiting import until

SHIPPED = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)


def fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"] == "validation_failed"
    return [one["field"] for one in answer.json()["errors"]]


# --- which plugin -------------------------------------------------------------------------------------------


@SHIPPED
@pytest.mark.parametrize("name", ["weekly-news", "...", "%2e%2e%2fdaily-news-digest", "Daily-news-digest"])
async def test_an_unknown_plugin_is_404(running_hub: RunningHub, name: str) -> None:
    """L39: a name is looked up, and never a path."""
    async with running_hub.http() as http:
        answer = await ask(http, plugin=name)
        listed = (await http.get("/api/runs")).json()
    assert answer.status_code == 404
    assert listed["count"] == 0


async def test_a_plugin_that_only_an_agent_offers_is_taken_unchecked_while_it_is_there(
    running_hub: RunningHub,
) -> None:
    async with running_hub.http() as http:
        before = await ask(http, plugin="build")
        peer = await v2(running_hub, plugins=["build"])
        meanwhile = await ask(http, {"any": "thing"}, plugin="build")
        assigned = await worked(peer, "built")
        await peer.hang_up()
        await until(lambda: not running_hub.parts.board.is_connected(AgentId("ada")), "the agent is gone")
        after = await ask(http, {"another": "thing"}, plugin="build")
    assert (before.status_code, meanwhile.status_code, after.status_code) == (404, 202, 404)
    assert before.json() == before.json() | {"error": "plugin_not_found", "plugin": "build"}
    assert assigned["inputs"] == {"any": "thing"}


async def test_a_broken_plugin_is_404_and_says_what_is_wrong_with_it(start_hub: Any, tmp_path: Path) -> None:
    make_plugin(tmp_path, "words", "name: words\n")
    hub = await start_hub(plugins=(str(tmp_path),))
    async with hub.http() as http:
        answer = await ask(http, {}, plugin="words")
    assert answer.status_code == 404
    assert "version: is missing" in answer.json()["detail"]


async def test_without_the_reader_of_schemas_settings_are_taken_unchecked(
    start_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub without the extra has neither; the sidecar that runs it has, and judges."""
    make_plugin(tmp_path, "words")
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    hub = await start_hub(plugins=(str(tmp_path),))
    async with hub.http() as http:
        known = await ask(http, {"n": "no number"}, plugin="words")
        unknown = await ask(http, {}, plugin="others")
    assert (known.status_code, unknown.status_code) == (202, 404)


# --- which settings -----------------------------------------------------------------------------------------


@SHIPPED
@pytest.mark.parametrize(
    ("settings", "unfit"),
    [
        ({}, ["settings.topics"]),
        ({"topics": []}, ["settings.topics"]),
        ({"topics": ["ok", 5], "summary_length": "huge"}, ["settings.summary_length", "settings.topics[1]"]),
        (TOPICS | {"topic": "hunter2"}, ["settings.topic"]),
        (TOPICS | {"_llm_api_key": ["hunter2"]}, ["settings._llm_api_key"]),
        (None, ["settings"]),
        (["hunter2"], ["settings"]),
        ("hunter2", ["settings"]),
        ({"topics": ["a\x00b"]}, ["settings"]),
    ],
)
async def test_settings_that_do_not_fit_are_422_by_name_and_never_by_value(
    running_hub: RunningHub, settings: Any, unfit: list[str]
) -> None:
    async with running_hub.http() as http:
        answer = await ask(http, settings)
        listed = (await http.get("/api/runs")).json()
    assert fields(answer) == unfit
    assert "hunter2" not in answer.text
    assert listed["count"] == 0
    assert len(running_hub.parts.vault) == 0


@SHIPPED
@pytest.mark.parametrize("user_id", [-1, "7", 7.5, True, None, USER_ID_MAX + 1, 10**30])
async def test_a_user_is_an_unsigned_integer(running_hub: RunningHub, user_id: Any) -> None:
    async with running_hub.http() as http:
        assert fields(await ask(http, user_id=user_id)) == ["user_id"]


@SHIPPED
@pytest.mark.parametrize("user_id", [0, USER_ID_MAX])
async def test_every_unsigned_integer_is_a_user(running_hub: RunningHub, user_id: int) -> None:
    async with running_hub.http() as http:
        told = (await ask(http, user_id=user_id)).json()
        run = await run_of(http, told["plugin_run_id"])
        listed = (await http.get("/api/runs", params={"user_id": user_id})).json()
        others = (await http.get("/api/runs", params={"user_id": 5})).json()
    assert run["user_id"] == user_id
    assert [one["plugin_run_id"] for one in listed["runs"]] == [told["plugin_run_id"]]
    assert others["count"] == 0


@SHIPPED
@pytest.mark.parametrize("plugin_id", [0, INTEGER_MAX, "x", "x" * NAME_LENGTH_MAX])
async def test_a_plugin_is_named_back_as_the_caller_did(
    running_hub: RunningHub, plugin_id: str | int
) -> None:
    async with running_hub.http() as http:
        told = (await ask(http, plugin_id=plugin_id)).json()
        assert (await run_of(http, told["plugin_run_id"]))["plugin_id"] == plugin_id
        listed = (await http.get("/api/runs")).json()
    assert listed["runs"][0]["plugin_id"] == plugin_id


@SHIPPED
@pytest.mark.parametrize("plugin_id", [-1, INTEGER_MAX + 1, "", "x" * (NAME_LENGTH_MAX + 1), [], True])
async def test_a_plugin_is_named_by_a_word_or_a_number(running_hub: RunningHub, plugin_id: Any) -> None:
    async with running_hub.http() as http:
        assert fields(await ask(http, plugin_id=plugin_id)) == ["plugin_id"]


@SHIPPED
async def test_a_missing_member_is_named(running_hub: RunningHub) -> None:
    path = f"/api/plugins/{DIGEST}/runs"
    async with running_hub.http() as http:
        assert fields(await http.post(path, json={"settings": TOPICS})) == ["user_id"]
        assert fields(await http.post(path, json={"user_id": 1})) == ["settings"]
        assert (await http.post(path, content=b"{")).status_code == 400


async def test_settings_and_credentials_have_their_bounds(running_hub: RunningHub) -> None:
    await v2(running_hub, plugins=["any"])
    room = SETTINGS_BYTES_MAX - len('{"a":""}')
    room_of_keys = KEYS_BYTES_MAX - len('{"_k":""}')
    async with running_hub.http() as http:
        most = await ask(http, {"a": "x" * room}, plugin="any")
        more = await ask(http, {"a": "x" * (room + 1)}, plugin="any")
        far_more = await ask(http, {"a": "x" * METADATA_BYTES_MAX}, plugin="any")
        most_keys = await ask(http, {"_k": "x" * room_of_keys}, plugin="any")
        more_keys = await ask(http, {"b": 1, "_k": "x" * (room_of_keys + 1)}, plugin="any")
    assert (most.status_code, most_keys.status_code) == (202, 202)
    assert far_more.status_code == 413
    assert fields(more) == fields(more_keys) == ["settings"]


# --- what keeps it from being taken -------------------------------------------------------------------------


@pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",), "runs_by": "streams"}], indirect=True)
async def test_without_a_publisher_a_run_for_streams_fails_at_once_and_is_not_retried(
    running_hub: RunningHub,
) -> None:
    async with running_hub.http() as http:
        answer = await ask(http, TOPICS | {"_llm_api_key": "sk-secret"})
        run = await run_of(http, answer.json()["plugin_run_id"])
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert (run["status"], run["error_message"]) == ("failed", "streams publisher not configured")
    assert (run["attempts"], run["route"]) == (0, "streams")
    assert len(running_hub.parts.vault) == 0


@pytest.mark.parametrize("running_hub", [{"runs_by": "streams"}], indirect=True)
async def test_who_hands_runs_to_streams_and_has_no_folders_knows_no_plugin_to_refuse(
    running_hub: RunningHub,
) -> None:
    async with running_hub.http() as http:
        assert (await ask(http, plugin="anything")).status_code == 202


@SHIPPED
async def test_a_hub_without_room_refuses_a_run_and_keeps_no_key_of_it(running_hub: RunningHub) -> None:
    running_hub.parts.dispatcher.is_storage_full = True
    async with running_hub.http() as http:
        answer = await ask(http, TOPICS | {"_llm_api_key": "sk-secret"})
        running_hub.parts.dispatcher.is_storage_full = False
        again = await ask(http)
    assert (answer.status_code, answer.json()["error"]) == (503, "storage_full")
    assert len(running_hub.parts.vault) == 0
    assert again.status_code == 202


@pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",), "pushes_per_second": 1}], indirect=True)
async def test_runs_count_as_pushes_for_the_limit_of_a_token(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        statuses = {(await ask(http)).status_code for _ in range(20)}
    assert statuses == {202, 200, 429}


# --- lists --------------------------------------------------------------------------------------------------


@SHIPPED
async def test_runs_are_listed_newest_first_page_by_page_and_by_what_they_are(
    running_hub: RunningHub,
) -> None:
    peer = await v2(running_hub, plugins=[DIGEST, "build"])
    async with running_hub.http() as http:
        ids = []
        for user_id, end in ((1, "done"), (2, "failed"), (1, "waits")):
            plugin = "build" if end == "waits" else DIGEST
            if end == "waits":
                await http.post("/api/agents/ada/pause")
            ids.append((await ask(http, user_id=user_id, plugin=plugin)).json()["plugin_run_id"])
            if end == "done":
                await worked(peer, "news")
            elif end == "failed":
                await failed(peer, "no luck")

        async def listed(**query: Any) -> list[str]:
            answer = await http.get("/api/runs", params=query)
            assert answer.status_code == 200, answer.text
            assert answer.json()["count"] == len(answer.json()["runs"])
            return [one["plugin_run_id"] for one in answer.json()["runs"]]

        assert await listed() == ids[::-1]
        assert await listed(status="completed") == [ids[0]]
        assert await listed(status="failed") == [ids[1]]
        assert await listed(status="pending") == [ids[2]]
        assert await listed(status="processing") == []
        assert await listed(user_id=1) == [ids[2], ids[0]]
        assert await listed(plugin=DIGEST, user_id=1) == [ids[0]]
        first = (await http.get("/api/runs", params={"limit": 2})).json()
        assert await listed(limit=2, cursor=first["next"]) == [ids[0]]


@pytest.mark.parametrize(
    "query", ["status=queued", "user_id=abc", "user_id=-1", "user_id=18446744073709551616", "limit=abc",
              "limit=0", "cursor=!"]
)  # fmt: skip
async def test_a_query_that_means_nothing_is_422_and_never_silence(
    running_hub: RunningHub, query: str
) -> None:
    """L58: it was a 500."""
    async with running_hub.http() as http:
        answer = await http.get(f"/api/runs?{query}")
    assert fields(answer) == [query.partition("=")[0]]


@SHIPPED
async def test_completed_runs_with_a_summary_and_sections_are_briefings(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=[DIGEST, "build"])
    too_long = BRIEFING | {"summary": "x" * 301}
    made = [("a", BRIEFING), ("b", "no briefing"), ("c", json.dumps(BRIEFING)), ("d", too_long)]
    async with running_hub.http() as http:
        ids = {}
        for topic, result in made:
            told = (await ask(http, TOPICS | {"topics": [topic]})).json()
            ids[topic] = told["plugin_run_id"]
            await worked(peer, result)
        other = (await ask(http, plugin="build", user_id=9)).json()
        await worked(peer, BRIEFING)
        found = (await http.get("/api/briefings")).json()
        of_user = (await http.get("/api/briefings", params={"user_id": 9})).json()
        of_plugin = (await http.get("/api/briefings", params={"plugin": DIGEST, "limit": 1})).json()
        rest = (
            await http.get("/api/briefings", params={"plugin": DIGEST, "cursor": of_plugin["next"]})
        ).json()
    names = [one["plugin_run_id"] for one in found["briefings"]]
    assert names == [other["plugin_run_id"], ids["c"], ids["a"]]
    assert [one["plugin_run_id"] for one in of_user["briefings"]] == [other["plugin_run_id"]]
    pages = [one["plugin_run_id"] for page in (of_plugin, rest) for one in page["briefings"]]
    assert pages == [ids["c"], ids["a"]]
    shown = found["briefings"][-1]
    assert (shown["summary"], shown["sections"]) == (BRIEFING["summary"], BRIEFING["sections"])
    assert (shown["user_id"], shown["plugin_name"], shown["plugin_id"]) == (7, DIGEST, DIGEST)
    assert shown["completed_at"] >= shown["started_at"]
