"""The `sidecar` command: connect, join, status, drain, doctor.

Owns the words of the command line and turns every `SidecarError` into its sentence and exit code. What a
command needs is imported when it runs, so that `sidecar connect --help` stays quick.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def main() -> None:
    """The console script."""
    sidecar(prog_name="sidecar")


def _say(sentence: str) -> None:
    """Notes and progress belong to standard error."""
    from console.harmless import harmless

    click.echo(harmless(sentence), err=True)


@contextmanager
def _exits() -> Iterator[None]:
    """Sentences and exit codes instead of tracebacks."""
    from console.options import OptionError
    from sidecar.errors import SidecarError

    try:
        yield
    except OptionError as error:
        _say(f"sidecar: {error}")
        sys.exit(2)
    except SidecarError as error:
        _say(f"sidecar: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _settings(config: str | None, **flags: Any) -> Any:
    from console.options import choose, config_files, read_secret
    from sidecar.settings import Settings

    token_file = flags.pop("token_file", None)
    if token_file is not None:
        flags["token"] = read_secret(Path(token_file))
    files = config_files("sidecar", None if config is None else Path(config))
    chosen = choose(Settings, prefix="SIDECAR_", flags=flags, files=files)
    for notice in chosen.notices:
        _say(f"sidecar: {notice}")
    return chosen.settings


def _named(settings: Any) -> Any:
    """The settings with the name that this machine's sidecar has when nobody gave it one."""
    from dataclasses import replace

    from sidecar.connect import default_agent_id

    return settings if settings.agent_id else replace(settings, agent_id=default_agent_id())


def _of_this_machine(function: F) -> F:
    for option in (
        click.option("--config", metavar="FILE", help="Read this file instead of ./sidecar.toml."),
        click.option("--state-dir", metavar="DIR", help="Where the journal is kept."),
        click.option(
            "--agent-id", metavar="NAME", help="The name others know this agent by [the machine's]."
        ),
    ):
        function = option(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def sidecar() -> None:
    """Take work from a hub and bring the results home."""


@sidecar.command()
@click.argument("hub_url", required=False)
@_of_this_machine
@click.option("--token-file", metavar="FILE", help="A file with the agent's token.")
@click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
@click.option("--capability", "capabilities", multiple=True, metavar="X", help="Something this agent can do.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label of this agent.")
@click.option("--slots", type=int, metavar="N", help="How many tasks at a time [1].")
@click.option("--health-port", type=int, metavar="P", help="Answer /health/live and /health/ready there.")
@click.option("--health-host", metavar="HOST", help="Listen for probes on this address [127.0.0.1].")
@click.option("--once", is_flag=True, default=None, help="Do one task and leave.")
@click.option("--wire", type=click.Choice(["json", "msgpack"]), help="How frames travel [json].")
@click.option(
    "--command", "line", metavar="LINE", help="Run this program, with its arguments, for every task."
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error [info].")
def connect(hub_url: str | None, config: str | None, line: str | None, **flags: Any) -> None:
    """Work for the hub at HUB_URL, or for the one that runs on this machine.

    \b
    sidecar connect                                    echo, for the local hub
    sidecar connect wss://hub.example.org --agent-id build-1 --token-file token
    sidecar connect --command "/usr/bin/python3 /opt/work.py"
    """
    with _exits():
        # Split here, by the owner's own hand, and never given to a shell.
        command = tuple(shlex.split(line)) if line else ()
        settings = _settings(config, hub_url=hub_url, command=command, **flags)
        from console.logs import set_up_logs
        from sidecar.connect import connect as run

        set_up_logs(settings.log_level)
        sys.exit(run(settings, _say))


@sidecar.command()
@click.argument("hub_url")
@click.argument("code")
@_of_this_machine
@click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
def join(hub_url: str, code: str, config: str | None, **flags: Any) -> None:
    """Trade the one-time CODE for this agent's own token, and keep it.

    The code is read from standard input when it is `-`.
    """
    with _exits():
        from sidecar import enrol
        from sidecar.state import StateFolder

        settings = _named(_settings(config, **flags))
        folder = StateFolder(settings.folder)
        folder.create()
        url = enrol.join(hub_url, sys.stdin.readline().strip() if code == "-" else code, settings, folder)
        _say(f"`{settings.agent_id}` has joined. Next: sidecar connect {url} --agent-id {settings.agent_id}")


@sidecar.command()
@_of_this_machine
@click.option("--json/--no-json", "as_json", default=None, help="One JSON object instead of a table.")
def status(config: str | None, as_json: bool | None, **flags: Any) -> None:
    """Show what the sidecar of this machine does, and how its last connections ended."""
    with _exits():
        from console.output import Output
        from sidecar.errors import SidecarError
        from sidecar.state import StateFolder

        settings = _named(_settings(config, **flags))
        folder = StateFolder(settings.folder)
        found = folder.kept_status()
        if found is None:
            raise SidecarError(
                f"no sidecar `{settings.agent_id}` has run here. Start it with: sidecar connect"
            )
        pid = folder.running_pid()
        if pid is None:
            found |= {"state": "stopped", "pid": None}
        output = Output(as_json=as_json)
        closes = found.pop("closes", [])
        if output.is_json:
            output.record({**found, "closes": closes})
        else:
            output.fields(found)
            if closes:
                output.line("")
                output.table(closes, ("at", "dial", "code", "side", "duration_ms", "reason"))
        if pid is None:
            sys.exit(1)


@sidecar.command()
@_of_this_machine
def drain(config: str | None, **flags: Any) -> None:
    """Tell the sidecar of this machine to finish what it has and leave."""
    with _exits():
        import os
        import signal

        from sidecar.errors import SidecarError
        from sidecar.state import StateFolder

        settings = _named(_settings(config, **flags))
        pid = StateFolder(settings.folder).running_pid()
        if not pid:
            raise SidecarError(f"no sidecar `{settings.agent_id}` runs here")
        os.kill(pid, signal.SIGTERM)
        _say(f"sidecar `{settings.agent_id}` (pid {pid}) finishes what it has and leaves")


@sidecar.command()
@click.argument("hub_url", required=False)
@_of_this_machine
@click.option("--token-file", metavar="FILE", help="A file with the agent's token.")
@click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
def doctor(hub_url: str | None, config: str | None, **flags: Any) -> None:
    """Look for what would keep a sidecar from working, and say what to do."""
    with _exits():
        from console.harmless import harmless
        from sidecar.doctor import examine

        settings = _named(_settings(config, hub_url=hub_url, **flags))
        worst = 0
        for finding in examine(settings):
            click.echo(harmless(f"{finding.word:5} {finding.sentence}"))
            worst = worst or finding.exit_code
        sys.exit(worst)


if __name__ == "__main__":
    main()
