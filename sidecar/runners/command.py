"""The runner that starts a program of the owner's choice for a task: coding agents, scripts, anything.

Owns how a task is handed over and how an end is read. The task is a JSON object on standard input and lies
in the environment; it never becomes part of a shell string (L35), and an argument only where the owner's
template has a typed placeholder. Off unless the sidecar's own configuration has `CommandSettings`. What
belongs to another run is never in a run's environment (L40).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from protocol.ids import RequestId
from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.contract import (
    ERROR_LENGTH_MAX,
    Answers,
    Failed,
    Finished,
    Logged,
    Order,
    Outcome,
    Proof,
    Rejection,
    Report,
    Reporter,
    Stopped,
    StopSignal,
    how_it_stopped,
)
from sidecar.runners.echo import result_too_big
from sidecar.runners.hunt import MARKER_VARIABLE
from sidecar.runners.output import OUTPUT_BYTES_MAX, Output
from sidecar.runners.placeholders import UnfitValue, check_template, filled
from sidecar.runners.process import ANSWERS, REPORT, Ended, Limits, Program, Run
from sidecar.runners.reported import Said
from sidecar.workspace import Workspace, Workspaces

TIMEOUT_MS: Final = 300_000
"""A run without a limit of its own: five minutes, as crews have."""

DESCRIPTION_IN_ENVIRONMENT_BYTES_MAX: Final = 32 * 1024
"""A longer description is on standard input only: one variable may have 128 KiB on Linux, and all share a
stack.
"""

PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ")
"""What a program finds of the sidecar's own environment unless the settings list something else."""

PLUGIN_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")

_encode = msgspec.json.Encoder().encode


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
        for name in self.environment:
            if name.startswith(("CREWHUB_", "HUB_", "SIDECAR_")):
                raise ValueError(f"{name} belongs to the sidecar: a run never sees its token")


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
            return await _Attempt(self._settings, order, report).make(
                self._program(order, argv, workspace), stop, answers
            )
        finally:
            await _remove(workspace)

    def _program(self, order: Order, argv: tuple[str, ...], workspace: Workspace) -> Program:
        return Program(
            argv=argv,
            environment=self._passed_on | _environment(order, workspace),
            cwd=self._settings.cwd or str(workspace.work),
            marker=workspace.marker,
            stdin=_task(order),
            limits=self._settings.limits,
            new_privileges=self._settings.new_privileges,
        )


def _environment(order: Order, workspace: Workspace) -> dict[str, str]:
    """What every program is given; it overrides whatever was passed on."""
    variables = {
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.tmp),
        "CREWHUB_WORKSPACE": str(workspace.root),
        MARKER_VARIABLE: workspace.marker,
        "CREWHUB_TASK_ID": order.task_id,
        "CREWHUB_GENERATION": str(order.generation),
        "CREWHUB_ATTEMPT": str(order.attempt),
        "CREWHUB_ATTEMPTS_MAX": str(order.attempts_max),
        "CREWHUB_PLUGIN": order.plugin,
        "CREWHUB_TRACE": order.trace,
        "CREWHUB_REPORT_FD": str(REPORT),
        "CREWHUB_ANSWERS_FD": str(ANSWERS),
    }
    if len(order.description.encode(errors="replace")) <= DESCRIPTION_IN_ENVIRONMENT_BYTES_MAX:
        variables["CREWHUB_DESCRIPTION"] = order.description
    return {
        name: value.replace("\0", "").encode(errors="replace").decode()
        for name, value in variables.items()
        if value is not None
    }


def _task(order: Order) -> bytes:
    """The whole order on standard input; kept steps and answers of earlier attempts included."""
    free = {"metadata": order.metadata, "inputs": order.inputs, "done": order.done, "answers": order.answers}
    return _encode(
        {
            "task_id": order.task_id,
            "generation": order.generation,
            "attempt": order.attempt,
            "attempts_max": order.attempts_max,
            "description": order.description.encode(errors="replace").decode(),
            "plugin": order.plugin,
            "time_left_ms": order.time_left_ms,
            **{name: None if text is None else msgspec.Raw(text) for name, text in free.items()},
        }
    )


async def _remove(workspace: Workspace) -> None:
    if workspace.is_small():
        workspace.remove()
    else:
        await asyncio.to_thread(workspace.remove)


