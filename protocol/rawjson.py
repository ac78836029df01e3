"""Judging JSON text that is never built into objects.

Owns what makes free-form JSON unacceptable: size, depth, number of members, U+0000 (also as an escape) and
bytes that are not UTF-8. Looks for a reason to worry by searching bytes first and scans only when it has
found one. Never decodes a value: a megabyte of empty objects would become 25 MB of Python.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from protocol.limits import JSON_DEPTH_MAX, JSON_MEMBERS_MAX


class Flaw(StrEnum):
    """Why a piece of JSON text is refused."""

    TOO_BIG = "too_big"
    TOO_DEEP = "too_deep"
    TOO_MANY_MEMBERS = "too_many_members"
    NUL = "nul"
    INVALID_UTF8 = "invalid_utf8"
    MALFORMED = "malformed"


FLAW_SENTENCES: Final[dict[Flaw, str]] = {
    Flaw.TOO_BIG: "more bytes than this member may have",
    Flaw.TOO_DEEP: f"nested deeper than {JSON_DEPTH_MAX} levels",
    Flaw.TOO_MANY_MEMBERS: f"more than {JSON_MEMBERS_MAX} members",
    Flaw.NUL: "contains U+0000",
    Flaw.INVALID_UTF8: "not UTF-8",
    Flaw.MALFORMED: "not JSON",
}
assert set(FLAW_SENTENCES) == set(Flaw), "every flaw has its sentence"

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NOT_A_BRACKET: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STRINGS_MAX: Final = 2 * JSON_MEMBERS_MAX + 2
"""A member has at most two strings, its name and its value: whoever has more strings has too many members."""

_walker: Final = msgspec.json.Decoder(msgspec.Raw)


def has_nul(text: bytes) -> bool:
    """Whether JSON text holds U+0000. An escaped backslash before `u0000` is a backslash, not a NUL."""
    if b"\0" in text:
        return True
    return b"\\" in text and _NUL_ESCAPE.search(text) is not None


def flaw_in(text: bytes, *, bytes_max: int) -> Flaw | None:
    """The first flaw of JSON text whose grammar a decoder has already walked over and whose UTF-8 is known
    good."""
    if len(text) > bytes_max:
        return Flaw.TOO_BIG
    if has_nul(text):
        return Flaw.NUL
    return crowding_in(text)


def crowding_in(text: bytes) -> Flaw | None:
    """Too deep or too many members? Linear, and at most 20,000 steps of Python whatever the text."""
    if len(text) <= 2 * JSON_DEPTH_MAX:
        return None
    opened = text.count(b"{") + text.count(b"[")
    if opened <= JSON_DEPTH_MAX and opened + text.count(b",") <= JSON_MEMBERS_MAX:
        return None
    bare, strings = _STRING.subn(b"", text, count=_STRINGS_MAX)
    if strings == _STRINGS_MAX:
        return Flaw.TOO_MANY_MEMBERS
    opened = bare.count(b"{") + bare.count(b"[")
    if opened + bare.count(b",") > JSON_MEMBERS_MAX:
        return Flaw.TOO_MANY_MEMBERS
    return Flaw.TOO_DEEP if opened > JSON_DEPTH_MAX and _depth(bare) > JSON_DEPTH_MAX else None


def _depth(bare: bytes) -> int:
    """The deepest nesting of JSON text without its strings."""
    depth = deepest = 0
    for byte in bare.translate(None, _NOT_A_BRACKET):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def judge(text: str | bytes, *, bytes_max: int) -> msgspec.Raw | Flaw:
    """Free-form JSON text from anywhere: the text without its surrounding blanks, or its flaw.

    Size is looked at first, so that nothing else is spent on a text that is too big. A name or value with
    half of a surrogate pair, NaN and Infinity are MALFORMED: JSON has no such thing.
    """
    if len(text) > bytes_max:
        return Flaw.TOO_BIG
    try:
        encoded = text.encode() if isinstance(text, str) else text
        if not encoded.isascii() and encoded is text:
            encoded.decode()
        raw = _walker.decode(encoded)
    except UnicodeError:
        return Flaw.INVALID_UTF8
    except msgspec.MsgspecError:
        return Flaw.MALFORMED
    except RecursionError:
        return Flaw.TOO_DEEP
    return flaw_in(bytes(raw), bytes_max=bytes_max) or raw
