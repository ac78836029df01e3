"""How a command speaks: data on standard output, notes on standard error.

Owns the choice between a table for people and JSON lines for programs, colour, and the exit codes of both
programs. Never prints text of agents before it is made harmless.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, TextIO

import click

from console.harmless import harmless

CELL_LENGTH_MAX: Final = 80
"""Characters of one cell of a table; `--json` has all of it."""

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

    def __init__(self, sentence: str, code: Exit) -> None:
        super().__init__(harmless(sentence))
        self.code = code


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
        cells = [[cell(row.get(column)) for column in columns] for row in rows]
        widths = [max([len(c), *(len(row[n]) for row in cells)]) for n, c in enumerate(columns)]
        heading = "  ".join(
            c.upper().replace("_", " ").ljust(w) for c, w in zip(columns, widths, strict=True)
        )
        self.line(self.paint(heading.rstrip(), "soft"))
        for row in cells:
            self.line("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())

    def fields(self, record: Mapping[str, Any]) -> None:
        """One record, a member a line on a terminal."""
        if self.is_json:
            self.record(record)
            return
        width = max(map(len, record), default=0)
        for name, value in record.items():
            if value is None or (isinstance(value, list | dict) and not value):
                continue
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self.line(f"{self.paint(name.ljust(width), 'soft')}  {harmless(text)}")


def cell(value: Any) -> str:
    """A value as one cell: short, on one line, harmless."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = harmless(" ".join(text.split()))
    return text if len(text) <= CELL_LENGTH_MAX else text[: CELL_LENGTH_MAX - 1] + "…"
