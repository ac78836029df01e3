"""One event as watchers see it, and the place of an event that they can come back to.

Owns the form of a line on each wire, encoded once whoever reads it, what a watcher may ask to see, and
cursors. Never knows a watcher or a ring: `feed.py` does.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Encoder

from hub.core.effects import PassBy
from hub.ports import CommittedEvent

CURSOR_OFFSET_DIGITS_MAX: Final = 16

encode: Final = Encoder().encode


class Shown(Struct, frozen=True, kw_only=True):
    """An event as watchers see it."""

    cursor: str
    event: str
    task_id: str | None
    agent_id: str | None
    generation: int | None
    timestamp: int
    payload: Raw


class Line:
    """One event in the ring. `offset` is None for what passes by: nobody can come back to it."""

    __slots__ = ("_epoch", "_json", "_place", "_sse", "offset", "source")

    def __init__(
        self, source: CommittedEvent | PassBy, epoch: str, place: int, *, is_passing: bool = False
    ) -> None:
        """`place` is the offset of the event, or of the last one before it."""
        self.source = source
        self.offset = None if is_passing else place
        self._epoch = epoch
        self._place = place
        self._json: bytes | None = None
        self._sse: bytes | None = None

    @property
    def cursor(self) -> str:
        return f"{self._epoch}:{self._place}"

    @property
    def json(self) -> bytes:
        """As one JSON object on one line, for a WebSocket message."""
        if self._json is None:
            source = self.source
            shown = Shown(
                cursor=self.cursor,
                event=source.event,
                task_id=source.task_id,
                agent_id=source.agent_id,
                generation=source.generation,
                timestamp=source.timestamp,
                payload=source.payload,
            )
            self._json = on_one_line(encode(shown))
        return self._json

    @property
    def sse(self) -> bytes:
        """As a Server-Sent Event. Only what can be resumed from carries an id."""
        if self._sse is None:
            place = b"" if self.offset is None else b"id: " + self.cursor.encode() + b"\n"
            self._sse = place + b"event: " + self.source.event.encode() + b"\ndata: " + self.json + b"\n\n"
        return self._sse


def on_one_line(text: bytes) -> bytes:
    """JSON text without line ends: between tokens they are blanks, and inside strings they cannot stand."""
    if b"\n" in text or b"\r" in text:
        return text.replace(b"\n", b" ").replace(b"\r", b" ")
    return text


class Filter(Struct, frozen=True, kw_only=True):
    """What a watcher wants to see. None: everything."""

    task_id: str | None = None
    agent_id: str | None = None
    kinds: frozenset[str] | None = None

    def lets_pass(self, event: CommittedEvent | PassBy) -> bool:
        return (
            (self.task_id is None or event.task_id == self.task_id)
            and (self.agent_id is None or event.agent_id == self.agent_id)
            and (self.kinds is None or event.event in self.kinds)
        )


class BadCursor(ValueError):
    """Not something that this hub or another ever gave out."""


def parse_cursor(text: str) -> tuple[str, int]:
    epoch, colon, digits = text.rpartition(":")
    if (
        not colon
        or not epoch
        or not digits.isascii()
        or not digits.isdigit()
        or len(digits) > CURSOR_OFFSET_DIGITS_MAX
    ):
        raise BadCursor(f"{text[:64]!r} is not a cursor of the feed")
    return epoch, int(digits)
