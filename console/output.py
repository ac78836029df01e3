"""How a command speaks: data on standard output, notes on standard error.

Owns the choice between a table for people and JSON lines for programs, colour, and the exit codes of both
programs. Never prints text of agents before it is made harmless.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, TextIO

import click

from console.harmless import harmless

CELL_LENGTH_MAX: Final = 80
"""Characters of one cell of a table; `--json` has all of it."""

CELL_LENGTH_MIN: Final = 12
"""The last column is cut to the terminal's width, but to no less than this."""

TIMES: Final = frozenset({"last_seen", "last_dispatch", "timestamp", "at"})
"""Members in unix milliseconds, beside all that end in `_at`."""

COLOURS: Final = {"good": "32", "warn": "33", "bad": "31", "soft": "90", "strong": "1"}


class Exit(IntEnum):
    """What a command ends with; scripts rely on these numbers."""

    COMPLETE = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    NOT_AUTHORISED = 4
    UNREACHABLE = 5
    NOT_FOUND = 6
    INPUT_REQUIRED = 7
    TIMED_OUT = 124
    INTERRUPTED = 130


class CommandFailed(click.ClickException):
    """A sentence for the person that says what to do, and a number for the script."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(harmless(sentence))
        self.code = int(code)


@dataclass(slots=True)
class Output:
    """One command's voice. `as_json` None means: a table on a terminal, JSON lines in a pipe."""

    as_json: bool | None = None
    quiet: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def is_json(self) -> bool:
        return self.as_json if self.as_json is not None else not self.out.isatty()

    @property
    def has_colour(self) -> bool:
        return self.out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.has_colour else text

    def note(self, text: str) -> None:
        """For the person, not for the pipe."""
        print(harmless(text), file=self.err, flush=True)

    def line(self, text: str) -> None:
        """A line of data, already harmless."""
        print(text, file=self.out, flush=True)

    def record(self, record: Mapping[str, Any]) -> None:
        """One JSON object a line. JSON escapes control characters itself; bidi and C1 need our help."""
        self.line(harmless(json.dumps(record, ensure_ascii=False, separators=(",", ":"))))

    def rows(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, key: str) -> None:
        """Many records: ids only with `-q`, JSON lines in a pipe, a table on a terminal."""
        found = list(rows)
        if self.quiet:
            for row in found:
                self.line(harmless(str(row[key])))
        elif self.is_json:
            for row in found:
                self.record(row)
        else:
            self.table(found, columns)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Aligned columns under their names; the last is cut to what fits beside the others."""
        names = [column.upper().replace("_", " ") for column in columns]
        cells = [[cell(row.get(column), column) for column in columns] for row in rows]
        widths = [max(map(width_of, column)) for column in zip(names, *cells, strict=True)]
        room = self.columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
        self.line(self.paint(aligned(names, widths).rstrip(), "soft"))
        for row in cells:
            row[-1] = cut(row[-1], max(room, CELL_LENGTH_MIN))
            self.line(aligned(row, widths).rstrip())

    def fields(self, record: Mapping[str, Any]) -> None:
        """One record, a member a line on a terminal."""
        if self.is_json:
            self.record(record)
            return
        shown = {harmless(name): value for name, value in record.items() if not is_nothing(value)}
        width = max(map(len, shown), default=0)
        for name, value in shown.items():
            text = value if isinstance(value, str) else words_of(value, name)
            self.line(f"{self.paint(name.ljust(width), 'soft')}  {harmless(text)}")

    @property
    def columns(self) -> int:
        """How wide the terminal is; a pipe has no edge."""
        return shutil.get_terminal_size().columns if self.out.isatty() else sys.maxsize


def is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict | tuple) and not value)


def words_of(value: Any, name: str = "") -> str:
    """A value as a person reads it: times as times, lists of words as words, anything deeper as JSON."""
    if isinstance(value, int) and not isinstance(value, bool) and (name.endswith("_at") or name in TIMES):
        return datetime.fromtimestamp(value / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cell(value: Any, name: str = "") -> str:
    """A value as one cell: short, on one line, harmless."""
    if is_nothing(value):
        return "-"
    return cut(harmless(" ".join(words_of(value, name).split())), CELL_LENGTH_MAX)


def width_of(text: str) -> int:
    """Columns on a terminal: East Asian characters take two, marks that join the one before take none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF") for one in text
    )


def cut(text: str, width_max: int) -> str:
    if width_of(text) <= width_max:
        return text
    while text and width_of(text) > width_max - 1:
        text = text[: min(len(text) - 1, width_max - 1)]
    return text + "…"


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text + " " * (width - width_of(text)) for text, width in zip(cells, widths, strict=True))
