"""What frames are made of: bounded words and numbers, free-form members, and the structures inside frames.

Owns the type of every kind of member. A free-form member is `msgspec.Raw`: always JSON text here, whatever
the wire, never built into objects; its bound is in its type, where the codec finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Raw, Struct, field

from protocol import limits
from protocol.ids import AgentId, Generation, RequestId, Seq, TaskId

Count = Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]
Word = Annotated[str, Meta(max_length=limits.NAME_LENGTH_MAX)]
Text = Annotated[str, Meta(max_length=limits.TEXT_LENGTH_MAX)]
Percent = Annotated[int, Meta(ge=0, le=100)] | Annotated[float, Meta(ge=0, le=100)]
Words = Annotated[tuple[Word, ...], Meta(max_length=limits.CAPABILITIES_MAX)]
Amount = Annotated[float, Meta(ge=0, le=limits.INTEGER_MAX)]
"""A bound on both sides also refuses NaN and the infinities that MessagePack could carry."""

AnyTaskId = Annotated[TaskId, Meta(min_length=1, max_length=limits.TASK_ID_LENGTH_MAX)]
"""Ours have a pattern; v1 clients were recorded with others, so hearing asks for a length only."""

AnyRequestId = Annotated[RequestId, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
AnyGeneration = Annotated[Generation, Meta(ge=0, le=limits.INTEGER_MAX)]
AnySeq = Annotated[Seq, Meta(ge=1, le=limits.INTEGER_MAX)]
AgentName = Annotated[
    AgentId,
    Meta(
        min_length=1,
        max_length=limits.AGENT_ID_LENGTH_MAX,
        pattern=r"^(?!broadcast$)[^\x00-\x1f\x7f-\x9f]+$",
        description="no control characters; `broadcast` is taken: it is the address of everybody",
    ),
]

# Free-form members. The bound is kept by the codec, which finds it here.
_RESULT = Meta(extra={"bytes_max": limits.RESULT_BYTES_MAX})
_DONE = Meta(extra={"bytes_max": limits.DONE_BYTES_MAX})
_INPUTS = Meta(extra={"bytes_max": limits.METADATA_BYTES_MAX})
_SCHEMAS = Meta(extra={"bytes_max": limits.PLUGIN_SCHEMAS_BYTES_MAX}, extra_json_schema={"type": "object"})
_OBJECT = Meta(extra={"bytes_max": limits.METADATA_BYTES_MAX}, extra_json_schema={"type": "object"})

Json = Annotated[Raw, _RESULT]
JsonObject = Annotated[Raw, _OBJECT]

# msgspec (seen with 0.22) takes `Raw | None` for null and nothing else. So an optional member is `Raw` to it,
# with a default that it does not check, and the codec turns the JSON null that may come into None.
if TYPE_CHECKING:
    OptionalJson = Raw | None
    OptionalObject = Raw | None
    OptionalSchemas = Raw | None
    OptionalInputs = Raw | None
    OptionalDone = Raw | None
else:
    OptionalJson = Annotated[Raw, _RESULT]
    OptionalObject = Annotated[Raw, _OBJECT]
    OptionalSchemas = Annotated[Raw, _SCHEMAS]
    OptionalInputs = Annotated[Raw, _INPUTS]
    OptionalDone = Annotated[Raw, _DONE]


NULL: Final = Raw(b"null")
EMPTY_OBJECT: Final = Raw(b"{}")
"""Shared, so that the codec knows a default from something said."""


def null() -> Raw:
    return NULL


def empty_object() -> Raw:
    return EMPTY_OBJECT


def no_tuple() -> tuple[()]:
    """An empty list that is said all the same: `tuple` itself as a factory would be omitted."""
    return ()


class Frame(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """One thing said. A default that must be visible on the wire has a factory, because those are never
    omitted."""


# --- parts of frames ---


class Holding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One generation with a live run, or with a fact that has no receipt yet."""

    task_id: AnyTaskId
    generation: AnyGeneration
    state: Literal["accepted", "running", "asking", "result_pending"] = field(
        default_factory=lambda: "running"
    )


class Held(Struct, frozen=True, kw_only=True):
    task_id: AnyTaskId
    generation: AnyGeneration


class AgentCard(Struct, frozen=True, kw_only=True):
    """The five fields by which agents see each other."""

    agent_id: AgentId
    name: str
    status: str
    capabilities: tuple[str, ...]
    connected_at: Count


class FieldError(Struct, frozen=True, kw_only=True):
    field: str
    error: str
    detail: str


class StopProof(Struct, frozen=True, kw_only=True):
    """How the process group of a run ended: signals sent, processes reaped, processes still alive (0 when
    proven)."""

    signals: tuple[str, ...] = ()
    reaped: Count = 0
    survivors: Count = 0


class Resting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent that is there and takes no new work: quiet hours, or a limit of its owner's is reached."""

    reason: Word
    until: Count | None = None
    """Unix milliseconds, by the clock of its machine."""


SlotKinds = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=limits.SLOT_KIND_LENGTH_MAX)],
        Annotated[int, Meta(ge=1, le=limits.SLOTS_MAX)],
    ],
    Meta(max_length=limits.SLOT_KINDS_MAX),
]
PluginVersions = Annotated[dict[Word, Word], Meta(max_length=limits.CAPABILITIES_MAX)]
Holdings = Annotated[tuple[Holding, ...], Meta(max_length=limits.HOLDING_MAX)]
HeldList = Annotated[tuple[Held, ...], Meta(max_length=limits.HOLDING_MAX)]
