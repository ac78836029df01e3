"""What callers may send: the bodies of the API as types, strict and bounded.

Owns their fields, their limits and the checks that they share; what a task may ask for is in
`bodies_tasks.py`. The OpenAPI document is generated from these types. Never reads a request and never asks
the board.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from hub.api.problems import Problem, invalid_field
from hub.auth import Role
from protocol import limits
from protocol.ids import RequestId, TaskId
from protocol.rawjson import FLAW_SENTENCES, Flaw, judge

KEY_LENGTH_MAX: Final = 255
LABELS_MAX: Final = 64

ANSWER_BYTES_MAX: Final = 64 * limits.KIB
"""A person's answer: it rides in the next attempt's assign beside everything else."""

MESSAGE_BYTES_MAX: Final = 64 * limits.KIB
"""A message between agents; bigger things belong into a task's inputs."""

KEY_OF_CREDENTIALS: Final = "_"
"""How the key of a member begins that is for the model and nobody else."""

NO_CREDENTIALS: Final = (
    "Keys that begin with _ are credentials, and a hub keeps inputs. Leave this one out, and set it where "
    "the work is done: in the sidecar's own settings (SIDECAR_MODEL_KEY, SIDECAR_SEARCH_KEY, or their files)."
)

TRACE_LENGTH_MAX: Final = limits.NAME_LENGTH_MAX
"""A `traceparent` has 55 characters; a longer header is somebody else's and is left out, as W3C asks."""

# msgspec (seen with 0.22) reads `Raw | None` as null and nothing else: to it such a member is `Raw`, with a
# default that it does not check, and null arrives as the text `null`.
if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw

AgentName = Annotated[str, Meta(min_length=1, max_length=limits.AGENT_ID_LENGTH_MAX)]
AgentNameOrNothing = Annotated[str, Meta(max_length=limits.AGENT_ID_LENGTH_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
Key = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX)]
WallMs = Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]
Labels = Annotated[dict[Name, Name], Meta(max_length=LABELS_MAX)]


class CancelBody(Struct, frozen=True, kw_only=True):
    reason: Name | None = None


class InputBody(Struct, frozen=True, kw_only=True):
    request_id: RequestId
    value: Raw


class MessageBody(Struct, frozen=True, kw_only=True):
    payload: Raw
    to: AgentName | None = None
    from_: AgentName | None = msgspec.field(name="from", default=None)
    message_type: Name | None = None
    reply_to: Name | None = None


class MailAckBody(Struct, frozen=True, kw_only=True):
    up_to: Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]


class TokenBody(Struct, frozen=True, kw_only=True):
    agent_id: AgentName | None = None
    role: Role | None = None
    label: Name | None = None
    expires_in_ms: Annotated[int, Meta(ge=1_000, le=400 * 86_400_000)] | None = None
    agent_patterns: Annotated[tuple[Name, ...], Meta(max_length=100)] | None = None
    plugin_patterns: Annotated[tuple[Name, ...], Meta(max_length=100)] | None = None


class OnboardBody(Struct, frozen=True, kw_only=True):
    agent_id: AgentName
    code: Name | None = None


class LoginBody(Struct, frozen=True, kw_only=True):
    token: Annotated[str, Meta(max_length=1024)]


def checked_json(raw: Raw | None, field: str, *, must_be_object: bool) -> Raw | None:
    """A free-form member within its bounds, as the wire would take it. Null is the same as absent."""
    if raw is None or bytes(raw) == b"null":
        return None
    found = judged(bytes(raw), field, bytes_max=limits.METADATA_BYTES_MAX)
    if must_be_object and not bytes(found).startswith(b"{"):
        raise invalid_field(field, "invalid", "Expected a JSON object.")
    return found


def checked_inputs(raw: Raw | None) -> Raw | None:
    """A task's inputs, without credentials: this hub writes them down and shows them to every reader."""
    inputs = checked_json(raw, "inputs", must_be_object=False)
    if inputs is None or not bytes(inputs).startswith(b"{"):
        return inputs
    for key in msgspec.json.decode(inputs, type=dict[str, Raw]):
        if key.startswith(KEY_OF_CREDENTIALS):
            raise invalid_field(f"inputs.{key[: limits.NAME_LENGTH_MAX]}", "not_allowed", NO_CREDENTIALS)
    return inputs


def checked_trace(header: str | None) -> str | None:
    return header if header is not None and len(header) <= TRACE_LENGTH_MAX and header.isascii() else None


def judged(text: bytes, field: str, *, bytes_max: int) -> Raw:
    """JSON text without a flaw, or the Problem that names it."""
    found = judge(text, bytes_max=bytes_max)
    if isinstance(found, Flaw):
        status = 413 if found is Flaw.TOO_BIG else 422
        raise invalid_field(
            field, found.value, f"{FLAW_SENTENCES[found]} (at most {bytes_max} bytes)", status
        )
    return found


def checked_text(text: str | None, field: str) -> str:
    if text is None:
        raise invalid_field(field, "missing", "This field is required.", 400)
    if "\x00" in text:
        raise invalid_field(field, "invalid", "U+0000 is not allowed.")
    if len(text) > limits.DESCRIPTION_BYTES_MAX or len(text.encode()) > limits.DESCRIPTION_BYTES_MAX:
        raise Problem(
            413, "too_big", f"{field} may have {limits.DESCRIPTION_BYTES_MAX} bytes; put more into inputs."
        )
    return text


def task_id_of(entropy: bytes) -> TaskId:
    return TaskId("task-" + entropy.hex())
