"""`hub tasks export`: tasks or events as JSON lines, to standard output or into a file.

Owns the file: it gets its name when it is whole, and is for this user alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from console.output import CommandFailed, Exit
from hub.commands.filters import filter_options, wanted_of
from hub.commands.options import hub_options, opened


@click.command("export")
@filter_options
@click.option("--events", is_flag=True, help="The log of events instead of tasks.")
@click.option("--since", metavar="CURSOR", help="With --events: only later ones.")
@click.option("--out", "target", metavar="FILE", help="Into this file, which must not exist.")
@hub_options
def command(*, events: bool, since: str | None, target: str | None, **options: Any) -> None:
    """Write tasks as JSON lines, newest first; or the log of events, oldest first."""
    from console.harmless import harmless

    wanted = wanted_of(options)
    if (wanted and events) or (since and not events):
        raise click.UsageError("--since goes with --events, and filters go with tasks.")
    output, client = opened(options)
    path, query = ("/api/events/export", {"since": since}) if events else ("/api/tasks/export", wanted)
    with client:
        lines = client.lines(path, **query)
        if target is not None:
            count = write(Path(target), lines)
            output.fields({"file": target, "lines": count})
            return
        is_seen = output.out.isatty()
        for line in lines:
            output.out.write((harmless(line) if is_seen else line) + "\n")


def write(path: Path, lines: Iterable[str]) -> int:
    """Whole or not at all; answers how many lines."""
    if path.exists():
        raise CommandFailed(f"{path} exists already. An export never overwrites.", Exit.FAILED)
    unfinished = path.with_name(path.name + ".part")
    count = 0
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error}", Exit.FAILED) from error
    finally:
        unfinished.unlink(missing_ok=True)  # whole, it has its own name by now
    return count
