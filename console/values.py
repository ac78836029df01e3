"""Values on the command line: durations, times, text from a file or standard input, JSON where it is JSON.

Owns how they are written. Never knows what they are for.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """`90s`, `10m`, `2h`, `500ms`: a number and a unit."""
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", text.strip(), re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration; write 90s, 10m, 2h or 30d.")
    return int(found[1]) * UNITS_MS[found[2]]


def moment_ms(text: str) -> int:
    """An ISO time, with or without a zone."""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 begins before there is a year in UTC
        raise click.BadParameter(f"{text!r} is not a time; write 2030-01-31T09:00.") from None
    return int(moment.timestamp() * 1000)


def in_path(name: str) -> str:
    """Whatever somebody typed, as one step of a path."""
    if not name:
        raise click.BadParameter("an empty name is nobody's.")
    return quote(name, safe="", errors="surrogateescape")


def text_of(said: str) -> str:
    """`-` reads standard input, `@file` a file, anything else is the text itself."""
    if said != "-" and not said.startswith("@"):
        return said
    try:
        return sys.stdin.read() if said == "-" else Path(said[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read {said.removeprefix('@')}: {error}") from None


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def inputs_of(pairs: tuple[str, ...], whole: str | None) -> dict[str, Any] | None:
    """The inputs of a plugin: a whole object first, then single ones over it."""
    inputs: dict[str, Any] = {}
    if whole is not None:
        found = value_of(text_of(whole))
        if not isinstance(found, dict):
            raise click.BadParameter("--inputs wants a JSON object, or @ and a file with one.")
        inputs.update(found)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"--input wants name=value, not {pair!r}.")
        inputs[name] = value_of(value)
    return inputs or None
