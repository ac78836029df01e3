"""Passing talk, kept as far as that costs nothing: the last progress of a run, and its log up to a cap.

Owns the buffer between the feed and the disk, its bounds, and the caps of what is kept. It writes small
pieces, only when no fact waits and without a sync of its own; what does not fit is dropped and counted. Never
holds up anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from hub.core.effects import PassBy
from hub.ports import Clock, StorageFull
from hub.store.ledger import SqliteLedger
from hub.store.queries import LogLine, log_line_of
from hub.store.rows import Said, said_of
from hub.store.sheet import run_with
from protocol.limits import KIB, MIB

FLUSH_EVERY_MS: Final = 1_000
"""What a crash may cost of a progress bar or a log."""

LINES_WAITING_MAX: Final = 20_000
BYTES_WAITING_MAX: Final = 8 * MIB
"""Lines in memory between two flushes; more are dropped. A full disk keeps none."""

PIECE_LINES: Final = 128
PIECE_BYTES: Final = 256 * KIB
"""One transaction: a fact that comes meanwhile waits for this much and no more."""

LOG_LINES_MAX: Final = 2_000
LOG_BYTES_MAX: Final = 1 * MIB
"""Kept of one task; the oldest lines go first."""

SLACK: Final = 1.25
"""A log is cut back when it has grown this far above its cap, so that cutting is rare."""


class Latest(Struct):
    generation: int
    wall_ms: int
    said: Said


Line = tuple[str, int, int, str]
"""Task, generation, wall time and the frame as JSON."""

SAVE_LINES: Final = (
    "INSERT INTO logs (task_id, generation, wall_ms, line)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(?)"
)
COUNT_LINES: Final = (
    "INSERT INTO progress (task_id, generation, wall_ms, progress, lines, line_bytes)"
    " SELECT value ->> 0, max(value ->> 1), max(value ->> 2), '{}', count(*), sum(length(value ->> 3))"
    " FROM jsonb_each(?) WHERE true GROUP BY value ->> 0"
    " ON CONFLICT (task_id) DO UPDATE SET"
    " lines = lines + excluded.lines, line_bytes = line_bytes + excluded.line_bytes"
)
SAVE_PROGRESS: Final = (
    "INSERT INTO progress (task_id, generation, wall_ms, progress, lines, line_bytes)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 0, 0 FROM jsonb_each(?) WHERE true"
    " ON CONFLICT (task_id) DO UPDATE SET"
    " generation = excluded.generation, wall_ms = excluded.wall_ms, progress = excluded.progress"
)
TOO_LONG: Final = (
    "SELECT task_id FROM progress"
    " WHERE task_id IN (SELECT value FROM json_each(?)) AND (lines > ? OR line_bytes > ?)"
)
CUT: Final = (
    "DELETE FROM logs WHERE line_id IN (SELECT line_id FROM (SELECT line_id,"
    " row_number() OVER newest AS place, sum(length(line)) OVER newest AS bytes"
    " FROM logs WHERE task_id = ? WINDOW newest AS (ORDER BY line_id DESC))"
    " WHERE place > ? OR bytes > ?)"
)
RECOUNT: Final = (
    "UPDATE progress SET (lines, line_bytes) ="
    " (SELECT count(*), coalesce(sum(length(line)), 0) FROM logs WHERE logs.task_id = progress.task_id)"
    " WHERE task_id = ?"
)


class PassingKept:
    """`note` what the feed passes by; `run` writes it down now and then."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._lines: list[Line] = []
        self._being_written: list[Line] = []
        self._line_bytes = 0
        self._latest: dict[str, Latest] = {}
        self.dropped = 0
        """Lines that found no room, since the start."""

    def note(self, effect: PassBy) -> None:
        if effect.task_id is None:
            return
        if effect.event == "task_progress":
            self._note_progress(effect.task_id, effect)
        elif effect.event == "task_log":
            self._note_line(effect.task_id, effect)

    def _note_line(self, task_id: str, effect: PassBy) -> None:
        has_room = len(self._lines) < LINES_WAITING_MAX
        if not has_room or self._line_bytes + len(effect.payload) > BYTES_WAITING_MAX:
            self.dropped += 1
            return
        self._line_bytes += len(effect.payload)
        self._lines.append((task_id, effect.generation or 0, effect.timestamp, str(effect.payload, "utf-8")))

    def _note_progress(self, task_id: str, effect: PassBy) -> None:
        said, known = said_of(effect.payload), self._latest.get(task_id)
        generation = effect.generation or 0
        if known is not None and known.generation == generation:
            said = merged(known.said, said)
        if known is not None or len(self._latest) < LINES_WAITING_MAX:
            self._latest[task_id] = Latest(generation, effect.timestamp, said)

    def waiting(self, task_id: str, count_max: int) -> tuple[LogLine, ...]:
        """Lines of a task that are on their way to the disk, the oldest first: whoever reads a log is shown
        them too, because the feed may have said them before he listened.
        """
        lines = (line for line in chain(self._being_written, self._lines) if line[0] == task_id)
        return tuple(log_line_of((0, *line[1:])) for line in islice(lines, max(0, count_max)))

    async def run(self, clock: Clock) -> None:
        """Flush for ever."""
        while True:
            await clock.sleep_until(clock.now().ms + FLUSH_EVERY_MS)
            await self.flush()

    async def flush(self) -> None:
        """Write what has gathered. A full disk loses it: room is for facts."""
        lines, self._lines, self._line_bytes = self._lines, [], 0
        self._being_written = lines
        latest, self._latest = self._latest, {}
        try:
            for piece in pieces(lines):
                await self._ledger.write_passing(partial(write_lines, piece=piece))
            rest = iter(latest.items())
            while some := list(islice(rest, PIECE_LINES)):
                await self._ledger.write_passing(partial(write_progress, some=some))
        except StorageFull:
            self.dropped += len(lines)
        finally:
            self._being_written = []


def merged(before: Said, after: Said) -> Said:
    return Said(
        before.progress if after.progress is None else after.progress,
        before.message if after.message is None else after.message,
    )


def pieces(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Small enough that a fact never waits long, and one line at least."""
    piece: list[Line] = []
    size = 0
    for line in lines:
        if piece and (len(piece) == PIECE_LINES or size + len(line[3]) > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line[3])
    if piece:
        yield piece


def write_lines(connection: apsw.Connection, piece: list[Line]) -> None:
    run_with(connection, SAVE_LINES, piece)
    run_with(connection, COUNT_LINES, piece)
    named = str(msgspec.json.encode(sorted({line[0] for line in piece})), "utf-8")
    most = (named, int(LOG_LINES_MAX * SLACK), int(LOG_BYTES_MAX * SLACK))
    for (task_id,) in connection.execute(TOO_LONG, most).fetchall():
        connection.execute(CUT, (task_id, LOG_LINES_MAX, LOG_BYTES_MAX))
        connection.execute(RECOUNT, (task_id,))


def write_progress(connection: apsw.Connection, some: Iterable[tuple[str, Latest]]) -> None:
    given: list[tuple[Any, ...]] = [
        (task_id, latest.generation, latest.wall_ms, str(msgspec.json.encode(latest.said), "utf-8"))
        for task_id, latest in some
    ]
    run_with(connection, SAVE_PROGRESS, given)
