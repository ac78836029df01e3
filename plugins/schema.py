"""`settings.schema.json`: which settings a plugin takes, as JSON Schema 2020-12.

Owns what makes a schema unusable, found when a plugin is found and not when a task is waiting. Never fetches
a schema from anywhere: a `$ref` points into the same file.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from plugins.contract import Manifest
from plugins.documents import EXTRA_MISSING, UnfitDocument, read_json, short
from plugins.manifest import MANIFEST, unfit

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REFERENCES: Final = ("$ref", "$dynamicRef")
LACKS: Final = ("required", "dependentRequired", "minProperties")
"""What a manifest's defaults may lack: the task says the rest."""

ERRORS_MAX: Final = 20
"""Mistakes of one document that are looked at; a person repairs the first few and asks again."""


def read_schema(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """The schema that a manifest names, checked as a schema and against the manifest's own defaults."""
    name = manifest.settings_schema_path
    path = PurePosixPath(name)
    if not name or "\0" in name or path.is_absolute() or ".." in path.parts:
        raise unfit("settings_schema_path", "must be the path of a file inside the plugin's folder")
    schema = read_json(folder, name)
    refuse_schema(schema, name)
    refuse_defaults(schema, name, manifest)
    return schema


def refuse_schema(schema: dict[str, Any], name: str) -> None:
    dialect = schema.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != DIALECT:
        raise UnfitDocument(f"{name}: $schema: must be {DIALECT}, or left out")
    if schema.get("type", "object") != "object":
        raise UnfitDocument(f"{name}: type: must be object, because settings are one")
    jsonschema = extra("jsonschema")
    try:
        draft = jsonschema.Draft202012Validator
        draft.check_schema(schema, format_checker=draft.FORMAT_CHECKER)
    except jsonschema.SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        raise UnfitDocument(f"{name}: {where or 'the schema'}: {short(error.message)}") from error
    refuse_references(schema, name)


def refuse_references(schema: dict[str, Any], name: str) -> None:
    """Each points at something, and into this document."""
    referencing = extra("referencing")
    resource = extra("referencing.jsonschema").DRAFT202012.create_resource(schema)
    here = referencing.Registry().with_resource("", resource).resolver()
    for reference in references(schema):
        if not reference.startswith("#"):
            raise UnfitDocument(f"{name}: $ref: {short(reference)} is another document; none is ever fetched")
        try:
            here.lookup(reference)
        except referencing.exceptions.Unresolvable as error:
            raise UnfitDocument(f"{name}: $ref: {short(reference)} is not there") from error


def refuse_defaults(schema: dict[str, Any], name: str, manifest: Manifest) -> None:
    """What a manifest sets must fit by itself; what it leaves out, the task has to say."""
    for error in mistakes(schema, manifest.default_config, name):
        if error.validator not in LACKS:
            where = ".".join(["default_config", *map(str, error.absolute_path)])
            raise UnfitDocument(f"{MANIFEST}: {where}: does not fit {name}: {short(error.message)}")


def references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in REFERENCES and isinstance(value, str):
                yield value
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def mistakes(schema: dict[str, Any], settings: dict[str, Any], name: str) -> list[Any]:
    """What jsonschema finds, at most `ERRORS_MAX`; a schema that leads nowhere is the plugin's mistake."""
    draft = extra("jsonschema").Draft202012Validator
    # An empty registry: without one, jsonschema fetches what a schema refers to.
    nothing_else = extra("referencing").Registry()
    unresolvable = extra("referencing.exceptions").Unresolvable
    found = []
    try:
        for error in draft(schema, registry=nothing_else).iter_errors(settings):
            found.append(error)
            if len(found) == ERRORS_MAX:
                break
    except unresolvable as error:
        raise UnfitDocument(f"{name}: $ref: {short(error.ref)} is not there") from error
    except RecursionError as error:
        raise UnfitDocument(f"{name}: $ref: refers to itself without end") from error
    except ArithmeticError as error:  # a whole number that no float can hold, and `multipleOf`
        raise UnfitDocument(f"{name}: cannot judge such a number: {short(error)}") from error
    return found


def extra(module: str) -> Any:
    """A module that comes with the crewai extra, and that finding no plugin at all must not need."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UnfitDocument(EXTRA_MISSING) from error
