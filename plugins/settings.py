"""The settings of one task, judged before anything is started for it.

Owns the merge with a plugin's defaults and the sentence for each unfit key, which never repeats a value: a
key that somebody misspelt may be a password. Never sees a credential; `plugins.keys` takes them out.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from plugins import keys
from plugins.contract import Plugin
from plugins.documents import UnfitDocument, kind_of, short
from plugins.manifest import nearest
from plugins.schema import mistakes

SHOWN_MAX: Final = 5
"""Mistakes that one sentence lists."""

KINDS: Final = {
    "array": "a list",
    "object": "a mapping",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "empty",
}

BOUNDS: Final = {
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be above {}",
    "exclusiveMaximum": "must be below {}",
    "multipleOf": "must be a multiple of {}",
    "pattern": "must match {}",
    "minProperties": "must have at least {} members",
    "maxProperties": "must have at most {} members",
    "const": "must be {}",
}


class UnfitSettings(Exception):
    """The settings of a task do not fit the plugin's schema; the sentence names every unfit key."""


def check_settings(plugin: Plugin, inputs: Mapping[str, Any], description: str) -> dict[str, Any]:
    """What the crew is given: the plugin's defaults, the task's inputs over them, and no credential.

    A default is replaced whole, also a list or a mapping. When the schema names a setting `description` and
    the inputs do not give it, the task's own text is it, if there is one.
    """
    refuse_odd_keys(inputs)
    given, _ = keys.split(inputs)
    if description and "description" in plugin.schema.get("properties", {}):
        given.setdefault("description", description)
    settings = copy.deepcopy({**plugin.manifest.default_config, **given})
    try:
        found = mistakes(plugin.schema, settings, plugin.manifest.settings_schema_path)
    except UnfitDocument as error:
        raise UnfitSettings(f"the schema of {plugin.name} cannot be used: {error}") from error
    if found:
        found.sort(key=lambda error: [str(step) for step in error.absolute_path])
        sentences = list(dict.fromkeys(line for error in found for line in said(error)))
        more = f"; and {len(sentences) - SHOWN_MAX} more" if len(sentences) > SHOWN_MAX else ""
        raise UnfitSettings("; ".join(sentences[:SHOWN_MAX]) + more)
    return settings


def refuse_odd_keys(inputs: Mapping[str, Any]) -> None:
    for key, value in inputs.items():
        if key.startswith(keys.MARK) and not isinstance(value, str | None):
            raise UnfitSettings(f"settings.{key}: is {kind_of(value)}, and a credential is text")


def said(error: Any) -> list[str]:
    """One mistake that jsonschema found, as sentences that name the key and what would fit."""
    where = key_path(error.absolute_path)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [f"{where}.{key}: is missing" for key in missing]
    if error.validator == "additionalProperties" and error.validator_value is False:
        return [f"{where}.{short(key)}: is not a setting{hint}" for key, hint in strangers(error)]
    return [f"{where}: {wanted(error)}"]


def key_path(steps: Any) -> str:
    """`settings.topics[2]`."""
    return "settings" + "".join(f"[{step}]" if isinstance(step, int) else f".{short(step)}" for step in steps)


def strangers(error: Any) -> list[tuple[str, str]]:
    """The keys that the schema does not have, each with what may have been meant."""
    known = list(error.schema.get("properties", {}))
    patterns = list(error.schema.get("patternProperties", {}))
    unknown = [key for key in error.instance if key not in known and not matches(patterns, key)]
    return [(key, nearest(key, known) or f"; it takes {', '.join(known)}") for key in unknown]


def matches(patterns: list[str], key: str) -> bool:
    return any(re.search(pattern, key) for pattern in patterns)


def wanted(error: Any) -> str:
    """What the schema asks for at this key."""
    asked = error.validator_value
    if error.validator == "type":
        kinds = [asked] if isinstance(asked, str) else asked
        return f"is {kind_of(error.instance)}, and must be {' or '.join(KINDS[kind] for kind in kinds)}"
    if error.validator == "enum":
        return f"must be one of {short(', '.join(map(plain, asked)))}"
    if error.validator in BOUNDS:
        return BOUNDS[error.validator].format(short(plain(asked)))
    if error.validator == "uniqueItems":
        return "has an entry twice"
    return f"does not satisfy {error.validator} of the plugin's schema"


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
