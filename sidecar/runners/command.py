"""The runner that starts a program of the owner's choice for a task: coding agents, scripts, anything.

Owns which program answers to which name, and its argument vector: a task is an argument only where the
owner's template or a preset has a typed placeholder, and never part of a shell string (L35). Off unless the
sidecar's own configuration has `CommandSettings`. What belongs to another run is never in a run's environment
(L40).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from sidecar.runners.attempt import Attempt, MakeDialect, Manner
from sidecar.runners.commands.presets import Preset, preset_named, session_of
from sidecar.runners.contract import (
    ERROR_LENGTH_MAX,
    Answers,
    Failed,
    Finished,
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
    """One command of the owner's. `plugin` is the name it answers to; None: tasks that name no plugin.
    With a `preset`, argv is the agent's program and the owner's own options for it.
    """

    argv: tuple[str, ...]
    plugin: str | None = None
    preset: str | None = None
    agent: Preset | None = None
    resume: bool = False
    environment: tuple[str, ...] = PASSED_ON
    cwd: str | None = None
    timeout_ms: int = TIMEOUT_MS
    output_bytes_max: int = OUTPUT_BYTES_MAX
    limits: Limits = Limits()
    new_privileges: bool = False

    def __post_init__(self) -> None:
        check_template(self.argv)
        self._check_preset()
        if self.plugin is not None and not PLUGIN_NAME.fullmatch(self.plugin):
            raise ValueError(f"{self.plugin!r} is no plugin name: small letters, digits, _ and -, at most 64")
        if self.cwd is not None and not self.cwd.startswith("/"):
            raise ValueError("cwd must be an absolute path")
        if self.timeout_ms <= 0 or self.output_bytes_max < 0:
            raise ValueError("timeout_ms and output_bytes_max must be positive")
        check_passed_on(self.environment)

    @property
    def used(self) -> Preset | None:
        """The preset with its rules; None for a plain command."""
        return None if self.preset is None else preset_named(self.preset, self.agent)

    def _check_preset(self) -> None:
        preset = self.used
        if preset is None:
            if self.agent is not None or self.resume:
                raise ValueError("agent and resume need a preset")
            return
        if "--" in self.argv:
            raise ValueError('with a preset, argv is the program and its options: no "--", no placeholders')
        if self.resume and not (preset.resume and self.cwd):
            raise ValueError(
                "resume needs a preset that can go on with a session, and cwd: agents keep sessions by folder"
            )
        check_template(preset.template(self.argv, None))


def command_settings(argv: Sequence[str], tables: Mapping[str, object]) -> tuple[CommandSettings, ...]:
    """The commands of a configuration: `argv` for tasks that name no plugin, `tables` by plugin name.

    A table has the members of `CommandSettings`; a list is only its `argv`. ValueError says what is wrong.
    """
    found = [CommandSettings(argv=tuple(argv))] if argv else []
    for plugin, table in tables.items():
        members = {"argv": table} if isinstance(table, list | tuple) else table
        try:
            settings = msgspec.convert(members, CommandSettings)
            passed_on = settings.environment
            if settings.used is not None and isinstance(members, dict) and "environment" not in members:
                passed_on += settings.used.environment  # an agent without its key can do nothing
            found.append(msgspec.structs.replace(settings, plugin=plugin, environment=passed_on))
        except (ValueError, TypeError) as trouble:
            raise ValueError(f"command {plugin}: {trouble}") from trouble
    return tuple(found)


class CommandRunner:
    """Runs one configured command for every order that asks for it."""

    name = "command"

    def __init__(self, settings: CommandSettings, workspaces: Workspaces, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._preset = settings.used
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
            session = session_of(order) if self._settings.resume else None
            argv = filled(self._template(session), order)
            workspace = self._workspaces.open()
        except UnfitValue as trouble:
            return Failed(error=str(trouble), retryable=False, cause="setup")
        except OSError as trouble:
            return Failed(error=f"no workspace for the run: {trouble.strerror}", cause="machine")
        try:
            attempt = Attempt(order, report, self._manner(order), dialect=self._dialect(order))
            program = self._program(order, argv, workspace, session)
            return self._checked(await attempt.make(program, stop, answers), attempt)
        finally:
            await _remove(workspace)

    def _template(self, session: str | None) -> tuple[str, ...]:
        argv = self._settings.argv
        return argv if self._preset is None else self._preset.template(argv, session)

    def _dialect(self, order: Order) -> MakeDialect | None:
        if self._preset is None or self._preset.reads == "text":
            return None
        return partial(self._preset.reading, order)

    def _checked(self, outcome: Outcome, attempt: Attempt) -> Outcome:
        """L70: an agent that says its results and has said none has not done its work."""
        if not isinstance(outcome, Finished) or self._preset is None or not self._preset.says_results:
            return outcome
        if attempt.said.result_bytes:
            return outcome
        words = attempt.output.last_words()
        last = f"; last output:\n{words}" if words else ""
        error = f"the agent ended with code 0 and without a result{last}"
        return Failed(error=error[:ERROR_LENGTH_MAX], cause="crash")

    def _manner(self, order: Order) -> Manner:
        left_ms = order.time_left_ms
        most_ms = self._settings.timeout_ms
        return Manner(
            time_ms=most_ms if left_ms is None else max(0, min(most_ms, left_ms)),
            output_bytes_max=self._settings.output_bytes_max,
        )

    def _program(
        self, order: Order, argv: tuple[str, ...], workspace: Workspace, session: str | None
    ) -> Program:
        return Program(
            argv=argv,
            environment=self._passed_on | environment_of(order, workspace),
            cwd=self._settings.cwd or str(workspace.work),
            marker=workspace.marker,
            stdin=task_of(order) if self._preset is None else self._preset.stdin(order, session),
            limits=self._settings.limits,
            new_privileges=self._settings.new_privileges,
        )


async def _remove(workspace: Workspace) -> None:
    if workspace.is_small():
        workspace.remove()
    else:
        await asyncio.to_thread(workspace.remove)
