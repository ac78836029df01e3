"""The settings of a task: merged, judged, and refused by the name of the key."""

from pathlib import Path
from typing import Any

import pytest

from plugins.settings import SHOWN_MAX, UnfitSettings, check_settings
from tests.plugins.folder import found, make_plugin

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "topics": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 5},
            "minItems": 1,
            "maxItems": 2,
            "uniqueItems": True,
        },
        "length": {"enum": ["short", "long"]},
        "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        "place": {"type": "object", "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}}},
        "odd": {"not": {"const": 2}},
    },
    "required": ["topics"],
    "additionalProperties": False,
}
MANIFEST = 'name: brief\nversion: "1"\ndefault_config: {length: short, place: {city: Ulm, street: A}}\n'


def settings_of(folders: Path, inputs: dict[str, Any], description: str = "", **parts: Any) -> dict[str, Any]:
    parts = {"schema": SCHEMA, "manifest": MANIFEST} | parts
    return check_settings(found(make_plugin(folders, **parts)), inputs, description)


def test_inputs_lie_over_the_defaults(tmp_path: Path) -> None:
    """A default is replaced whole: a half replaced one would be nobody's choice."""
    given = {"topics": ["a"], "place": {"city": "Bonn"}}
    assert settings_of(tmp_path, given) == {"length": "short", "topics": ["a"], "place": {"city": "Bonn"}}


def test_a_run_cannot_change_the_defaults_of_the_next(tmp_path: Path) -> None:
    plugin = found(make_plugin(tmp_path, schema=SCHEMA, manifest=MANIFEST))
    check_settings(plugin, {"topics": ["a"]}, "")["place"]["city"] = "Bonn"
    assert check_settings(plugin, {"topics": ["a"]}, "")["place"]["city"] == "Ulm"


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "settings.topics: is missing"),
        ({"topics": []}, "settings.topics: must have at least 1 entries"),
        ({"topics": ["a", "b", "c"]}, "settings.topics: must have at most 2 entries"),
        ({"topics": ["a", "a"]}, "settings.topics: has an entry twice"),
        ({"topics": "a"}, "settings.topics: is text, and must be a list"),
        ({"topics": ["a", 1]}, "settings.topics[1]: is a number, and must be text"),
        ({"topics": ["a", ""]}, "settings.topics[1]: must have at least 1 characters"),
        ({"topics": ["toolong"]}, "settings.topics[0]: must have at most 5 characters"),
        ({"topics": ["a"], "length": "medium"}, "settings.length: must be one of short, long"),
        ({"topics": ["a"], "count": 0}, "settings.count: must be at least 1"),
        ({"topics": ["a"], "count": 10}, "settings.count: must be at most 9"),
        ({"topics": ["a"], "count": 1.5}, "settings.count: is a number, and must be a whole number or empty"),
        ({"topics": ["a"], "count": True}, "settings.count: is true or false, and must be a whole number"),
        ({"topics": ["a"], "place": {"city": "x"}}, "settings.place.city: must match ^[A-Z]"),
        ({"topics": ["a"], "lenght": "long"}, "settings.lenght: is not a setting; did you mean `length`?"),
        ({"topics": ["a"], "xyzzy": 1}, "settings.xyzzy: is not a setting; it takes topics, length, count"),
        ({"topics": ["a"], "odd": 2}, "settings.odd: does not satisfy not of the plugin's schema"),
        (
            {"topics": ["a"], "_llm_api_key": 5},
            "settings._llm_api_key: is a number, and a credential is text",
        ),
    ],
)
def test_an_unfit_setting_is_named_by_its_key(tmp_path: Path, inputs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnfitSettings) as caught:
        settings_of(tmp_path, inputs)
    assert sentence in str(caught.value)


def test_every_mistake_is_said_up_to_a_handful(tmp_path: Path) -> None:
    schema = {"properties": {key: {"type": "string"} for key in "abcdefg"}}
    for count in (SHOWN_MAX, SHOWN_MAX + 2):
        with pytest.raises(UnfitSettings) as caught:
            settings_of(tmp_path, dict.fromkeys("abcdefg"[:count], 1), schema=schema, manifest=None)
        assert str(caught.value).count("must be text") == SHOWN_MAX
        assert ("and 2 more" in str(caught.value)) == (count > SHOWN_MAX)


def test_a_credential_never_reaches_the_schema(tmp_path: Path) -> None:
    """L40: the schema of this plugin takes nothing else, and the settings hold nothing else."""
    settings = settings_of(tmp_path, {"topics": ["a"], "_llm_api_key": "sk-1", "_x": "y"})
    assert "sk-1" not in str(settings)
    assert not [key for key in settings if key.startswith("_")]


@pytest.mark.parametrize("key", ["topics", "length", "count", "place", "llm_api_key"])
def test_no_sentence_repeats_a_value(tmp_path: Path, key: str) -> None:
    """L40: what stands under a misspelt or misplaced key may be a password."""
    with pytest.raises(UnfitSettings) as caught:
        settings_of(tmp_path, {"topics": ["a"], key: ["sk-canary-1"] if key != "topics" else "sk-canary-1"})
    assert "sk-canary" not in str(caught.value)


def test_the_text_of_a_task_is_its_description_where_the_schema_has_one(tmp_path: Path) -> None:
    schema = {"properties": {"description": {"type": "string", "minLength": 3}}, "required": ["description"]}
    assert settings_of(tmp_path, {}, "write", schema=schema, manifest=None) == {"description": "write"}
    own = settings_of(tmp_path, {"description": "mine"}, "write", schema=schema, manifest=None)
    assert own == {"description": "mine"}
    with pytest.raises(UnfitSettings, match=r"settings\.description: must have at least 3"):
        settings_of(tmp_path, {}, "no", schema=schema, manifest=None)
    with pytest.raises(UnfitSettings, match=r"settings\.description: is missing"):
        settings_of(tmp_path, {}, "", schema=schema, manifest=None)
    fallback = 'name: brief\nversion: "1"\ndefault_config: {description: sing}\n'
    assert settings_of(tmp_path, {}, "write", schema=schema, manifest=fallback) == {"description": "write"}
    assert settings_of(tmp_path, {}, "", schema=schema, manifest=fallback) == {"description": "sing"}
    assert settings_of(tmp_path, {}, "write", schema={}, manifest=None) == {}


def test_a_schema_that_never_ends_on_some_input_fails_that_task_alone(tmp_path: Path) -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
    with pytest.raises(UnfitSettings, match=r"the schema of brief cannot be used: .* without end"):
        settings_of(tmp_path, {"a": 1}, schema=schema, manifest=None)


def test_a_number_that_cannot_be_judged_fails_that_task_alone(tmp_path: Path) -> None:
    schema = {"properties": {"n": {"multipleOf": 0.5}}}
    with pytest.raises(UnfitSettings, match="cannot judge such a number"):
        settings_of(tmp_path, {"n": 10**400}, schema=schema, manifest=None)
