"""What this sidecar can do, built from its settings: command runners, crews, or the echo.

Owns which runners there are, in which order they are asked, and what none of them may say. Starts nothing and
removes nothing: whoever only looks (`sidecar doctor`) may build an equipment beside a sidecar that works.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from plugins.contract import Found
from sidecar.clock import SidecarClock
from sidecar.errors import SettingsError
from sidecar.plugins_at_hand import PluginsAtHand, folders_of, need_crewai
from sidecar.redaction import guarded
from sidecar.runners.cold import Cold
from sidecar.runners.command import CommandRunner, CommandSettings, command_settings
from sidecar.runners.contract import Runner
from sidecar.runners.credentials import Account
from sidecar.runners.crew import CrewRunner, CrewSettings
from sidecar.runners.echo import EchoRunner
from sidecar.runners.handover import PASSED_ON
from sidecar.runners.warm import CHILD, Zygote, is_possible
from sidecar.settings import Settings
from sidecar.workspace import Workspaces

IMPORTS: Final = "imports"
"""Folder, beside the runs', where the process that imports plugins may write."""

SECRET_WORDS: Final = ("KEY", "TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "AUTH", "DSN")
"""A variable with one of these in its name has a value that no run may say."""


class Equipment(NamedTuple):
    """The runners in the order in which they are asked; `at_hand` when crews are among them."""

    runners: tuple[Runner, ...]
    at_hand: PluginsAtHand | None = None


class Shell(NamedTuple):
    """What crews are built with, besides the settings."""

    folder: Path
    environ: Mapping[str, str]
    clock: SidecarClock
    say: Callable[[str], None]
    child: str = CHILD


def equip(settings: Settings, shell: Shell) -> Equipment:
    """The command runners and the crews that the settings describe, or the echo. A command is asked first."""
    workspaces = Workspaces(shell.folder)
    runners = commands_of(settings, workspaces, shell.environ)
    if not settings.plugins:
        return Equipment(tuple(runners) or (EchoRunner(),))
    at_hand, crews = crews_of(settings, workspaces, shell)
    return Equipment((*runners, crews), at_hand)


def commands_of(settings: Settings, workspaces: Workspaces, environ: Mapping[str, str]) -> list[Runner]:
    """A runner for each command of the owner's."""
    try:
        found = command_settings(settings.command, settings.commands)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"the command runner's settings: {error}") from error
    return [guarded(CommandRunner(one, workspaces, environ), secrets_of(one, environ)) for one in found]


def crews_of(settings: Settings, workspaces: Workspaces, shell: Shell) -> tuple[PluginsAtHand, Runner]:
    """The plugins and the runner of their crews; the one offers what the other runs."""
    if shell.child == CHILD:
        need_crewai()
    folders = folders_of(settings.plugins)
    source = source_of(settings, folders, shell)
    try:
        wanted = crew_settings(settings)
    except ValueError as error:
        raise SettingsError(f"the settings for crews: {error}") from error
    runner = CrewRunner(Found(), source, workspaces, wanted, shell.environ)
    keep = source.keep if isinstance(source, Zygote) else None
    at_hand = PluginsAtHand(folders, source, shell.clock, shell.say, keep=keep)
    at_hand.offered = runner.offer
    return at_hand, guarded(runner, _secrets_among(settings.crew_environment, shell.environ))


def source_of(settings: Settings, folders: Sequence[Path], shell: Shell) -> Zygote | Cold:
    """Where runs come from: a fork of a warm process where the system can, and nobody wants it otherwise."""
    folder = shell.folder / IMPORTS
    passed_on = (*PASSED_ON, *settings.crew_environment)
    if settings.crew_start == "warm" and is_possible():
        return Zygote(
            folder, folders, shell.environ, passed_on=passed_on, child=shell.child, clock=shell.clock
        )
    return Cold(folder, folders, shell.environ, passed_on=passed_on, child=shell.child)


def crew_settings(settings: Settings) -> CrewSettings:
    """What the runner of crews needs to know of all that may be set."""
    account = Account(
        model=settings.model,
        model_key=settings.model_key,
        model_url=settings.model_url,
        search_key=settings.search_key,
    )
    return CrewSettings(
        account=account,
        timeout_ms=settings.crew_timeout_ms,
        memory_bytes=settings.crew_memory_bytes,
        environment=settings.crew_environment,
    )


def inspected(
    settings: Settings, environ: Mapping[str, str], say: Callable[[str], None], child: str = CHILD
) -> Found:
    """What a sidecar with these settings would offer, and why not the rest: found, imported once, let go."""
    with tempfile.TemporaryDirectory(prefix="crewhub-plugins-") as folder:
        shell = Shell(Path(folder), environ, SidecarClock(), say, child)
        at_hand, _ = crews_of(replace(settings, crew_start="cold"), Workspaces(shell.folder), shell)
        return asyncio.run(_inspect(at_hand))


async def _inspect(at_hand: PluginsAtHand) -> Found:
    try:
        await at_hand.begin()
    finally:
        await at_hand.close()
    return at_hand.found


def secrets_of(command: CommandSettings, environ: Mapping[str, str]) -> list[str]:
    """Values that a run is given and must not say: those of variables that are named like secrets."""
    return _secrets_among(command.environment, environ)


def _secrets_among(names: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    return [environ[name] for name in names if name in environ and _is_secret(name)]


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in SECRET_WORDS)
