"""A plugin's YAML and JSON files, read so that an error says which file, which line or which key.

Owns what makes a document unfit in itself: too large, not text, a key twice, a value that JSON does not have.
Never reads outside a plugin's folder, and never knows what a document means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn, cast

DOCUMENT_BYTES_MAX: Final = 256 * 1024
"""A manifest or a schema above this is something else; read whole, in the sidecar's own process."""

DEPTH_MAX: Final = 32
"""Nesting of a document; deeper ones are made to hurt whoever walks them."""

SENTENCE_LENGTH_MAX: Final = 300
"""How much of a parser's own words are passed on."""

EXTRA_MISSING: Final = (
    "reading plugins needs an extra: pip install 'crewhub[plugins]' on a hub, 'crewhub[crewai]' on a sidecar"
)


class UnfitDocument(Exception):
    """A file of a plugin cannot be used; the sentence names the file and the key."""


def inside(folder: Path, name: str) -> Path:
    """The file `name` below this folder, which neither `..` nor a symbolic link may leave (L39)."""
    path = folder / name
    try:
        is_inside, is_file = path.resolve().is_relative_to(folder.resolve()), path.is_file()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UnfitDocument(f"{name}: cannot be read: {short(error)}") from error
    if not is_inside:
        raise UnfitDocument(f"{name}: lies outside the plugin's folder, and has to lie inside")
    if not is_file:
        raise UnfitDocument(f"{name}: there is no such file")
    return path


def read_yaml(folder: Path, name: str) -> dict[str, Any]:
    """A YAML mapping: no aliases, no key twice, and nothing that JSON could not say."""
    text = read_text(folder, name)
    yaml, loader = strict_yaml()
    try:
        document = yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UnfitDocument(f"{name}{line}: {short(error.problem or 'is not YAML')}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnfitDocument(f"{name}: is not YAML: {short(error)}") from error
    except RecursionError as error:
        raise UnfitDocument(f"{name}: is nested deeper than {DEPTH_MAX}") from error
    return mapping(document, name)


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object without a key twice."""
    text = read_text(folder, name)
    try:
        document = json.loads(text, object_pairs_hook=no_key_twice, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise UnfitDocument(f"{name}, line {error.lineno}: {error.msg}") from error
    except ValueError as error:
        raise UnfitDocument(f"{name}: {short(error)}") from error
    except RecursionError as error:
        raise UnfitDocument(f"{name}: is nested deeper than {DEPTH_MAX}") from error
    return mapping(document, name)


def read_text(folder: Path, name: str) -> str:
    path = inside(folder, name)
    try:
        with path.open("rb") as file:
            content = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise UnfitDocument(f"{name}: cannot be read: {error.strerror}") from error
    if len(content) > DOCUMENT_BYTES_MAX:
        raise UnfitDocument(f"{name}: is larger than {DOCUMENT_BYTES_MAX // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnfitDocument(f"{name}: is not UTF-8 text") from error


def mapping(document: object, name: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise UnfitDocument(f"{name}: is {kind_of(document)}, and must be a mapping of keys to values")
    refuse_strangers(document, name, "", DEPTH_MAX)
    return document


def refuse_strangers(value: object, name: str, path: str, depth: int) -> None:
    """Refuse what JSON cannot say, and name its key: YAML knows dates, sets, and numbers as keys."""
    if depth == 0:
        raise UnfitDocument(f"{name}: is nested deeper than {DEPTH_MAX}")
    for step, member in members(value, name, path):
        refuse_strangers(member, name, step, depth - 1)
    if isinstance(value, float) and not math.isfinite(value):
        raise UnfitDocument(f"{name}: {path} is not a finite number")
    if not isinstance(value, dict | list | str | int | float | None):
        raise UnfitDocument(f"{name}: {path} is {kind_of(value)}, which JSON does not have; put it in quotes")


def members(value: object, name: str, path: str) -> Iterator[tuple[str, object]]:
    """What a mapping or a list holds, each with its path from the top."""
    if isinstance(value, dict):
        for key, member in value.items():
            step = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str):
                raise UnfitDocument(f"{name}: the key {step} must be text; put it in quotes")
            yield step, member
    elif isinstance(value, list):
        yield from ((f"{path}[{index}]", member) for index, member in enumerate(value))


def kind_of(value: object) -> str:
    """What a value is, in the words of the people who write settings."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (str, "text"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (Mapping, "a mapping"),
        (type(None), "empty"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), f"a {type(value).__name__}")


def short(words: object) -> str:
    text = " ".join(str(words).split())
    return text if len(text) <= SENTENCE_LENGTH_MAX else f"{text[:SENTENCE_LENGTH_MAX]}…"


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key} stands there twice")
        found[key] = value
    return found


def no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


@cache
def strict_yaml() -> tuple[Any, type]:
    """PyYAML, which comes with the crewai extra, and its safe loader made strict."""
    try:
        import yaml  # noqa: PLC0415  it comes with an extra, and importing this module must not need it
    except ImportError as error:
        raise UnfitDocument(EXTRA_MISSING) from error

    class StrictLoader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                # A page of aliases can name a billion values.
                event = cast("Any", self).peek_event()
                raise yaml.composer.ComposerError(None, None, "has an alias (*name)", event.start_mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                if not isinstance(key_node, yaml.ScalarNode):
                    continue
                if key_node.value in seen:
                    problem = f"the key {key_node.value} stands there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
            return super().construct_mapping(node, deep=deep)

    return yaml, StrictLoader
