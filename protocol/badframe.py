"""What became of a frame that could not be understood, as a value.

Owns `BadFrame` and the words in which a fault is told to its sender. Never raises and never decodes.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from protocol.errors import ErrorCode
from protocol.frames import ErrorFrame, FieldError, Frame
from protocol.ids import Generation, Seq, TaskId
from protocol.limits import TASK_ID_LENGTH_MAX
from protocol.shapes import Shape

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that decoding a stranger's bytes may raise."""

_DETAIL_LENGTH_MAX: Final = 200
_WORD_LENGTH_MAX: Final = TASK_ID_LENGTH_MAX
_PATH: Final = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_MISSING: Final = re.compile(r"^Object missing required field `([^`]*)`")


class BadFrame(Struct, frozen=True, kw_only=True):
    """A member of a message that is no frame. With a `seq` it was meant as a fact: it is receipted
    `refused`."""

    index: int | None = None
    """Its place in an array of frames; None for a message that was not an array."""
    code: ErrorCode
    message_type: str | None = None
    task_id: TaskId | None = None
    seq: Seq | None = None
    generation: Generation | None = None
    errors: tuple[FieldError, ...] = ()


def reply_to_bad(bad: BadFrame) -> ErrorFrame:
    """What the hub says to the sender of a bad frame."""
    return ErrorFrame(
        error=bad.code.value,
        task_id=bad.task_id,
        message_type=bad.message_type,
        index=bad.index,
        errors=bad.errors or None,
    )


def unreadable(
    code: ErrorCode, error: str, detail: str, index: int | None = None, message_type: str | None = None
) -> BadFrame:
    """A complaint about the whole and none of its members."""
    whole = FieldError(field="", error=error, detail=detail)
    return BadFrame(code=code, index=index, message_type=message_type, errors=(whole,))


def not_allowed(detail: str) -> BadFrame:
    return unreadable(ErrorCode.VALIDATION_FAILED, "not_allowed", detail)


def bad_member(
    frame: Frame, shape: Shape, error: str, detail: str, *, index: int | None, field: str = ""
) -> BadFrame:
    """A frame of the right types that breaks a bound which types cannot say."""
    return BadFrame(
        code=ErrorCode.FRAME_TOO_BIG if error == "too_big" else ErrorCode.VALIDATION_FAILED,
        index=index,
        message_type=shape.name,
        task_id=speakable(getattr(frame, "task_id", None)),
        seq=getattr(frame, "seq", None),
        generation=getattr(frame, "generation", None),
        errors=(FieldError(field=field, error=error, detail=detail),),
    )


def field_error(error: msgspec.ValidationError) -> FieldError:
    """The library's sentence, taken apart: where, what kind of fault, and the sentence without the place."""
    sentence = str(error)
    path = _PATH.search(sentence)
    field = path.group(1) if path else ""
    detail = sentence[: path.start()] if path else sentence
    missing = _MISSING.match(detail)
    if missing:
        field = f"{field}.{missing.group(1)}" if field else missing.group(1)
    word = "missing" if missing else "wrong_type" if ", got `" in detail else "not_allowed"
    fit = "".join(character if character.isprintable() else "?" for character in detail[:_DETAIL_LENGTH_MAX])
    return FieldError(field=field, error=word, detail=fit)


Word = TypeVar("Word", bound=str)


def speakable(word: Word | None) -> Word | None:
    """A stranger's word, if it is fit to be said back and written down: short, no control characters."""
    return word if word is not None and len(word) <= _WORD_LENGTH_MAX and word.isprintable() else None
