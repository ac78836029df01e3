"""`sidecar run PLUGIN`: one run of a crew, here and now, without a hub.

Owns the order that the command line describes, the two ways of Ctrl-C, and the exit code. The run itself is
the same as any that a hub asks for: the same runner, process, limits and proof. Keeps nothing: its folder is
gone when it ends.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import Exit, Output
from sidecar.commands.options import exits, of_crews, settings_of, with_config

if TYPE_CHECKING:
    from plugins.contract import Plugin
    from sidecar.commands.voice import Voice
    from sidecar.runners.contract import Order, Outcome, StopSignal
    from sidecar.settings import Settings

TASK_ID_BYTES: Final = 8

NO_MODEL: Final = "no model is set. Try: --model offline   or set SIDECAR_MODEL and SIDECAR_MODEL_KEY_FILE"


@click.command("run")
@click.argument("plugin", metavar="PLUGIN")
@click.argument("text", required=False)
@click.option("--input", "pairs", multiple=True, metavar="K=V", help="One input of the plugin.")
@click.option("--inputs", "whole", metavar="JSON|@FILE", help="All inputs of the plugin.")
@click.option("--timeout", metavar="10m", help="How long it may take [5m].")
@of_crews
@click.option("--json/--no-json", "as_json", default=None, help="The result as one line of JSON.")
@click.option("-q", "--quiet", is_flag=True, help="The result and nothing else.")
@with_config
def command(
    plugin: str,
    text: str | None,
    pairs: tuple[str, ...],
    whole: str | None,
    timeout: str | None,
    config: str | None,
    as_json: bool | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Run PLUGIN once, here and without a hub. TEXT may be - for standard input or @file.

    \b
    sidecar run daily-news-digest --model offline --input topics='["space"]'
    Exit codes: 0 complete, 1 failed, 2 usage, 3 told to stop, 7 it asks and nobody answers, 124 timed out,
    130 Ctrl-C.
    """
    with exits():
        from console.values import duration_ms, inputs_of, text_of

        settings = settings_of(config, **flags)
        if timeout is not None:
            settings = replace(settings, crew_timeout_ms=duration_ms(timeout))
        inputs = inputs_of(pairs, whole) or {}
        output = Output(as_json=as_json, quiet=quiet)
        os.umask(0o077)
        with tempfile.TemporaryDirectory(prefix="crewhub-run-") as folder:
            sys.exit(once(settings, Path(folder), plugin, text_of(text or ""), inputs, output))


def once(
    settings: Settings, folder: Path, name: str, text: str, inputs: dict[str, Any], output: Output
) -> Exit:
    """Find the plugin, judge its inputs, run it."""
    import msgspec

    from plugins import keys
    from plugins.settings import UnfitSettings, check_settings
    from protocol.ids import Generation, TaskId
    from sidecar.commands.voice import Voice
    from sidecar.errors import SettingsError
    from sidecar.runners.contract import Order
    from sidecar.runners.credentials import MODEL

    found = plugin_called(name, settings)
    try:
        check_settings(found, inputs, text)
    except UnfitSettings as error:
        raise SettingsError(str(error)) from error
    if not settings.model and MODEL not in keys.split(inputs)[1]:
        raise SettingsError(NO_MODEL)
    order = Order(
        task_id=TaskId(f"task-{secrets.token_hex(TASK_ID_BYTES)}"),
        generation=Generation(1),
        description=text,
        plugin=name,
        inputs=msgspec.json.encode(inputs),
    )
    with Voice(output) as voice:
        return asyncio.run(perform(settings, folder, found, order, voice))


def plugin_called(name: str, settings: Settings) -> Plugin:
    """The plugin of that name; or the reason why it is broken, and not that it is missing (L83)."""
    from plugins.loader import find
    from sidecar.errors import SettingsError, SidecarError
    from sidecar.plugins_at_hand import folders_of, need_crewai
    from sidecar.settings import SHIPPED

    need_crewai()
    found = find(folders_of(settings.plugins or (SHIPPED,)))
    if name in found.plugins:
        return found.plugins[name]
    for trouble in found.troubles:
        if Path(trouble.folder).name == name:
            raise SidecarError(trouble.sentence)
    there = ", ".join(sorted(found.plugins)) or "no plugin at all"
    raise SettingsError(f"Plugin crew not found: {name}. There is {there}; see sidecar plugins")


async def perform(settings: Settings, folder: Path, plugin: Plugin, order: Order, voice: Voice) -> Exit:
    """Import the plugin, run it, and let nothing of it live on."""
    from sidecar.clock import SidecarClock
    from sidecar.equipment import Shell, crews_of
    from sidecar.runners.contract import StopSignal
    from sidecar.workspace import Workspaces

    alone = replace(settings, plugins=(str(plugin.folder),))
    shell = Shell(folder, os.environ, SidecarClock(), voice.remark)
    at_hand, runner = crews_of(alone, Workspaces(folder), shell)
    stop = StopSignal()
    with interrupted(stop, voice) as loading:
        try:
            loading.append(asyncio.current_task())
            await at_hand.begin()
            loading.clear()
            voice.begin()
            outcome = await runner.run(order, voice.report, stop, voice.listen_for(stop))
        except asyncio.CancelledError:
            return Exit.INTERRUPTED
        finally:
            await at_hand.close()
    return ended(outcome, voice)


@contextmanager
def interrupted(stop: StopSignal, voice: Voice) -> Iterator[list[Any]]:
    """Ctrl-C stops the run and waits for the proof; once more kills it. Whatever is in the list is cancelled
    instead: there is no run yet.
    """
    from protocol.limits import CANCEL_GRACE_MS

    loop = asyncio.get_running_loop()
    loading: list[asyncio.Task[Any]] = []

    def asked(number: signal.Signals) -> None:
        voice.interrupted_by = voice.interrupted_by or number
        if loading:
            loading.pop().cancel()
            return
        voice.remark("killing it" if stop.is_set else "stopping it; once more kills it")
        stop.set("cancel", 0 if stop.is_set else CANCEL_GRACE_MS)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked, number)
    try:
        yield loading
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def ended(outcome: Outcome, voice: Voice) -> Exit:
    """Say how it ended, and with which number."""
    from sidecar.runners.contract import Failed, Finished

    voice.say_outcome(outcome)
    if isinstance(outcome, Finished):
        return Exit.COMPLETE
    if isinstance(outcome, Failed):
        return Exit.TIMED_OUT if outcome.cause == "timeout" else Exit.FAILED
    if voice.is_unanswered:
        return Exit.INPUT_REQUIRED
    return Exit.INTERRUPTED if voice.interrupted_by == signal.SIGINT else Exit.CANCELLED
