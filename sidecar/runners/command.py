"""The runner that starts a program of the owner's choice for a task: coding agents, scripts, anything.

Owns which program answers to which name, and its argument vector: a task is an argument only where the
owner's template has a typed placeholder, and never part of a shell string (L35). Off unless the sidecar's own
configuration has `CommandSettings`. What belongs to another run is never in a run's environment (L40).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sidecar.runners.attempt import Attempt, Manner
from sidecar.runners.contract import (
    Answers,
    Failed,
    Order,
    Outcome,
    Proof,
    Rejection,
    Reporter,
    Stopped,
    StopSignal,
)
from sidecar.runners.handover import PASSED_ON, check_passed_on, environment_of, task_of
from sidecar.runners.output import OUTPUT_BYTES_MAX
from sidecar.runners.placeholders import UnfitValue, check_template, filled
from sidecar.runners.process import Limits, Program
from sidecar.workspace import Workspace, Workspaces

TIMEOUT_MS: Final = 300_000
"""A run without a limit of its own: five minutes, as crews have."""

PLUGIN_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class CommandSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command of the owner's. `plugin` is the name it answers to; None: tasks that name no plugin."""

    argv: tuple[str, ...]
    plugin: str | None = None
    environment: tuple[str, ...] = PASSED_ON
    cwd: str | None = None
    timeout_ms: int = TIMEOUT_MS
    output_bytes_max: int = OUTPUT_BYTES_MAX
    limits: Limits = Limits()
    new_privileges: bool = False

    def __post_init__(self) -> None:
        check_template(self.argv)
        if self.plugin is not None and not PLUGIN_NAME.fullmatch(self.plugin):
            raise ValueError(f"{self.plugin!r} is no plugin name: small letters, digits, _ and -, at most 64")
        if self.cwd is not None and not self.cwd.startswith("/"):
            raise ValueError("cwd must be an absolute path")
        if self.timeout_ms <= 0 or self.output_bytes_max < 0:
            raise ValueError("timeout_ms and output_bytes_max must be positive")
        check_passed_on(self.environment)


def command_settings(argv: Sequence[str], tables: Mapping[str, object]) -> tuple[CommandSettings, ...]:
    """The commands of a configuration: `argv` for tasks that name no plugin, `tables` by plugin name.

    A table has the members of `CommandSettings`; a list is only its `argv`. ValueError says what is wrong.
    """
    found = [CommandSettings(argv=tuple(argv))] if argv else []
    for plugin, table in tables.items():
        members = {"argv": table} if isinstance(table, list | tuple) else table
        try:
            settings = msgspec.convert(members, CommandSettings)
            found.append(msgspec.structs.replace(settings, plugin=plugin))
        except (ValueError, TypeError) as trouble:
            raise ValueError(f"command {plugin}: {trouble}") from trouble
    return tuple(found)


class CommandRunner:
    """Runs one configured command for every order that asks for it."""

    name = "command"

    def __init__(self, settings: CommandSettings, workspaces: Workspaces, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._workspaces = workspaces
        self._passed_on = {name: environ[name] for name in settings.environment if name in environ}

    def accepts(self, order: Order) -> Rejection | None:
        if order.plugin == self._settings.plugin:
            return None
        return Rejection(
            reason="unknown_plugin", sentence=f"no command answers to {order.plugin or 'no plugin'}"
        )

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        if stop.is_set:
            return Stopped(how="cooperative", proof=Proof())
        try:
            argv = filled(self._settings.argv, order)
            workspace = self._workspaces.open()
        except UnfitValue as trouble:
            return Failed(error=str(trouble), retryable=False, cause="setup")
        except OSError as trouble:
            return Failed(error=f"no workspace for the run: {trouble.strerror}", cause="setup")
        try:
            attempt = Attempt(order, report, self._manner(order))
            return await attempt.make(self._program(order, argv, workspace), stop, answers)
        finally:
            await _remove(workspace)

    def _manner(self, order: Order) -> Manner:
        left_ms = order.time_left_ms
        most_ms = self._settings.timeout_ms
        return Manner(
            time_ms=most_ms if left_ms is None else max(0, min(most_ms, left_ms)),
            output_bytes_max=self._settings.output_bytes_max,
        )

    def _program(self, order: Order, argv: tuple[str, ...], workspace: Workspace) -> Program:
        return Program(
            argv=argv,
            environment=self._passed_on | environment_of(order, workspace),
            cwd=self._settings.cwd or str(workspace.work),
            marker=workspace.marker,
            stdin=task_of(order),
            limits=self._settings.limits,
            new_privileges=self._settings.new_privileges,
        )


async def _remove(workspace: Workspace) -> None:
    if workspace.is_small():
        workspace.remove()
    else:
        await asyncio.to_thread(workspace.remove)
