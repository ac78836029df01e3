"""Reading back what we wrote: msgspec writes `Raw | None` and cannot read it (its union takes only the null).

Owns twins of our structs in which such members are plain `Raw`, and turns a null in them into None again.
Needed only where whole events are read, as in the ring file of turns; the wire and the rows have types of
their own.
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import fields, force_setattr

NULL: Final = b"null"


def readable(kind: Any) -> Any:
    """A type that reads what an encoder made of `kind`; its values are values of `kind`."""
    return _readable(kind)


@cache
def _readable(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _twin(kind)
    arguments = get_args(kind)
    if not arguments:
        return kind
    origin = get_origin(kind)
    if origin is Annotated:
        return Annotated[(readable(arguments[0]), *arguments[1:])]
    if origin in (types.UnionType, typing.Union):
        if any(_is_raw(member) for member in arguments):
            return Raw
        return typing.Union[tuple(readable(member) for member in arguments)]  # noqa: UP007  made, not written
    if origin is typing.Literal:
        return kind
    return origin[tuple(readable(member) for member in arguments)]


def _is_raw(kind: Any) -> bool:
    return kind is Raw or (get_origin(kind) is Annotated and get_args(kind)[0] is Raw)


def _twin(kind: type[Struct]) -> type[Struct]:
    """A subclass with readable members; the type itself when it has been readable all along."""
    members = fields(kind)
    changed = {one.name: new for one in members if (new := readable(one.type)) != one.type}
    if not changed:
        return kind
    nullable = tuple(one.name for one in members if changed.get(one.name) is Raw)

    def none_again(self: Struct) -> None:
        for name in nullable:
            value = getattr(self, name)
            if value is not None and bytes(value) == NULL:
                force_setattr(self, name, None)

    config = kind.__struct_config__
    return msgspec.defstruct(
        kind.__name__,
        [_member(one, changed[one.name]) for one in members if one.name in changed],
        bases=(kind,),
        namespace={"__post_init__": none_again},
        tag=config.tag,
        tag_field=config.tag_field,
        kw_only=True,
        frozen=True,
    )


def _member(one: msgspec.structs.FieldInfo, kind: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    """As it was declared, but for its type."""
    if one.default is not msgspec.NODEFAULT:
        return (one.name, kind, msgspec.field(default=one.default, name=one.encode_name))
    if one.default_factory is not msgspec.NODEFAULT:
        return (one.name, kind, msgspec.field(default_factory=one.default_factory, name=one.encode_name))
    return (one.name, kind, msgspec.field(name=one.encode_name))
