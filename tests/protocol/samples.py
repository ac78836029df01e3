"""Frames made from their own types: with nothing but what they must have, with everything, and between.

Owns `frames_of`; the values are dull on purpose, but inside every bound that the types name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw
from msgspec import inspect as shape

from protocol.frames import AGENT_FRAMES, HUB_FRAMES, Frame

ROLES: dict[str, tuple[type[Frame], ...]] = {"agent": AGENT_FRAMES, "hub": HUB_FRAMES}
JSON_OBJECT = Raw('{"größe":[1,2.5,null,true],"text":"a\\nb","leer":{}}'.encode())

PLAIN: dict[type[shape.Type], Any] = {
    shape.StrType: "grüße",
    shape.BoolType: False,
    shape.IntType: 7,
    shape.FloatType: 7.5,
    shape.RawType: JSON_OBJECT,
}


def frames_of(kind: type[Frame]) -> Iterator[Frame]:
    """The least, the most, the least with each optional member alone, and the most without each."""
    fields = msgspec.structs.fields(kind)
    values = {field.name: value_of(shape.type_info(field.type)) for field in fields}
    least = {field.name: values[field.name] for field in fields if field.required}
    yield kind(**least)
    yield kind(**values)
    for name in values.keys() - least.keys():
        yield kind(**least, **{name: values[name]})
        yield kind(**{other: value for other, value in values.items() if other != name})


def full(kind: type[Frame]) -> Frame:
    """A frame with every member set."""
    return list(frames_of(kind))[1]


def value_of(wanted: shape.Type) -> Any:
    """Some value of a type that is not its default."""
    if type(wanted) in PLAIN:
        return PLAIN[type(wanted)]
    if isinstance(wanted, shape.Metadata):
        return value_of(wanted.type)
    if isinstance(wanted, shape.LiteralType):
        return wanted.values[-1]
    match wanted:
        case shape.UnionType(types=types):
            return value_of(next(each for each in types if not isinstance(each, shape.NoneType)))
        case shape.VarTupleType(item_type=item):
            return (value_of(item), value_of(item))
        case shape.DictType(key_type=key, value_type=value):
            return {value_of(key): value_of(value)}
        case shape.StructType(cls=cls, fields=fields):
            return cls(**{field.name: value_of(field.type) for field in fields})
        case _:
            raise AssertionError(f"no sample for {wanted}")
