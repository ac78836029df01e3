"""A second, slower look at a frame that the decoder refused.

Owns the forgiveness of the wire (null is absent, v1 reports are never an error, a request id names its task)
and the finding of what is wrong: type, task, number and field. Decodes only known members, and those raw, so
that a hostile frame costs no more than its bytes. Never sees a frame that is all right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from protocol.badframe import UNREADABLE, BadFrame, field_error, speakable, unreadable
from protocol.errors import ErrorCode
from protocol.frames import FieldError, Frame
from protocol.ids import TASK_ID_PATTERN
from protocol.members import AnyGeneration, AnySeq, AnyTaskId
from protocol.rawjson import FLAW_SENTENCES, Flaw
from protocol.shapes import Shape, shape_of

F = TypeVar("F", bound=Frame)
T = TypeVar("T")


class Head(Struct):
    """The members by which any frame can be answered."""

    type: Raw | UnsetType = UNSET
    task_id: Raw | UnsetType = UNSET
    seq: Raw | UnsetType = UNSET
    generation: Raw | UnsetType = UNSET


class SecondLook(Generic[F]):
    def __init__(
        self,
        kinds: Sequence[type[F]],
        decoder: Callable[..., Any],
        encode: Callable[[Any], bytes],
        null: bytes,
    ) -> None:
        self._shapes: Final = {shape_of(kind).name: shape_of(kind) for kind in kinds}
        self._strict: Final = {shape_of(kind).name: decoder(kind) for kind in kinds}
        self._loose: Final = {name: decoder(shape.loose) for name, shape in self._shapes.items()}
        self._facts: Final = frozenset(
            name for name, shape in self._shapes.items() if "seq" in shape.attributes
        )
        self._head: Final = decoder(Head)
        self._text: Final = decoder(str)
        self._task_id: Final = decoder(AnyTaskId)
        self._seq: Final = decoder(AnySeq)
        self._generation: Final = decoder(AnyGeneration)
        self._encode: Final = encode
        self._null: Final = null

    def at(self, data: bytes, index: int | None) -> F | BadFrame:
        """The frame after all, or what is wrong with it."""
        try:
            head: Head = self._head.decode(data)
        except RecursionError:
            return unreadable(
                ErrorCode.VALIDATION_FAILED, Flaw.TOO_DEEP, FLAW_SENTENCES[Flaw.TOO_DEEP], index
            )
        except msgspec.ValidationError as error:
            return unreadable(ErrorCode.VALIDATION_FAILED, "wrong_type", str(error), index)
        except UNREADABLE as error:
            return unreadable(ErrorCode.INVALID_JSON, Flaw.MALFORMED, str(error), index)
        name = _read(self._text, head.type)
        if name is None:
            wrong = FieldError(field="type", error="missing", detail="every frame has a string `type`")
            return self._bad(head, index, ErrorCode.VALIDATION_FAILED, None, wrong)
        if name not in self._shapes:
            wrong = FieldError(field="type", error="not_allowed", detail="no such frame may be said here")
            return self._bad(head, index, ErrorCode.UNKNOWN_MESSAGE_TYPE, name, wrong)
        found = self._forgiven(data, name)
        if isinstance(found, FieldError):
            return self._bad(head, index, ErrorCode.VALIDATION_FAILED, name, found)
        return found

    def _forgiven(self, data: bytes, name: str) -> F | FieldError:
        try:
            return self._strictly(data, name)
        except UnicodeDecodeError:
            return _whole(Flaw.INVALID_UTF8)
        except RecursionError:
            # The head was read one call higher up: text as deep as the stack allows gets this far.
            return _whole(Flaw.TOO_DEEP)

    def _strictly(self, data: bytes, name: str) -> F | FieldError:
        shape, strict = self._shapes[name], self._strict[name]
        loose = self._loose[name].decode(data)
        attributes = dict(zip(loose.__struct_encode_fields__, loose.__struct_fields__, strict=True))
        self._forget_nulls(loose, shape, attributes)
        if shape.is_named_by_request:
            self._name_by_request(loose, attributes)
        while True:
            try:
                frame: F = strict.decode(self._encode(loose))
            except msgspec.ValidationError as error:
                found = field_error(error)
            else:
                return frame
            member = found.field.partition("[")[0].partition(".")[0]
            if not (shape.is_lenient and member in shape.attributes and member not in shape.required):
                return found
            setattr(loose, attributes[member], UNSET)

    def _forget_nulls(self, loose: Struct, shape: Shape, attributes: dict[str, str]) -> None:
        """Null is absent, except where null is a value that must be given."""
        values = {free.member for free in shape.free_form if free.is_required and not free.is_object}
        for member, attribute in attributes.items():
            raw = getattr(loose, attribute)
            if raw is not UNSET and bytes(raw) == self._null and member not in values:
                setattr(loose, attribute, UNSET)

    def _name_by_request(self, loose: Struct, attributes: dict[str, str]) -> None:
        request_id = _read(self._text, getattr(loose, attributes["request_id"]))
        named = TASK_ID_PATTERN.match(request_id or "")
        if named and getattr(loose, attributes["task_id"]) is UNSET:
            setattr(loose, attributes["task_id"], Raw(self._encode(named.group())))

    def _bad(
        self, head: Head, index: int | None, code: ErrorCode, name: str | None, wrong: FieldError
    ) -> BadFrame:
        """A number makes it a fact, unless it is known to be something else: a newer peer may have newer
        facts."""
        is_fact = name is None or name in self._facts or name not in self._shapes
        return BadFrame(
            index=index,
            code=code,
            message_type=speakable(name),
            task_id=speakable(_read(self._task_id, head.task_id)),
            seq=_read(self._seq, head.seq) if is_fact else None,
            generation=_read(self._generation, head.generation),
            errors=(wrong,),
        )


def _whole(flaw: Flaw) -> FieldError:
    return FieldError(field="", error=flaw, detail=FLAW_SENTENCES[flaw])


def _read(decoder: Any, raw: Raw | UnsetType) -> Any:
    """A member's value, or None when it is absent or of another type."""
    if raw is UNSET:
        return None
    try:
        return decoder.decode(raw)
    except UNREADABLE:
        return None
