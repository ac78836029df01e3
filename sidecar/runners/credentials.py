"""Which keys a run of a crew gets: those that its task brought, and the sidecar's own where it brought none.

Owns that choice, and the list of values that the run must not say. Model, key and address are one account: a
task that brings a key or an address of its own is never given the sidecar's, or a stranger's server would be
shown it. Keys travel on standard input alone, never in an environment or an argument (L40).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from plugins import keys

MODEL: Final = "llm_model"
MODEL_KEY: Final = "llm_api_key"
MODEL_URL: Final = "llm_base_url"
SEARCH_KEY: Final = "search_key"

NOT_SECRET: Final = (MODEL,)
"""Named like a credential and shown all the same: people want to know which model worked."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The sidecar's own keys; an empty one is none."""

    model: str = ""
    model_key: str = ""
    model_url: str = ""
    search_key: str = ""

    def __repr__(self) -> str:
        return f"Account(model={self.model!r})"  # whoever logs it logs no key


def keys_of(brought: Mapping[str, str], own: Account) -> dict[str, str]:
    """The keys of one run, under the names that a run knows. `brought` is what `plugins.keys.split` took out
    of the task's inputs.
    """
    found = {MODEL: own.model, SEARCH_KEY: own.search_key}
    if MODEL_KEY not in brought and MODEL_URL not in brought:
        found |= {MODEL_KEY: own.model_key, MODEL_URL: own.model_url}
    found |= brought
    return {name: value for name, value in found.items() if value}


def secrets_of(inputs: Mapping[str, Any], own: Account) -> set[str]:
    """Every value that a run with these inputs must not say."""
    found = {own.model_key, own.search_key, urlsplit(own.model_url).password or ""}
    for name, value in inputs.items():
        if name.startswith(keys.MARK) and name.removeprefix(keys.MARK) not in NOT_SECRET:
            found.update(_texts(value))
    return found - {""}


def _texts(value: Any) -> Iterator[str]:
    """All text in it: what is no credential in form may be one all the same."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
