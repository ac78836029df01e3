"""Which plugins there are and what their settings look like: from folders, and from what agents tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from hub.api.plugins import PLUGINS_MAX
from hub.api.views_plugins import AGENTS_SHOWN_MAX, offerings_of
from hub.auth import Role
from hub.runs.forms import FORM_BYTES_MAX, FORMS_MAX, WORDS_LENGTH_MAX, FormsTold
from protocol.limits import PLUGIN_SCHEMAS_BYTES_MAX
from tests.hub.askers import DIGEST, make_plugin
from tests.hub.company import v1, v2
from tests.hub.conftest import RunningHub

WORDS = {
    "title": "Words",
    "description": "Counts words.",
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "default": {"n": 3},
}


async def plugins_of(hub: RunningHub) -> dict[str, dict[str, Any]]:
    async with hub.http(await hub.token(role=Role.VIEWER)) as http:
        answer = await http.get("/api/plugins")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["count"] == len(told["plugins"])
    return {one["name"]: one for one in told["plugins"]}


async def plugin_of(hub: RunningHub, name: str) -> dict[str, Any]:
    async with hub.http(await hub.token(role=Role.VIEWER)) as http:
        answer = await http.get(f"/api/plugins/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_hub_without_folders_has_the_schemas_that_its_agents_tell(running_hub: RunningHub) -> None:
    assert await plugins_of(running_hub) == {}
    await v2(running_hub, plugins=["words", "grep"], plugin_versions={"words": "1.2.0"},
             plugin_schemas={"words": WORDS, "not-offered": WORDS})  # fmt: skip
    await v2(running_hub, "bob", plugins=["words"], plugin_versions={"words": "1.3.0"})
    listed = await plugins_of(running_hub)
    assert list(listed) == ["grep", "words"]
    assert listed["words"] == {
        "name": "words",
        "title": "Words",
        "description": "Counts words.",
        "versions": ["1.2.0", "1.3.0"],
        "agents": ["ada", "bob"],
        "agent_count": 2,
        "is_in_folder": False,
        "trouble": None,
        "has_schema": True,
    }
    words = await plugin_of(running_hub, "words")
    assert words == listed["words"] | {"settings_schema": WORDS}
    grep = await plugin_of(running_hub, "grep")
    assert (grep["settings_schema"], grep["has_schema"], grep["agents"]) == (None, False, ["ada"])


async def test_what_nobody_offers_any_longer_is_not_listed(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=["words"], plugin_schemas={"words": WORDS})
    await peer.hang_up()
    async with running_hub.http() as http:
        while (answer := await http.get("/api/plugins/words")).status_code == 200:
            pass  # asking again is the pause
        assert (answer.status_code, answer.json()["error"]) == (404, "plugin_not_found")
        assert (await http.get("/api/plugins")).json() == {"plugins": [], "count": 0}


@pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)
async def test_what_the_hub_reads_itself_counts_more_than_what_an_agent_tells(
    running_hub: RunningHub,
) -> None:
    await v2(running_hub, plugins=[DIGEST], plugin_schemas={DIGEST: WORDS})
    digest = await plugin_of(running_hub, DIGEST)
    assert (digest["title"], digest["is_in_folder"], digest["agents"]) == ("Daily news digest", True, ["ada"])
    assert digest["settings_schema"]["default"] == {"summary_length": "medium"}, "the manifest's settings"
    assert digest["settings_schema"]["required"] == ["topics", "summary_length"]
    assert digest["description"].startswith("A briefing about up to ten topics.")


async def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path, start_hub: Any) -> None:
    make_plugin(tmp_path / "plugins", "broken", manifest="name: broken\n")
    hub = await start_hub(plugins=(str(tmp_path / "plugins"),))
    broken = (await plugins_of(hub))["broken"]
    assert broken["trouble"] == "broken: plugin.yaml: version: is missing"
    assert (broken["is_in_folder"], broken["has_schema"]) == (False, False)


async def test_schemas_above_the_bound_are_no_identify_and_v1_clients_tell_none(
    running_hub: RunningHub,
) -> None:
    room = PLUGIN_SCHEMAS_BYTES_MAX - len('{"words":{"title":""}}')
    await v2(running_hub, plugins=["words"], plugin_schemas={"words": {"title": "x" * 1000}})
    with pytest.raises(AssertionError):
        await v2(running_hub, plugins=["words"], plugin_schemas={"words": {"title": "x" * (room + 1)}})
    before = len(running_hub.parts.registry.forms)
    await v1(running_hub, "old")
    assert len(running_hub.parts.registry.forms) == before == 1


# --- the memory of what was told ----------------------------------------------------------------------------


def told(schemas: dict[str, Any]) -> Raw:
    return Raw(msgspec.json.encode(schemas))


def test_whoever_came_last_has_said_it() -> None:
    forms = FormsTold()
    forms.tell(["a"], told({"a": {"title": "one"}}))
    forms.tell(["a"], told({"a": {"title": "two"}}))
    forms.tell(["a"], None)
    form = forms.named("a")
    assert form is not None
    assert (form.title, json.loads(bytes(form.schema))) == ("two", {"title": "two"})


def test_so_many_are_remembered_and_the_oldest_goes_first() -> None:
    forms = FormsTold()
    for n in range(FORMS_MAX + 1):
        forms.tell([f"p{n}"], told({f"p{n}": {}}))
    assert len(forms) == FORMS_MAX
    assert forms.named("p0") is None
    assert forms.named(f"p{FORMS_MAX}") is not None


def test_what_is_no_schema_or_too_big_or_not_offered_is_not_kept() -> None:
    forms = FormsTold()
    fits = {"title": "x" * (FORM_BYTES_MAX - len('{"title":""}'))}
    big = {"title": fits["title"] + "x"}
    forms.tell(["a", "b", "c", "d"], told({"a": [], "b": big, "c": fits, "stranger": {}, "d": "x"}))
    assert [name for name in ("a", "b", "c", "d", "stranger") if forms.named(name)] == ["c"]
    form = forms.named("c")
    assert form is not None
    assert len(form.title) == WORDS_LENGTH_MAX


def test_words_that_are_no_words_are_left_out() -> None:
    forms = FormsTold()
    forms.tell(["a"], told({"a": {"title": {"x": 1}, "description": 7, "type": "object"}}))
    form = forms.named("a")
    assert form is not None
    assert (form.title, form.description) == ("", "")


async def test_a_big_fleet_is_shown_by_its_number(running_hub: RunningHub) -> None:
    await v2(running_hub, plugins=["words"])
    (seat,) = running_hub.parts.board.view_agents(running_hub.parts.clock.now())
    fleet = [msgspec.structs.replace(seat, agent_id=f"a{n:03}") for n in range(AGENTS_SHOWN_MAX + 1)]
    away = msgspec.structs.replace(seat, agent_id="away", is_connected=False)
    offering = offerings_of([*fleet, away])["words"]
    assert len(offering.agents) == AGENTS_SHOWN_MAX + 1
    assert PLUGINS_MAX > FORMS_MAX
