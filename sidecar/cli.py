"""The `sidecar` command: connect, join, work, run, plugins, status, pause, resume, drain, doctor.

Owns the words of the command line and turns every `SidecarError` into its sentence and exit code. What a
command needs is imported when it runs, so that `sidecar connect --help` stays quick.
"""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from sidecar.commands import pause, plugins, run, work
from sidecar.commands.options import exits, named, of_crews, of_owner, of_this_machine, say, settings_of


def main() -> None:
    """The console script."""
    sidecar(prog_name="sidecar")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def sidecar() -> None:
    """Take work from a hub and bring the results home."""


@sidecar.command()
@click.argument("hub_url", required=False)
@of_this_machine
@click.option("--token-file", metavar="FILE", help="A file with the agent's token.")
@click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
@click.option("--capability", "capabilities", multiple=True, metavar="X", help="Something this agent can do.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label of this agent.")
@click.option("--slots", type=int, metavar="N", help="How many tasks at a time [1].")
@click.option(
    "--slot-kind",
    "slot_kinds",
    multiple=True,
    metavar="KIND=N",
    help="Slots of a kind beside those, as gpu=1. May be given again.",
)
@of_owner
@click.option("--health-port", type=int, metavar="P", help="Answer /health/live and /health/ready there.")
@click.option("--health-host", metavar="HOST", help="Listen for probes on this address [127.0.0.1].")
@click.option("--once", is_flag=True, default=None, help="Do one task and leave.")
@click.option("--wire", type=click.Choice(["json", "msgpack"]), help="How frames travel [json].")
@click.option(
    "--command", "line", metavar="LINE", help="Run this program, with its arguments, for every task."
)
@of_crews
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error [info].")
def connect(hub_url: str | None, config: str | None, line: str | None, **flags: Any) -> None:
    """Work for the hub at HUB_URL, or for the one that runs on this machine.

    \b
    sidecar connect                                    echo, for the local hub
    sidecar connect wss://hub.example.org --agent-id build-1 --token-file token
    sidecar connect --command "/usr/bin/python3 /opt/work.py"
    sidecar connect --plugins shipped --model offline  crews, without key or network
    sidecar connect --slot-kind gpu=1 --quiet-hours 22:00-07:00 --runs-per-day 50
    """
    with exits():
        # Split here, by the owner's own hand, and never given to a shell.
        command = tuple(shlex.split(line)) if line else ()
        settings = settings_of(config, hub_url=hub_url, command=command, **flags)
        from console.logs import set_up_logs
        from sidecar.connect import connect as work

        set_up_logs(settings.log_level)
        sys.exit(work(settings, say))


@sidecar.command()
@click.argument("hub_url")
@click.argument("code")
@of_this_machine
@click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
def join(hub_url: str, code: str, config: str | None, **flags: Any) -> None:
    """Trade the one-time CODE for this agent's own token, and keep it.

    The code is read from standard input when it is `-`.
    """
    with exits():
        from sidecar import enrol
        from sidecar.state import StateFolder

        settings = named(settings_of(config, **flags))
        folder = StateFolder(settings.folder)
        folder.create()
        url = enrol.join(hub_url, sys.stdin.readline().strip() if code == "-" else code, settings, folder)
        say(f"`{settings.agent_id}` has joined. Next: sidecar connect {url} --agent-id {settings.agent_id}")


@sidecar.command()
@of_this_machine
@click.option("--json/--no-json", "as_json", default=None, help="One JSON object instead of a table.")
def status(config: str | None, as_json: bool | None, **flags: Any) -> None:
    """Show what the sidecar of this machine does, and how its last connections ended."""
    with exits():
        from console.output import Output
        from sidecar.errors import SidecarError
        from sidecar.state import StateFolder

        settings = named(settings_of(config, **flags))
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
@of_this_machine
def drain(config: str | None, **flags: Any) -> None:
    """Tell the sidecar of this machine to finish what it has and leave."""
    with exits():
        import os
        import signal

        from sidecar.errors import SidecarError
        from sidecar.state import StateFolder

        settings = named(settings_of(config, **flags))
        pid = StateFolder(settings.folder).running_pid()
        if not pid:
            raise SidecarError(f"no sidecar `{settings.agent_id}` runs here")
        os.kill(pid, signal.SIGTERM)
        say(f"sidecar `{settings.agent_id}` (pid {pid}) finishes what it has and leaves")


@sidecar.command()
@click.argument("hub_url", required=False)
@of_this_machine
@click.option("--token-file", metavar="FILE", help="A file with the agent's token.")
@click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
@of_crews
def doctor(hub_url: str | None, config: str | None, **flags: Any) -> None:
    """Look for what would keep a sidecar from working, and say what to do."""
    with exits():
        from console.harmless import harmless
        from sidecar.doctor import examine

        settings = named(settings_of(config, hub_url=hub_url, **flags))
        worst = 0
        for finding in examine(settings):
            click.echo(harmless(f"{finding.word:5} {finding.sentence}"))
            worst = worst or finding.exit_code
        sys.exit(worst)


sidecar.add_command(pause.pause)
sidecar.add_command(pause.resume)
sidecar.add_command(plugins.command)
sidecar.add_command(run.command)
sidecar.add_command(work.command)


if __name__ == "__main__":
    main()
