"""Making what a run says fit to be said: a fact that a hub must refuse would be lost work.

Owns the cleaning of text and the judging of JSON that runners hand over. Pure.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from protocol.frames import MessageDelivered
from protocol.limits import INTEGER_MAX
from protocol.rawjson import FLAW_SENTENCES, Flaw, judge

MESSAGE_SHOWN_MAX: Final = 500
"""Characters of a message's payload in the log: what it is about, not the whole of it."""


def clean_text(text: str, length_max: int) -> str:
    """Text that any hub accepts: cut, without U+0000, without halves of surrogate pairs."""
    short = text if len(text) <= length_max else text[:length_max]
    if short.isascii() and "\0" not in short:
        return short
    return short.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def clean_json(text: bytes, bytes_max: int) -> Raw | str:
    """JSON that any hub accepts, or the sentence that says why it is not."""
    verdict = judge(text, bytes_max=bytes_max)
    return FLAW_SENTENCES[verdict] if isinstance(verdict, Flaw) else verdict


def clean_json_or_none(text: bytes | None, bytes_max: int) -> Raw | None:
    """For what may be left out: passing talk is not worth a complaint."""
    if text is None:
        return None
    verdict = judge(text, bytes_max=bytes_max)
    return None if isinstance(verdict, Flaw) else verdict


def clean_object_or_none(text: bytes | None, bytes_max: int) -> Raw | None:
    """As above, for members that must be an object."""
    raw = clean_json_or_none(text, bytes_max)
    return raw if raw is not None and bytes(raw).startswith(b"{") else None


def clean_count(number: int | None) -> int | None:
    """A whole number that every reader keeps exact."""
    return None if number is None else max(0, min(number, INTEGER_MAX))


def line_of(message: MessageDelivered) -> str:
    """A message as a line of the log."""
    payload = bytes(message.payload).decode(errors="replace")
    shown = payload if len(payload) <= MESSAGE_SHOWN_MAX else payload[:MESSAGE_SHOWN_MAX] + "…"
    return f"{message.message_type} {message.id} from {message.from_}: {shown}"


def clean_percent(number: float | None) -> float | None:
    """0 to 100; what is no number says nothing."""
    if number is None or number != number:  # noqa: PLR0124  NaN is the only thing that differs from itself
        return None
    return max(0, min(number, 100))
