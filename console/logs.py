"""Logs: one JSON object a line on standard error, named by its event.

Owns the format and its bound: values are cut at 512 characters and made harmless; nobody logs frames, headers
or tokens. Never decides what is worth a line.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Final, TextIO

from console.harmless import harmless_line

VALUE_LENGTH_MAX: Final = 512

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """`time`, `level`, `logger`, `event`, and whatever the line has as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": harmless_line(record.getMessage(), VALUE_LENGTH_MAX),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and not name.startswith("_"):
                line[name] = _shown(value)
        if record.exc_info:
            # The last line tells what; the whole story is only for those who asked for it.
            kind, error, _ = record.exc_info
            line["error"] = _shown(f"{getattr(kind, '__name__', kind)}: {error}")
            if logging.getLogger().isEnabledFor(logging.DEBUG):
                line["trace"] = harmless_line(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


class Sentences(logging.Formatter):
    """The same for a person at a terminal: time, level where it matters, event and its values."""

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(
            f"{name}={_shown(value)}"
            for name, value in vars(record).items()
            if name not in _STANDARD and not name.startswith("_")
        )
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        event = harmless_line(record.getMessage())
        line = f"{self.formatTime(record, '%H:%M:%S')} {level}{event} {extra}".rstrip()
        if record.exc_info:
            line += f" error={_shown(str(record.exc_info[1]))}"
            if logging.getLogger().isEnabledFor(logging.DEBUG):
                line += "\n" + self.formatException(record.exc_info)
        return line


def set_up_logs(level: str = "info", *, as_json: bool | None = None, stream: TextIO | None = None) -> None:
    """Log to standard error: JSON lines in a pipe, sentences on a terminal, unless `as_json` says which."""
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    in_json = not target.isatty() if as_json is None else as_json
    handler.setFormatter(JsonLines() if in_json else Sentences())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries that log every frame or request would put secrets and strangers' text into our lines.
    for name in ("websockets", "uvicorn", "httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return harmless_line(str(value), VALUE_LENGTH_MAX)
