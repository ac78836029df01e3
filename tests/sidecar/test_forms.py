"""What a sidecar tells of its plugins' settings: what fits, in order, and never what a hub would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.contract import Manifest, Plugin
from plugins.forms import form_of
from plugins.loader import SHIPPED, find
from protocol.limits import PLUGIN_SCHEMAS_BYTES_MAX
from protocol.rawjson import Flaw
from sidecar.events import PluginsChanged
from sidecar.forms import FORM_BYTES_MAX, forms_of, judged
from tests.sidecar.dialogue import Dialogue


def plugin(name: str, schema: dict[str, Any], **manifest: Any) -> Plugin:
    return Plugin(manifest=Manifest(name=name, version="1", **manifest), folder=Path("/x"), schema=schema)


def of_size(name: str, size: int) -> Plugin:
    """A plugin whose form has so many bytes."""
    bare = len(json.dumps({"title": "", "default": {}}, separators=(",", ":")))
    return plugin(name, {"title": "x" * (size - bare)})


def told(*plugins: Plugin) -> list[str]:
    return list(json.loads(forms_of({one.name: one for one in plugins}) or b"{}"))


def test_a_form_is_the_schema_with_the_manifests_settings_and_words() -> None:
    schema = {"type": "object", "default": {"a": 1, "b": 1}}
    form = form_of(plugin("p", schema, description="What it does.", default_config={"b": 2}))
    assert form == {"type": "object", "default": {"a": 1, "b": 2}, "description": "What it does."}
    assert schema == {"type": "object", "default": {"a": 1, "b": 1}}, "the plugin's own is as it was"
    own = form_of(plugin("p", {"description": "Its own.", "default": 7}, description="The manifest's."))
    assert own == {"description": "Its own.", "default": {}}


def test_the_shipped_plugins_are_told() -> None:
    found = find([SHIPPED]).plugins
    forms = json.loads(forms_of(found))
    assert sorted(forms) == sorted(found)
    assert forms["daily-news-digest"]["properties"]["topics"]["maxItems"] == 10


def test_one_that_is_too_big_is_left_out_and_the_others_are_told() -> None:
    assert told(of_size("a", FORM_BYTES_MAX), of_size("b", FORM_BYTES_MAX + 1), of_size("c", 100)) == [
        "a",
        "c",
    ]


def test_all_together_keep_below_the_bound_of_the_wire() -> None:
    plugins = [of_size(f"p{n}", FORM_BYTES_MAX) for n in range(PLUGIN_SCHEMAS_BYTES_MAX // FORM_BYTES_MAX)]
    assert told(*plugins, of_size("q", 100)) == [*(one.name for one in plugins[:-1]), "q"]


@pytest.mark.parametrize("schema", [{"title": "\0"}, {"a": [[]] * 9_999}])
def test_what_a_hub_would_refuse_is_left_out(schema: dict[str, Any]) -> None:
    assert told(plugin("bad", schema), of_size("good", 100)) == ["good"]


def test_nothing_to_tell_is_nothing_said() -> None:
    assert forms_of({}) == b""
    assert not isinstance(judged({}), Flaw)


def test_another_schema_is_told_with_the_next_identify() -> None:
    talk = Dialogue()
    assert talk.desk.identify().plugin_schemas is None
    talk.tell(PluginsChanged(("a",), (), {}, b'{"a":{}}'))
    schemas = talk.desk.identify().plugin_schemas
    assert schemas is not None
    assert bytes(schemas) == b'{"a":{}}'
