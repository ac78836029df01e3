"""Whether a person's answer fits the question's JSON Schema.

Owns the part of JSON Schema 2020-12 that questions use: type, enum, const, bounds of numbers, strings,
arrays and objects, required, properties, items. Keywords it does not know say nothing, as the standard
asks. `pattern` is one of them: it comes from an agent, and there are short ones that would keep the hub busy
for ever. Pure; never raises for a strange schema. (Plugins' settings have a full validator at the sidecar.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

DEPTH_MAX: Final = 32
"""Nested schemas beyond this are not looked into."""

CHOICES_SHOWN_MAX: Final = 10
CHOICE_LENGTH_MAX: Final = 80
"""Of an `enum` in a sentence for a person: it came from an agent and may be as long as a book."""

TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: (
        (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer())
    ),
}

BOUNDS: Final[dict[str, tuple[str, Callable[[Any, Any], bool], str]]] = {
    "minimum": ("number", lambda v, b: v >= b, "must be at least {}"),
    "maximum": ("number", lambda v, b: v <= b, "must be at most {}"),
    "exclusiveMinimum": ("number", lambda v, b: v > b, "must be more than {}"),
    "exclusiveMaximum": ("number", lambda v, b: v < b, "must be less than {}"),
    "minLength": ("string", lambda v, b: len(v) >= b, "must have at least {} characters"),
    "maxLength": ("string", lambda v, b: len(v) <= b, "must have at most {} characters"),
    "minItems": ("array", lambda v, b: len(v) >= b, "must have at least {} items"),
    "maxItems": ("array", lambda v, b: len(v) <= b, "must have at most {} items"),
    "minProperties": ("object", lambda v, b: len(v) >= b, "must have at least {} members"),
    "maxProperties": ("object", lambda v, b: len(v) <= b, "must have at most {} members"),
}


def fault_of(value: object, schema: object, at: str = "value") -> str | None:
    """The first thing that is wrong with `value`, as a sentence, or None."""
    return next(faults(value, schema, at, 0), None)


def faults(value: Any, schema: Any, at: str, depth: int) -> Iterator[str]:
    if schema is False:
        yield f"{at} is not allowed"
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return
    yield from type_faults(value, schema, at)
    yield from bound_faults(value, schema, at)
    if isinstance(value, dict):
        yield from object_faults(value, schema, at, depth)
    if isinstance(value, list) and isinstance(schema.get("items"), dict | bool):
        for n, item in enumerate(value):
            yield from faults(item, schema["items"], f"{at}[{n}]", depth + 1)


def type_faults(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    wanted = schema.get("type")
    names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    known = [name for name in names if isinstance(name, str) and name in TYPES]
    if known and not any(TYPES[name](value) for name in known):
        yield f"{at} must be {' or '.join(known)}"
    if isinstance(schema.get("enum"), list) and not any(same(value, e) for e in schema["enum"]):
        yield f"{at} must be one of {', '.join(map(shown, schema['enum'][:CHOICES_SHOWN_MAX]))}"
    if "const" in schema and not same(value, schema["const"]):
        yield f"{at} must be {shown(schema['const'])}"


def shown(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= CHOICE_LENGTH_MAX else f"{said[:CHOICE_LENGTH_MAX]}…"


def same(a: Any, b: Any) -> bool:
    """Equal as JSON: Python's True == 1 is not."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def bound_faults(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    for keyword, (kind, holds, sentence) in BOUNDS.items():
        bound = schema.get(keyword)
        if TYPES["number"](bound) and TYPES[kind](value) and not holds(value, bound):
            yield f"{at} {sentence.format(bound)}"


def object_faults(value: dict[str, Any], schema: dict[str, Any], at: str, depth: int) -> Iterator[str]:
    required = schema.get("required")
    for name in required if isinstance(required, list) else []:
        if isinstance(name, str) and name not in value:
            yield f"{at}.{name} is required"
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    for name, member in value.items():
        if name in known:
            yield from faults(member, known[name], f"{at}.{name}", depth + 1)
        elif "additionalProperties" in schema:
            yield from faults(member, schema["additionalProperties"], f"{at}.{name}", depth + 1)
