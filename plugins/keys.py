"""Credentials among the inputs of a task: every key that begins with `_` is one, and no setting (L40).

Owns the mark and the names under which a run meets its keys. Never stores, prints or passes one on: whoever
splits inputs has to treat the second half as a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MARK: Final = "_"

ALIASES: Final = {"tavily_api_key": "search_key", "search_api_key": "search_key"}
"""Names that callers use for a key which has one name in a run."""


def split(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings without any credential, and the credentials without their mark.

    `_llm_model` comes out as `llm_model`, `_tavily_api_key` as `search_key`. Only text is a credential: a
    null means none, and `plugins.settings` refuses anything else by its name.
    """
    settings = {key: value for key, value in inputs.items() if not key.startswith(MARK)}
    keys: dict[str, str] = {}
    for key, value in inputs.items():
        name = key.removeprefix(MARK)
        if key.startswith(MARK) and isinstance(value, str) and value:
            keys[ALIASES.get(name, name)] = value
    return settings, keys
