"""`hub db`: upgrade, check, backup, restore, prune, turns: the ledger here, its hub running or not.

Owns the words of the group, and which file is meant: it reads the settings that `hub serve` would. Only
`prune` talks to a hub, when there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from console.output import CommandFailed, Exit, Output
from hub.commands.bulk import bulk_options
from hub.commands.options import hub_options

if TYPE_CHECKING:
    from hub.settings import Settings
    from hub.turns import Kept

F = TypeVar("F", bound=Callable[..., Any])

TURN_COLUMNS: Final = ("n", "kind", "at", "letters", "events")


@click.group("db")
def command() -> None:
    """Check, back up and upgrade the database."""


def ledger_options(function: F) -> F:
    decorators = (
        click.option("--state-dir", metavar="DIR", help="Folder of the ledger, as for hub serve."),
        click.option("--config", "config_file", metavar="FILE", help="This file instead of ./hub.toml."),
        click.option("--json/--no-json", "as_json", default=None, help="JSON lines instead of text."),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def settings_here(output: Output, state_dir: str | None, config_file: str | None) -> Settings:
    from hub.commands.serve import settings_of

    return settings_of({"state_dir": state_dir}, config_file, output)


@contextmanager
def sentences() -> Iterator[None]:
    """What the store refuses, as a sentence and an exit code instead of a traceback."""
    import apsw

    from hub.errors import ConfigurationError

    try:
        yield
    except ConfigurationError as error:
        raise CommandFailed(str(error), Exit.FAILED) from error
    except (apsw.Error, OSError) as error:
        raise CommandFailed(f"The database cannot be used: {error}", Exit.FAILED) from error


@command.command("upgrade")
@ledger_options
def upgrade(state_dir: str | None, config_file: str | None, as_json: bool | None) -> None:
    """Bring the tables up to this version. Stop the hub first; `hub serve` does the same at its start."""
    from hub.store.backup import version_at
    from hub.store.database import open_database

    output = Output(as_json)
    settings = settings_here(output, state_dir, config_file)
    path = settings.database_file

    with sentences():
        before = version_at(path) if path.exists() else 0
        open_database(path, settings.durability).close()
        after = version_at(path)
    output.fields({"database": str(path), "version_before": before, "version": after})


@command.command("check")
@ledger_options
def check(state_dir: str | None, config_file: str | None, as_json: bool | None) -> None:
    """Look for damage and broken rules; exit 1 if there is any. A running hub is not disturbed."""
    from hub.store import backup

    output = Output(as_json)
    path = settings_here(output, state_dir, config_file).database_file
    with sentences():
        findings = backup.check(path)
        is_damaged = bool(findings) and bool(backup.check(path, may_be_older=True))
    if output.is_json:
        output.record({"database": str(path), "ok": not findings, "findings": findings})
    elif not findings:
        output.line(f"{output.paint('ok', 'good')}  {path}")
    for finding in findings:
        output.note(f"! {finding}")
    if is_damaged:
        output.note("Stop the hub, keep this file, and restore the last good backup: hub db restore FILE")
    sys.exit(Exit.FAILED if findings else Exit.COMPLETE)


@command.command("backup")
@click.argument("target", metavar="FILE")
@ledger_options
def backup(target: str, state_dir: str | None, config_file: str | None, as_json: bool | None) -> None:
    """Copy the database to FILE while the hub runs, and check the copy. Nothing is ever overwritten.

    The pepper beside the database is not in it: keep a copy of it elsewhere, or all tokens are lost with it.
    """
    from pathlib import Path

    from hub.store.backup import back_up
    from hub.store.backup import check as findings_in

    output = Output(as_json)
    path = settings_here(output, state_dir, config_file).database_file
    with sentences():
        size = back_up(path, Path(target))
        findings = findings_in(Path(target), may_be_older=True)  # what one makes before an upgrade
    output.fields({"backup": target, "bytes": size, "ok": not findings})
    for finding in findings:
        output.note(f"! {finding}")
    sys.exit(Exit.FAILED if findings else Exit.COMPLETE)


@command.command("restore")
@click.argument("source", metavar="FILE")
@ledger_options
def restore(source: str, state_dir: str | None, config_file: str | None, as_json: bool | None) -> None:
    """Put a good backup where the database was. Stop the hub, and move what is there away first.

    The hub begins a new epoch: watchers are told, and agents bring in again what they have finished since.
    """
    from pathlib import Path

    from hub.store import backup

    output = Output(as_json)
    path = settings_here(output, state_dir, config_file).database_file
    with sentences():
        backup.restore(Path(source), path)
    output.fields({"database": str(path), "restored_from": source})


@command.command("prune")
@click.option(
    "--older-than", metavar="AGE", help="30d, 12h …; what is past its age in the settings if left out."
)
@bulk_options
@click.option("--state-dir", metavar="DIR", help="Folder of the ledger, as for hub serve.")
@click.option("--config", "config_file", metavar="FILE", help="This file instead of ./hub.toml.")
@hub_options
def prune(
    *,
    older_than: str | None,
    dry_run: bool,
    yes: bool,
    state_dir: str | None,
    config_file: str | None,
    **where: Any,
) -> None:
    """Forget tasks, events and logs that are over and old, while the hub runs or when it does not.

    What is open stays, and what an open task waits for. The file keeps its size: what is free is used again.
    """
    from console.values import duration_ms
    from hub.commands import prune as pruning
    from hub.store.retention import AGE_MS_MAX, AGE_MS_MIN

    age_ms = duration_ms(older_than) if older_than is not None else None
    if age_ms is not None and not AGE_MS_MIN <= age_ms <= AGE_MS_MAX:
        raise click.UsageError("--older-than is from 60s to 3660d.")
    output = Output(where["as_json"], where["quiet"])
    with sentences():
        settings = settings_here(output, state_dir, config_file)
        pruning.prune(output, settings, age_ms, where, is_dry_run=dry_run, is_sure=yes)


@command.command("turns")
@click.argument("file", required=False)
@ledger_options
def turns(file: str | None, state_dir: str | None, config_file: str | None, as_json: bool | None) -> None:
    """Print the ring file of turns that a hub with `turns_bytes` keeps: what its board was told, and when.

    `./dev replay FILE` runs them through the core again.
    """
    from pathlib import Path

    import msgspec

    from hub.turns import read_turns

    output = Output(as_json)
    path = Path(file) if file else settings_here(output, state_dir, config_file).turns_file
    if not path.exists():
        raise CommandFailed(
            f"There is no record of turns at {path}. A hub with HUB_TURNS_BYTES=16777216 keeps one.",
            Exit.NOT_FOUND,
        )
    try:
        output.rows((row_of(kept, output.is_json) for kept in read_turns(path)), TURN_COLUMNS, key="n")
    except (msgspec.MsgspecError, OSError) as error:
        raise CommandFailed(f"{path} is not a record of turns: {error}", Exit.FAILED) from error


def row_of(kept: Kept, is_whole: bool) -> dict[str, Any]:
    """All of it for a program, the gist for a person."""
    import msgspec

    from hub.turns import StartKept, TurnKept

    if is_whole:
        whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(kept))
        return whole
    row: dict[str, Any] = {"n": kept.n, "kind": type(kept).__name__.removesuffix("Kept").lower()}
    if isinstance(kept, TurnKept | StartKept):
        row["at"] = kept.now.wall_ms
    if isinstance(kept, TurnKept):
        row |= {"letters": len(kept.letters), "events": ", ".join(one.name for one in kept.letters)}
    return row
