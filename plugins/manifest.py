"""`plugin.yaml`: the file in which a plugin says what it is.

Owns the bounds of each member and the sentence for each mistake. Never reads any other file, and never
imports a plugin's code.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from plugins.contract import NAME_PATTERN, SCHEMA_VERSION, Manifest
from plugins.documents import UnfitDocument, kind_of, read_yaml
from plugins.keys import MARK

MANIFEST: Final = "plugin.yaml"
REQUIRED: Final = ("name", "version")

LINE_LENGTH_MAX: Final = 64
"""Version, owner, icon and a capability: words for a column of a table."""

DESCRIPTION_LENGTH_MAX: Final = 1000
"""A paragraph for people; it travels in every list of plugins."""

CAPABILITIES_MAX: Final = 32
"""A sidecar may say 256 capabilities in all, and has more than one plugin."""


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the plugin in this folder, or `UnfitDocument` that names the key."""
    document = read_yaml(folder, MANIFEST)
    refuse_unknown(document)
    refuse_missing(document)
    refuse_kinds(document)
    manifest = msgspec.convert(document, Manifest)
    refuse_values(manifest, folder)
    return manifest


def unfit(key: str, what: str) -> UnfitDocument:
    return UnfitDocument(f"{MANIFEST}: {key}: {what}")


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean …?`, or nothing when no known name is near."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def refuse_unknown(document: dict[str, Any]) -> None:
    known = [field.name for field in msgspec.structs.fields(Manifest)]
    for key in document:
        if key not in known:
            hint = nearest(key, known) or f"; it knows {', '.join(known)}"
            raise unfit(key, f"is not a key of a manifest{hint}")


def refuse_missing(document: dict[str, Any]) -> None:
    for key in REQUIRED:
        if document.get(key) is None:
            raise unfit(key, "is missing")


def refuse_kinds(document: dict[str, Any]) -> None:
    """Say a wrong kind in the words of YAML: `version: 1.10` is a number, and would read as 1.1."""
    wanted = get_type_hints(Manifest)
    for key, value in document.items():
        if key == "capabilities":
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                raise unfit(key, "must be a list of words")
        elif wanted[key] is str and not isinstance(value, str):
            raise unfit(key, f"is {kind_of(value)}, and must be text; put it in quotes")
        elif wanted[key] is not str and not isinstance(value, dict):
            raise unfit(key, f"is {kind_of(value)}, and must be a mapping of settings to values")


def refuse_values(manifest: Manifest, folder: Path) -> None:
    if not re.fullmatch(NAME_PATTERN, manifest.name):
        raise unfit("name", "must begin with a to z and go on with a to z, 0 to 9, - or _, at most 64 in all")
    if manifest.name != folder.name:
        raise unfit("name", f"is {manifest.name}, and the folder is called {folder.name}; make them equal")
    if manifest.schema_version != SCHEMA_VERSION:
        raise unfit("schema_version", f"is {manifest.schema_version}; this release reads {SCHEMA_VERSION}")
    for key in manifest.default_config:
        if key.startswith(MARK):
            raise unfit(f"default_config.{key}", "is a credential, and no file of a plugin may hold one")
    refuse_lengths(manifest)
    refuse_capabilities(manifest.capabilities)


def refuse_lengths(manifest: Manifest) -> None:
    if not manifest.version.strip():
        raise unfit("version", "is missing")
    for key in ("version", "owner", "icon"):
        if len(getattr(manifest, key)) > LINE_LENGTH_MAX:
            raise unfit(key, f"has more than {LINE_LENGTH_MAX} characters")
    if len(manifest.description) > DESCRIPTION_LENGTH_MAX:
        raise unfit("description", f"has more than {DESCRIPTION_LENGTH_MAX} characters")


def refuse_capabilities(capabilities: tuple[str, ...]) -> None:
    if len(capabilities) > CAPABILITIES_MAX:
        raise unfit("capabilities", f"are more than {CAPABILITIES_MAX}")
    for index, word in enumerate(capabilities):
        if not word.strip() or len(word) > LINE_LENGTH_MAX:
            raise unfit(f"capabilities[{index}]", f"must have from 1 to {LINE_LENGTH_MAX} characters")


assert all(name in Manifest.__struct_fields__ for name in REQUIRED)
