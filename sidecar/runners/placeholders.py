"""Values of a task in a command's arguments: only where the owner's template says so, and only of its type.

    argv = ["/usr/bin/report", "--format", "json", "--", "{inputs.topic:word}", "{attempt:int}"]

Owns the three types (`word`, `int`, `text`) and the rule that a placeholder is a whole argument behind `--`,
whose value never begins with a dash (L35). There is no shell and no joining: a value stays one argument
whatever is in it. Pure.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import msgspec

from sidecar.runners.contract import Order

ARGUMENT_BYTES_MAX: Final = 16 * 1024
"""A value longer than this belongs on standard input."""

_PLACEHOLDER: Final = re.compile(r"\{(?P<name>[a-z_]+(?:\.[A-Za-z0-9_-]+)?):(?P<type>[a-z]+)\}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_OWN: Final = ("task_id", "generation", "attempt", "description", "plugin")
_TYPES: Final = ("word", "int", "text")

Value: TypeAlias = str | int | float | bool | None


class UnfitValue(ValueError):
    """A task's value cannot stand where the template wants it."""


def check_template(argv: tuple[str, ...]) -> None:
    """ValueError, with the sentence for the owner, when the template could not be safe."""
    if not argv or not argv[0].startswith("/"):
        raise ValueError("argv must begin with the absolute path of a program")
    behind_dashes = False
    for argument in argv:
        found = _PLACEHOLDER.fullmatch(argument)
        if found is not None:
            _check(argument, found["name"], found["type"], behind_dashes=behind_dashes)
        elif _PLACEHOLDER.search(argument):
            raise ValueError(f"{argument!r}: a placeholder must be an argument of its own")
        behind_dashes = behind_dashes or argument == "--"


def _check(argument: str, name: str, type_: str, *, behind_dashes: bool) -> None:
    if type_ not in _TYPES:
        raise ValueError(f"{argument!r}: the type is one of {', '.join(_TYPES)}")
    if name not in _OWN and not name.startswith(("inputs.", "metadata.")):
        raise ValueError(f"{argument!r}: the name is one of {', '.join(_OWN)}, inputs.…, metadata.…")
    if not behind_dashes:
        raise ValueError(f'{argument!r} must stand behind a "--", so that no value is taken for an option')


def filled(argv: tuple[str, ...], order: Order) -> tuple[str, ...]:
    """The argument vector for one order. UnfitValue when a value is missing or of another type."""
    return tuple(
        _value(found["name"], found["type"], order)
        if (found := _PLACEHOLDER.fullmatch(argument))
        else argument
        for argument in argv
    )


def _value(name: str, type_: str, order: Order) -> str:
    value = _named(name, order)
    if value is None:
        raise UnfitValue(f"the command needs {name}, and the task has none")
    if type_ == "int":
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UnfitValue(f"{name} must be a whole number that is not negative")
        return str(value)
    if not isinstance(value, str):
        raise UnfitValue(f"{name} must be a string")
    if type_ == "word" and not _WORD.fullmatch(value):
        raise UnfitValue(f"{name} must be one word of letters, digits and . _ @ + -")
    if value.startswith("-") or "\0" in value or len(value.encode()) > ARGUMENT_BYTES_MAX:
        raise UnfitValue(
            f"{name} must not begin with a dash, hold U+0000, or exceed {ARGUMENT_BYTES_MAX} bytes"
        )
    return value


def _named(name: str, order: Order) -> object:
    part, _, key = name.partition(".")
    if not key:
        return {
            "task_id": order.task_id,
            "generation": order.generation,
            "attempt": order.attempt,
            "description": order.description,
            "plugin": order.plugin,
        }[part]
    raw = order.inputs if part == "inputs" else order.metadata
    try:
        return msgspec.json.decode(raw or b"{}", type=dict[str, object]).get(key)
    except msgspec.MsgspecError as trouble:
        raise UnfitValue(f"{part} is no JSON object: {trouble}") from trouble
