"""What the codec must know about each frame beyond its type, derived once from the type hints.

Owns the table `shape_of`: which members are free-form, which of them must be objects and how big they may be,
and a loose twin of the frame in which every member is raw. Never decodes anything.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from protocol import limits
from protocol.frames import (
    AgentRestarting,
    Frame,
    InputAck,
    ResourceReport,
    StateReport,
    TaskInput,
    TaskLog,
    TaskProgress,
    TaskUsage,
    WakeResult,
    frame_type,
)


class FreeForm(NamedTuple):
    """A member that holds JSON text."""

    attribute: str
    member: str
    is_required: bool
    is_optional: bool
    """None where nothing, or null, was said."""
    is_object: bool
    bytes_max: int


class Shape(NamedTuple):
    """How the codec treats one type of frame. `attributes` leads from the wire's member names to ours."""

    name: str
    free_form: tuple[FreeForm, ...]
    loose: type[Struct]
    attributes: dict[str, str]
    required: frozenset[str]
    bytes_max: int
    is_lenient: bool
    is_named_by_request: bool


_SMALL_TALK: Final[tuple[type[Frame], ...]] = (TaskProgress, TaskLog, TaskUsage)
_LENIENT: Final[tuple[type[Frame], ...]] = (WakeResult, StateReport, ResourceReport, AgentRestarting)
"""Said by v1 clients in whatever form and never an error: an optional member of another type counts as
absent."""

_NAMED_BY_REQUEST: Final[tuple[type[Frame], ...]] = (InputAck, TaskInput)
"""A stranger may leave `task_id` out of these: `request_id` begins with it."""


@cache
def shape_of(kind: type[Frame]) -> Shape:
    fields = msgspec.structs.fields(kind)
    hints = get_type_hints(kind, include_extras=True)
    free_form = []
    for field in fields:
        meta = _raw_meta(hints[field.name])
        if meta is not None:
            is_object = (meta.extra_json_schema or {}).get("type") == "object"
            bytes_max = (meta.extra or {})["bytes_max"]
            is_optional = field.default is None
            free_form.append(
                FreeForm(field.name, field.encode_name, field.required, is_optional, is_object, bytes_max)
            )
    return Shape(
        name=frame_type(kind),
        free_form=tuple(free_form),
        loose=_loose_twin(kind, [field.encode_name for field in fields]),
        attributes={field.encode_name: field.name for field in fields},
        required=frozenset(field.encode_name for field in fields if field.required),
        bytes_max=limits.PROGRESS_BYTES_MAX if kind in _SMALL_TALK else limits.FRAME_BYTES_MAX,
        is_lenient=kind in _LENIENT,
        is_named_by_request=kind in _NAMED_BY_REQUEST,
    )


def _raw_meta(hint: Any) -> Meta | None:
    """The bounds of a free-form member; None for any other. A `Raw` without bounds is a mistake of ours."""
    assert hint is not Raw, "a free-form member says its bounds"
    if get_origin(hint) is not Annotated or get_args(hint)[0] is not Raw:
        return None
    meta = get_args(hint)[1]
    assert isinstance(meta, Meta), "a free-form member says its bounds"
    return meta


def _loose_twin(kind: type[Frame], members: list[str]) -> type[Struct]:
    """The same members, all raw and optional: for finding out what is wrong without building what is too
    much."""
    columns = [
        (f"m{index}", Raw | UnsetType, msgspec.field(default=UNSET, name=member))
        for index, member in enumerate(("type", *members))
    ]
    return msgspec.defstruct(f"Loose{kind.__name__}", columns)
