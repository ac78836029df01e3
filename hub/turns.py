"""The ring file of turns: what the board was told, when, and with which roll of the die.

Owns two segments of JSON lines that take turns being overwritten, so that the newest turns are kept within a
bound. Each life of the hub goes on where the one before ended, with what its board was loaded with: the turns
before a crash are the ones to see. Only a pure core can be replayed from this (`./dev replay FILE`). Never in
the way: a full disk ends the record, not the hub.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, get_args

import msgspec

from hub.core.dependencies import Outcome
from hub.core.events import Event
from hub.core.policy import Policy
from hub.core.task import Now, Task
from hub.ports import Loaded
from protocol.ids import TaskId

EVENT_TYPES: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(Event)}

BLOCK_BYTES: Final = 64 * 1024
"""Read at once, from the end, to find where a segment ends."""

logger = logging.getLogger(__name__)


class LetterKept(msgspec.Struct, frozen=True):
    """An event under the name of its type."""

    name: str
    event: msgspec.Raw


class TurnKept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="turn"):
    """One turn of the loop: one roll for each letter, and one for the seating at the end."""

    n: int
    now: Now
    rolls: list[float]
    letters: list[LetterKept]
    learned: tuple[Task, ...] = ()
    """Rows that the board was shown before."""
    outcomes: tuple[Outcome, ...] = ()
    """How others stood, of which no row was shown."""


class StartKept(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """What the board was loaded with: a replay begins here."""

    n: int
    now: Now
    policy: Policy
    loaded: Loaded


class RefusedKept(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The turn before was not written, or not all of it."""

    n: int
    refused: frozenset[TaskId]
    found: tuple[Task, ...]
    is_abandoned: bool


Kept = StartKept | TurnKept | RefusedKept


class Numbered(msgspec.Struct):
    """A line, as far as its place matters."""

    n: int


class TurnsKept:
    """Appends turns, and starts the older segment anew when the newer is full."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._paths = segments_of(path)
        self._segment_bytes_max = bytes_max // 2
        newest = [last_number(segment) for segment in self._paths]
        self._count = max(newest)
        self._segment = newest.index(self._count)
        self._encoder = msgspec.json.Encoder()
        self._file: IO[bytes] | None = self._opened(self._segment, is_new=False)
        self._bytes = self._file.tell()

    def keep_start(self, policy: Policy, loaded: Loaded, now: Now) -> None:
        self._append(StartKept(n=self._next(), now=now, policy=policy, loaded=loaded))

    def keep(
        self,
        events: Sequence[Event],
        now: Now,
        rolls: list[float],
        learned: Sequence[Task],
        outcomes: Sequence[Outcome] = (),
    ) -> None:
        letters = [
            LetterKept(type(event).__name__, msgspec.Raw(self._encoder.encode(event))) for event in events
        ]
        turn = TurnKept(
            n=self._next(),
            now=now,
            rolls=rolls,
            letters=letters,
            learned=tuple(learned),
            outcomes=tuple(outcomes),
        )
        self._append(turn)

    def keep_refused(self, refused: frozenset[TaskId], found: Sequence[Task], *, is_abandoned: bool) -> None:
        self._append(
            RefusedKept(n=self._next(), refused=refused, found=tuple(found), is_abandoned=is_abandoned)
        )

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _append(self, kept: Kept) -> None:
        if self._file is None:
            return
        line = self._encoder.encode(kept) + b"\n"
        try:
            if self._bytes + len(line) > self._segment_bytes_max and self._bytes:
                self._file.close()
                self._segment = 1 - self._segment
                self._file = self._opened(self._segment, is_new=True)
                self._bytes = 0
            self._file.write(line)
            self._bytes += len(line)
        except OSError as error:
            logger.warning("! the record of turns has ended", extra={"error": str(error)})
            self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _opened(self, segment: int, *, is_new: bool) -> IO[bytes]:
        """A segment that only we may read, behind its last whole line; unbuffered, because the turn before a
        crash is the one to see."""
        path = self._paths[segment]
        kept_bytes = 0 if is_new else whole_bytes(path)
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0)
        file.truncate(kept_bytes)
        file.seek(kept_bytes)
        return file


def segments_of(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(path.name + ".1")


def whole_bytes(path: Path) -> int:
    """How much of a segment is whole lines: a crash may have torn the last one."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def last_number(path: Path) -> int:
    """The number of the last whole line; 0 where there is none."""
    end = whole_bytes(path)
    if end == 0:
        return 0
    with path.open("rb") as file:
        line = b""
        start = end
        while start and b"\n" not in line[:-1]:
            start = max(0, start - BLOCK_BYTES)
            file.seek(start)
            line = file.read(end - start)
    return msgspec.json.decode(line[:-1].rsplit(b"\n", 1)[-1], type=Numbered).n


def read_turns(path: Path) -> Iterator[Kept]:
    """What both segments keep, in order; a torn last line is left out."""
    decoder = msgspec.json.Decoder(Kept)
    turns: list[Kept] = []
    for segment in segments_of(path):
        if not segment.exists():
            continue
        for line in segment.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                turns.append(decoder.decode(line))
    yield from sorted(turns, key=lambda turn: turn.n)


def events_of(turn: TurnKept) -> list[Event]:
    """The letters of a turn as the board was told them."""
    return [msgspec.json.decode(letter.event, type=EVENT_TYPES[letter.name]) for letter in turn.letters]
