"""Making what a run says fit to be said: a fact that a hub must refuse would be lost work.

Owns the cleaning of text and the judging of JSON that runners hand over. Pure.
"""

from __future__ import annotations

from msgspec import Raw

from protocol.rawjson import FLAW_SENTENCES, Flaw, judge


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
