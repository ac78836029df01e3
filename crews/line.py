"""What a run says to the sidecar: one JSON object a line on the report descriptor, whole and in order.

Owns the writing: one lock round each line, so that lines of several threads never mix, and the bound of a
line. A full pipe makes the speaker wait: that is the brake. Never decides what is worth saying.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from protocol.limits import JSON_DEPTH_MAX, RESULT_BYTES_MAX
from protocol.rawjson import has_nul

REPORT_FD: Final = 3
"""Where a run reports: the third descriptor after the usual three, as for a command."""

LINE_BYTES_MAX: Final = RESULT_BYTES_MAX + 64 * 1024
"""The longest line that is worth sending: a result as big as it may be, with what stands around it."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Line:
    """The way to the sidecar. `say` may be called from every thread."""

    def __init__(self, fd: int = REPORT_FD) -> None:
        self._fd = fd
        self._lock = threading.RLock()

    def say(self, **members: object) -> bool:
        """Say one line. False when it would have been too long: then a warning says so in its place."""
        text = encoded(members)
        if len(text) <= LINE_BYTES_MAX:
            self._write(text)
            return True
        what = ", ".join(members)
        told = f"a line of {len(text)} bytes was left out ({what}): at most {LINE_BYTES_MAX} are sent"
        self._write(encoded({"log": told, "level": "warning", "kind": "warning"}))
        return False

    def _write(self, text: bytes) -> None:
        left = memoryview(text + b"\n")
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody hears: the guard ends the run
            while left:
                left = left[os.write(self._fd, left) :]


def encoded(value: object) -> bytes:
    """JSON text of anything: what JSON cannot say, or no hub takes (U+0000), is said otherwise."""
    try:
        text = _encode(value)
        return _encode(sayable(msgspec.json.decode(text), JSON_DEPTH_MAX)) if has_nul(text) else text
    except (TypeError, ValueError, RecursionError, OverflowError):
        return _encode(sayable(value))


def sayable(value: object, depth: int = 32) -> Any:
    """The same with keys that are text, no lone surrogates, no U+0000, and nothing deeper than `depth`."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("\0", "\ufffd")
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return {sayable(str(key)): sayable(member, depth - 1) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [sayable(member, depth - 1) for member in value]
    return sayable(str(value))
