"""The tables `hooks` and `calls` of the settings, judged once at the start.

Owns their members, the secrets that they name, and the sentence for each mistake. A secret stands in a file
or in the environment, never in the table, and is never shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from hub.errors import ConfigurationError
from hub.webhooks.guard import BadTarget, Target, target_of
from hub.webhooks.signing import BadSecret, keys_in
from hub.webhooks.template import DEPTH_MAX, is_too_deep
from protocol import limits

TABLES_MAX: Final = 100
"""Hooks, and calls, of one hub: each is written down by a person."""

SECRET_BYTES_MAX: Final = 4_096

TIMEOUT_MS_MAX: Final = 7 * 86_400_000
"""A run may take a week (reliability §3.3)."""

Table = TypeVar("Table")


class HookTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[hooks.NAME]`: who may start a task by a webhook, and which."""

    secret_file: str = ""
    secret_env: str = ""
    description: str = "Asked for by a webhook"
    plugin: str = ""
    agent_id: str = ""
    capability: str = ""
    inputs: dict[str, Any] | None = None
    timeout_ms: Annotated[int, Meta(ge=1, le=TIMEOUT_MS_MAX)] | None = None


class CallTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[calls.PLUGIN]`: tasks for this plugin are done by whoever answers at the URL."""

    url: str
    secret_file: str = ""
    secret_env: str = ""


class Hook(Struct, frozen=True, kw_only=True):
    name: str
    table: HookTable
    keys: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Hook({self.name})"


class CallPlace(Struct, frozen=True, kw_only=True):
    plugin: str
    target: Target
    keys: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"CallPlace({self.plugin})"


def read_hooks(tables: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> dict[str, Hook]:
    """The hooks of the settings by name."""
    found = {}
    for name, said in _bounded(tables, "hooks"):
        table = _table(said, HookTable, f"hooks.{name}")
        if sum(map(bool, (table.plugin, table.agent_id, table.capability))) != 1:
            raise ConfigurationError(f"hooks.{name} needs one of plugin, agent_id and capability")
        if is_too_deep(table.inputs):
            raise ConfigurationError(f"hooks.{name}: inputs nest deeper than {DEPTH_MAX} levels")
        keys = _keys(table.secret_file, table.secret_env, f"hooks.{name}", environ)
        found[name] = Hook(name=name, table=table, keys=keys)
    return found


def read_calls(
    tables: Mapping[str, Any], *, allow_private: bool, environ: Mapping[str, str] = os.environ
) -> dict[str, CallPlace]:
    """The places to call, by the plugin that each stands for."""
    found = {}
    for plugin, said in _bounded(tables, "calls"):
        table = _table(said, CallTable, f"calls.{plugin}")
        try:
            target = target_of(table.url, allow_private=allow_private)
        except BadTarget as wrong:
            raise ConfigurationError(f"calls.{plugin}: the url cannot be called: {wrong}") from wrong
        keys = _keys(table.secret_file, table.secret_env, f"calls.{plugin}", environ)
        found[plugin] = CallPlace(plugin=plugin, target=target, keys=keys)
    return found


def _bounded(tables: Mapping[str, Any], origin: str) -> list[tuple[str, Any]]:
    if len(tables) > TABLES_MAX:
        raise ConfigurationError(f"{origin} has {len(tables)} tables, and may have {TABLES_MAX}")
    for name in tables:
        if not 0 < len(name) <= limits.NAME_LENGTH_MAX or "/" in name:
            raise ConfigurationError(f"{origin}: {name[:80]!r} is no name")
    return list(tables.items())


def _table(said: Any, kind: type[Table], origin: str) -> Table:
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as wrong:
        raise ConfigurationError(f"{origin}: {wrong}") from wrong


def _keys(file: str, variable: str, origin: str, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """Why a secret is none is said without it."""
    if bool(file) == bool(variable):
        raise ConfigurationError(f"{origin} needs secret_file or secret_env, and not both")
    try:
        return keys_in(_secret_in(file) if file else environ[variable])
    except KeyError:
        raise ConfigurationError(f"{origin}: {variable} is not in the environment") from None
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigurationError(f"{origin}: {file} cannot be read ({type(wrong).__name__})") from None
    except BadSecret as wrong:
        raise ConfigurationError(f"{origin}: {wrong}") from None


def _secret_in(file: str) -> str:
    with Path(file).expanduser().open("rb") as opened:
        return opened.read(SECRET_BYTES_MAX).decode()
