"""`settings.schema.json`: judged when a plugin is found, and never fetched from anywhere."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.folder import found, make_plugin, sentence_about


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "array"}, "settings.schema.json: type: must be object"),
        ({"type": "objekt"}, "settings.schema.json: type: must be object"),
        ({"properties": {"a": {"type": "texst"}}}, "settings.schema.json: properties.a.type: "),
        ({"properties": []}, "settings.schema.json: properties: "),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            "$schema: must be https://json-schema.org/dra",
        ),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}}, "$ref: #/$defs/a is not there"),
        ({"properties": {"a": {"pattern": "("}}}, "settings.schema.json: properties.a.pattern: "),
        ({"patternProperties": {"(": {}}}, "settings.schema.json: patternProperties: "),
        ({"$ref": "#"}, "$ref: refers to itself without end"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "$ref: other.json is another document"),
        ("[]", "settings.schema.json: is a list, and must be a mapping"),
        ("true", "settings.schema.json: is true or false, and must be a mapping"),
        ('{"type": "object", "type": "object"}', "settings.schema.json: the key type stands there twice"),
    ],
)
def test_an_unfit_schema_is_named_by_its_key(
    tmp_path: Path, schema: dict[str, Any] | str, sentence: str
) -> None:
    assert sentence in sentence_about(make_plugin(tmp_path, schema=schema))


def test_a_schema_may_refer_to_itself_where_that_ends(tmp_path: Path) -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "name": {"$ref": "#/$defs/name"}}}
    found(make_plugin(tmp_path, schema=tree | {"$defs": {"name": {"type": "string"}}}))


def test_a_schema_of_the_web_is_not_fetched(tmp_path: Path) -> None:
    """The address is one at which somebody would answer."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(60)
        port = door.getsockname()[1]
        schema = {"properties": {"a": {"$ref": f"http://127.0.0.1:{port}/a.json"}}}
        manifest = 'name: brief\nversion: "1"\ndefault_config: {a: 1}\n'
        callers = []
        listener = threading.Thread(target=lambda: callers.append(door.accept()))
        listener.start()
        sentence = sentence_about(make_plugin(tmp_path, schema=schema, manifest=manifest))
        with socket.create_connection(("127.0.0.1", port)) as own:
            listener.join()
            assert callers[0][1] == own.getsockname(), "the first caller was not this test"
            callers[0][0].close()
    assert "another document; none is ever fetched" in sentence


@pytest.mark.parametrize(
    "path", ["../other.json", "/etc/hostname", "crew/../../other.json", "''", "link.json"]
)
def test_the_path_of_a_schema_does_not_leave_the_folder(tmp_path: Path, path: str) -> None:
    """L39: what a manifest names is looked up inside its own folder only."""
    (tmp_path / "other.json").write_text("{}")
    manifest = f'name: brief\nversion: "1"\nsettings_schema_path: {path}\n'
    folder = make_plugin(tmp_path, manifest=manifest)
    (folder / "link.json").symlink_to(tmp_path / "other.json")
    sentence = sentence_about(folder)
    assert "inside the plugin's folder" in sentence or "outside the plugin's folder" in sentence


def test_a_schema_may_lie_in_a_folder_of_the_plugin(tmp_path: Path) -> None:
    folder = make_plugin(tmp_path, manifest='name: brief\nversion: "1"\nsettings_schema_path: crew/s.json\n')
    (folder / "crew" / "s.json").write_text('{"title": "here"}')
    assert found(folder).schema == {"title": "here"}


def test_defaults_that_do_not_fit_are_the_plugin_s_own_mistake(tmp_path: Path) -> None:
    schema = {"properties": {"n": {"type": "integer"}, "topic": {"type": "string"}}, "required": ["topic"]}
    unfit = make_plugin(tmp_path, schema=schema, manifest='name: brief\nversion: "1"\ndefault_config: {n: a}')
    assert "plugin.yaml: default_config.n: does not fit settings.schema.json" in sentence_about(unfit)
    found(make_plugin(tmp_path, schema=schema, manifest='name: brief\nversion: "1"\ndefault_config: {n: 1}'))
