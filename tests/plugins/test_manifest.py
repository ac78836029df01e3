"""`plugin.yaml`: what it may say, and the sentence for each mistake."""

from pathlib import Path

import pytest

from plugins.contract import Manifest
from plugins.manifest import CAPABILITIES_MAX, DESCRIPTION_LENGTH_MAX, LINE_LENGTH_MAX
from tests.plugins.folder import found, make_plugin, sentence_about

WHOLE = """\
name: brief
version: "1.2.3"
description: A briefing about what you choose.
owner: Desk
schema_version: v1
icon: newspaper
capabilities: [briefing, english]
default_config:
  length: short
  topics: [a, b]
settings_schema_path: settings.schema.json
"""


def test_a_manifest_is_read_member_by_member(tmp_path: Path) -> None:
    plugin = found(make_plugin(tmp_path, manifest=WHOLE))
    assert plugin.manifest == Manifest(
        name="brief",
        version="1.2.3",
        description="A briefing about what you choose.",
        owner="Desk",
        icon="newspaper",
        capabilities=("briefing", "english"),
        default_config={"length": "short", "topics": ["a", "b"]},
    )


def test_name_and_version_are_enough(tmp_path: Path) -> None:
    manifest = found(make_plugin(tmp_path)).manifest
    assert (manifest.name, manifest.schema_version, manifest.capabilities) == ("brief", "v1", ())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("autor: me", "plugin.yaml: autor: is not a key of a manifest"),
        ("capabilites: [a]", "plugin.yaml: capabilites: is not a key of a manifest; did you mean `capabili"),
        ("xyzzy: 1", "xyzzy: is not a key of a manifest; it knows name, version, description"),
        ("owner: 5", "owner: is a number, and must be text; put it in quotes"),
        ("owner: true", "owner: is true or false, and must be text"),
        ("capabilities: briefing", "capabilities: must be a list of words"),
        ("capabilities: [1]", "capabilities: must be a list of words"),
        ("capabilities: ['']", f"capabilities[0]: must have from 1 to {LINE_LENGTH_MAX} characters"),
        ("default_config: [1]", "default_config: is a list, and must be a mapping of settings to values"),
        ("default_config: {_llm_api_key: k}", "default_config._llm_api_key: is a credential"),
        ("default_config: {since: 2026-01-01}", "default_config.since is a date"),
        ("default_config: {1: a}", "the key default_config.1 must be text"),
        ("default_config: {n: .nan}", "default_config.n is not a finite number"),
        ("schema_version: v2", "schema_version: is v2; this release reads v1"),
        ("version: '1.0.1'", "line 3: the key version stands there twice"),
        ("default_config: {a: 1, a: 2}", "the key a stands there twice"),
        ("owner: *nobody", "plugin.yaml, line 3: has an alias"),
        ("owner: !!python/object/apply:os.system [ls]", "plugin.yaml, line 3: could not determine a constr"),
        ("owner: [", "plugin.yaml, line 4:"),
        (f"icon: {'x' * (LINE_LENGTH_MAX + 1)}", f"icon: has more than {LINE_LENGTH_MAX} characters"),
        (f"description: {'x' * (DESCRIPTION_LENGTH_MAX + 1)}", "description: has more than"),
        (
            f"capabilities: {['a'] * (CAPABILITIES_MAX + 1)}",
            f"capabilities: are more than {CAPABILITIES_MAX}",
        ),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, line: str, sentence: str) -> None:
    folder = make_plugin(tmp_path, manifest=f'name: brief\nversion: "1.0"\n{line}\n')
    assert sentence in sentence_about(folder)


@pytest.mark.parametrize(
    "line",
    [
        f"icon: {'x' * LINE_LENGTH_MAX}",
        f"description: {'x' * DESCRIPTION_LENGTH_MAX}",
        f"capabilities: {['a'] * CAPABILITIES_MAX}",
        f"capabilities: [{'x' * LINE_LENGTH_MAX}]",
    ],
)
def test_a_member_at_its_limit_is_taken(tmp_path: Path, line: str) -> None:
    found(make_plugin(tmp_path, manifest=f'name: brief\nversion: "1.0"\n{line}\n'))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "plugin.yaml: is empty, and must be a mapping"),
        ("- name", "plugin.yaml: is a list, and must be a mapping"),
        ("version: '1'", "plugin.yaml: name: is missing"),
        ("name: brief", "plugin.yaml: version: is missing"),
        ("name: brief\nversion: ''", "plugin.yaml: version: is missing"),
        ("name: brief\nversion: 1.10", "version: is a number, and must be text; put it in quotes"),
        ("name: other\nversion: '1'", "name: is other, and the folder is called brief; make them equal"),
        ("name: Brief\nversion: '1'", "name: must begin with a to z"),
        ("name: ../elsewhere\nversion: '1'", "name: must begin with a to z"),
        ("[1]: a", "plugin.yaml, line 1: found unhashable key"),
    ],
)
def test_a_manifest_that_is_none_is_said_to_be_none(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in sentence_about(make_plugin(tmp_path, manifest=text))


def test_the_longest_name_is_taken_and_one_more_is_not(tmp_path: Path) -> None:
    longest = "a" * 64
    assert found(make_plugin(tmp_path, longest)).name == longest
    assert "at most 64" in sentence_about(make_plugin(tmp_path, longest + "a"))
