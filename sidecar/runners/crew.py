"""The runner that does a task by a crew of a plugin, in a process of its own that is forked for the run.

Owns what stands between an order and that process: the name is looked up in what was found, never turned into
a path (L39); settings are judged before anything is started; keys travel on standard input alone (L40); time
and memory are bounded. Never imports crewai or a plugin's code, and never starts a process itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from plugins import keys
from plugins.contract import Found, Plugin
from plugins.settings import UnfitSettings, check_settings
from sidecar.runners.amounts import excess, watch
from sidecar.runners.attempt import Attempt, Manner
from sidecar.runners.contract import (
    ERROR_LENGTH_MAX,
    Answers,
    Failed,
    Logged,
    Order,
    Outcome,
    Proof,
    Rejection,
    Reporter,
    Stopped,
    StopSignal,
)
from sidecar.runners.credentials import MODEL, Account, keys_of, secrets_of
from sidecar.runners.handover import task_of
from sidecar.runners.process import TIMEOUT_GRACE_MS, Launcher, Limits, Program
from sidecar.runners.surroundings import check_crew_environment, crew_environment, passed_on
from sidecar.workspace import Workspace, Workspaces

TIMEOUT_MS: Final = 300_000
"""A run of a crew takes five minutes at most, unless the sidecar's settings say otherwise."""

DEADLINE_MARGIN_MS: Final = TIMEOUT_GRACE_MS + 1_000
"""The time of a run ends this much before the task's own, or a tenth of it if that is less: so the run is
stopped and says why, before the hub takes the task away (L93).
"""

