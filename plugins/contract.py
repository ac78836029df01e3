"""What a plugin is, in types: its manifest, its place on disk, what is wrong with it, what its crew takes.

Owns the words between a plugin's folder, the sidecar that offers it and the process that runs it. Never reads
a file and never imports a plugin's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

NAME_PATTERN: Final = r"[a-z][a-z0-9_-]{0,63}"
"""The name of a plugin: what a task says, a folder is called, and a run looks up. Never a path (L39)."""

SCHEMA_VERSION: Final = "v1"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`plugin.yaml`, member by member."""

    name: str
    version: str
    description: str = ""
    owner: str = ""
    schema_version: str = SCHEMA_VERSION
    icon: str = ""
    capabilities: tuple[str, ...] = ()
    default_config: dict[str, Any] = {}
    settings_schema_path: str = "settings.schema.json"


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that was found and whose documents are in order. Its code has not been imported."""

    manifest: Manifest
    folder: Path
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        return self.manifest.name


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why a folder is not offered: a sentence for its owner, and the traceback where its code raised."""

    folder: str
    sentence: str
    traceback: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What lay in the plugin folders: the good ones by name, and the others with the reason."""

    plugins: dict[str, Plugin] = {}
    troubles: tuple[Trouble, ...] = ()


class CreateCrew(Protocol):
    """`crew/crew.py` of a plugin has one: it builds a crew (crewai's `Crew`, or an instance of a `@CrewBase`
    class) from settings without credentials."""

    def __call__(self, settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any: ...