class _Attempt:
    """One run of the command: what it says while it goes, and the one outcome that follows from its end
    (L73).
    """

    def __init__(self, settings: CommandSettings, order: Order, report: Reporter) -> None:
        left_ms = order.time_left_ms
        self.time_ms = settings.timeout_ms if left_ms is None else max(0, min(settings.timeout_ms, left_ms))
        self.report = report
        self.output = Output(report, settings.output_bytes_max)
        self.said = Said(order.task_id, self._hear)
        self.open_questions: set[RequestId] = set()
        self.process: Run | None = None

    async def make(self, program: Program, stop: StopSignal, answers: Answers | None) -> Outcome:
        self.process = run = Run(program, self._heard)
        try:
            await run.begin()
        except OSError as trouble:
            return Failed(error=f"no process for the run: {trouble.strerror}", cause="setup")
        run.allow(self.time_ms)
        stop.subscribe(lambda: run.end("stop", stop.grace_ms))
        if answers is not None:
            answers.subscribe(self._answer)
        ended = await run.ended()
        self.said.finish()
        self.output.finish()
        return self._outcome(ended)

    # -- while it goes

    def _heard(self, descriptor: int, piece: bytes) -> None:
        if descriptor == REPORT:
            self.said.heard(piece)
        else:
            self.output.heard(descriptor, piece)

    def _hear(self, report: Report) -> None:
        from_person = getattr(report, "request_id", None)
        if from_person is not None and self.process is not None:
            self.open_questions.add(from_person)
            self.process.allow(None)  # a person may take as long as people do
        self.report(report)

    def _answer(self, request_id: RequestId, value: bytes) -> None:
        """Hand an answer to the program. With the last open question answered, its time begins anew."""
        if self.process is None:
            return
        self.process.say(_encode({"request_id": request_id, "value": msgspec.Raw(value)}))
        if request_id in self.open_questions:
            self.open_questions.discard(request_id)
            if not self.open_questions:
                self.process.allow(self.time_ms)

    # -- the end

    def _outcome(self, ended: Ended) -> Outcome:
        if ended.why == "stop":
            return Stopped(how=how_it_stopped(ended.proof), proof=ended.proof)
        if ended.why == "refused":
            return Failed(error=ended.trouble, retryable=False, cause="setup", proof=ended.proof)
        if self.said.error is not None:
            return self._failed(ended, self.said.error)
        if ended.why == "timeout":
            return self._out_of_time(ended)
        if ended.why == "lost" or ended.signal is not None:
            return self._crashed(ended)
        if ended.exit_code != 0:
            return self._failed(ended, self._quoting(f"exited with code {ended.exit_code}"))
        return self._finished()

    def _failed(self, ended: Ended, error: str) -> Failed:
        return Failed(
            error=error[:ERROR_LENGTH_MAX],
            retryable=self.said.retryable,
            retry_after_ms=self.said.retry_after_ms,
            proof=ended.proof,
        )

    def _out_of_time(self, ended: Ended) -> Outcome:
        """A result that was reported stands: what hangs after it is only swept away (L71)."""
        if self.said.result is not None:
            self.report(
                Logged(level="warning", text="the program did not end after its result and was stopped")
            )
            return self._finished()
        error = self._in_phase(f"Workflow exceeded {self.time_ms / 1000:g}s timeout")
        return Failed(error=error, cause="timeout", proof=ended.proof)

    def _crashed(self, ended: Ended) -> Failed:
        if ended.why == "lost":
            error = "the guard of the run was killed, and the run with it"
        elif ended.signal == "SIGKILL":
            error = "ended by SIGKILL, which the sidecar did not send: perhaps out of memory"
        else:
            error = f"ended by {ended.signal}"
        return Failed(error=self._quoting(error)[:ERROR_LENGTH_MAX], cause="crash", proof=ended.proof)

    def _finished(self) -> Outcome:
        if self.said.result_bytes > RESULT_BYTES_MAX:
            return Failed(
                error=result_too_big(self.said.result_bytes), retryable=False, cause="result_too_big"
            )
        if self.said.result is not None:
            return Finished(result=self.said.result, tokens_used=self.said.tokens)
        return Finished(result=self._printed(), tokens_used=self.said.tokens)

    def _printed(self) -> bytes:
        """What was printed, as the result of a program that reports none."""
        text = bytes(self.output.kept).decode(errors="replace").replace("\0", "\ufffd")
        while True:
            cut = self.output.dropped_bytes > 0 or len(text) < len(self.output.kept) // 4
            result = _encode({"output": text, "exit_code": 0} | ({"truncated": True} if cut else {}))
            if len(result) <= RESULT_BYTES_MAX:
                return result
            text = text[: len(text) // 2]  # only control characters grow this much as JSON

    def _in_phase(self, error: str) -> str:
        return error if self.said.phase is None else f"{error} in phase: {self.said.phase}"

    def _quoting(self, error: str) -> str:
        words = self.output.last_words()
        return self._in_phase(error) + (f"; last output:\n{words}" if words else "")