MEMORY_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Of its own, and its part of what it shares: a crew of three agents takes 50 MB."""

OUTPUT_BYTES_MAX: Final = 64 * 1024
"""What a crew prints is not its result: kept for whoever asks why it failed."""

LOG_BYTES_MAX: Final = 4 * 1024 * 1024
"""The activity of one run: twenty entries a second of five hundred bytes, for nearly seven minutes."""

NOT_FOUND: Final = "Plugin crew not found: {name}"


class CrewSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner of a sidecar says about crews. `environment` lists further variables that runs see."""

    account: Account = Account()
    timeout_ms: int = TIMEOUT_MS
    memory_bytes: int | None = MEMORY_BYTES_MAX
    output_bytes_max: int = OUTPUT_BYTES_MAX
    environment: tuple[str, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        check_crew_environment(self.environment)
        if self.timeout_ms <= 0 or (self.memory_bytes is not None and self.memory_bytes <= 0):
            raise ValueError("timeout_ms and memory_bytes must be positive")


class Source(Protocol):
    """Where the processes of runs come from: a warm zygote, or an interpreter started anew."""

    @property
    def launcher(self) -> Launcher: ...

    @property
    def argv(self) -> tuple[str, ...]:
        """The program of a run; one that is forked has none."""
        ...


class CrewRunner:
    """Runs the crew of the plugin that an order names."""

    name = "crew"

    def __init__(
        self,
        found: Found,
        source: Source,
        workspaces: Workspaces,
        settings: CrewSettings,
        environ: Mapping[str, str],
    ) -> None:
        self._found = found
        self._source = source
        self._workspaces = workspaces
        self._settings = settings
        self._passed_on = passed_on(settings.environment, environ)

    def offer(self, found: Found) -> None:
        """From now on these are the plugins; runs that have begun go on with what they have."""
        self._found = found

    def accepts(self, order: Order) -> Rejection | None:
        if order.plugin in self._found.plugins:
            return None
        return Rejection(reason="unknown_plugin", sentence=self._why_not(order.plugin))

    def secrets_of(self, order: Order) -> Iterable[str]:
        """What the run must not say: the keys that the order brought, and the sidecar's own."""
        try:
            return secrets_of(inputs_of(order), self._settings.account)
        except UnfitSettings:
            return secrets_of({}, self._settings.account)

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        if stop.is_set:
            return Stopped(how="cooperative", proof=Proof())
        plugin = self._found.plugins.get(order.plugin or "")
        if plugin is None:
            return _unfit(self._why_not(order.plugin))
        try:
            judged = await asyncio.to_thread(self._judged, order, plugin)
            workspace = self._workspaces.open()
        except UnfitSettings as trouble:
            return _unfit(str(trouble))
        except OSError as trouble:
            return Failed(error=f"no workspace for the run: {trouble.strerror or trouble}", cause="machine")
        try:
            return await self._attempt(order, self._program(order, judged, workspace), report, stop, answers)
        finally:
            await asyncio.to_thread(workspace.remove)

    # -- before anything is started

    def _why_not(self, name: str | None) -> str:
        """L83: a plugin that is there and broken is not reported as missing."""
        if not name:
            return "the task names no plugin, and this sidecar runs crews only"
        for trouble in self._found.troubles:
            if Path(trouble.folder).name == name:
                return f"the plugin {name} cannot be used: {trouble.sentence}"
        return NOT_FOUND.format(name=name)

    def _judged(self, order: Order, plugin: Plugin) -> dict[str, Any]:
        """The members of the order that only a crew has, or `UnfitSettings`."""
        inputs = inputs_of(order)
        settings = check_settings(plugin, inputs, order.description)
        given, brought = keys.split(inputs)
        found = keys_of(brought, self._settings.account)
        if MODEL not in found:
            raise UnfitSettings(
                "settings._llm_model: there is no model; set `model` of the sidecar (SIDECAR_MODEL), or give "
                "one with a run without a hub"
            )
        return {
            "inputs": given,
            "settings": settings,
            "keys": found,
            "time_left_ms": self._time_ms(order),
            "trace": order.trace,
        }

    def _time_ms(self, order: Order) -> int:
        left_ms = order.time_left_ms
        if left_ms is None:
            return self._settings.timeout_ms
        return max(0, min(self._settings.timeout_ms, left_ms - min(DEADLINE_MARGIN_MS, left_ms // 10)))

    def _program(self, order: Order, judged: dict[str, Any], workspace: Workspace) -> Program:
        return Program(
            argv=self._source.argv,
            environment=crew_environment(self._passed_on, order, workspace),
            cwd=str(workspace.work),
            marker=workspace.marker,
            stdin=task_of(order, judged),
            limits=self._settings.limits,
        )

    # -- the run

    async def _attempt(
        self, order: Order, program: Program, report: Reporter, stop: StopSignal, answers: Answers | None
    ) -> Outcome:
        manner = Manner(
            time_ms=self._time_ms(order),
            output_bytes_max=self._settings.output_bytes_max,
            log_bytes_max=LOG_BYTES_MAX,
            speaks=True,
        )
        attempt = Attempt(order, report, manner, self._source.launcher)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_memory(attempt, over))
            try:
                return await attempt.make(program, stop, answers)
            finally:
                over.set()

    async def _watch_memory(self, attempt: Attempt, over: asyncio.Event) -> None:
        most = self._settings.memory_bytes
        if most is None:
            return
        if not await watch(attempt.leader, most, lambda used: attempt.cut(excess(used, most)), over):
            unseen = "the memory of a run cannot be measured on this system: crew_memory_bytes does not hold"
            attempt.report(Logged(level="warning", kind="warning", text=unseen))


def inputs_of(order: Order) -> dict[str, Any]:
    """The inputs as an object, or `UnfitSettings`."""
    try:
        inputs = msgspec.json.decode(order.inputs or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as trouble:
        raise UnfitSettings("inputs: cannot be read as JSON") from trouble
    if inputs is None:
        return {}
    if not isinstance(inputs, dict):
        raise UnfitSettings("inputs: must be an object of settings by name")
    return inputs


def _unfit(sentence: str) -> Failed:
    return Failed(error=sentence[:ERROR_LENGTH_MAX], retryable=False, cause="setup")
