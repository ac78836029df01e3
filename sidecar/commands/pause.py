"""`sidecar pause` and `sidecar resume`: the switch of whom the machine belongs to.

Owns the words of the command line. The switch is a file in the state folder: it holds over restarts, and it
works whether a sidecar runs or not. A running one looks at it every two seconds.
"""

from __future__ import annotations

from typing import Any, Final

import click

from sidecar.commands.options import exits, named, of_this_machine, say, settings_of

PAUSE_MS_MAX: Final = 365 * 24 * 3_600_000
"""A year. Who wants longer says nothing, and then it lasts until `sidecar resume`."""


@click.command("pause")
@click.option("--for", "how_long", metavar="D", help="As 90s, 10m, 2h or 3d [until `sidecar resume`].")
@of_this_machine
def pause(config: str | None, how_long: str | None, **flags: Any) -> None:
    """Let the sidecar of this machine take no new work. What it has in hand goes on."""
    with exits():
        from sidecar.clock import SidecarClock, date_of
        from sidecar.errors import SettingsError
        from sidecar.events import Pause
        from sidecar.state import StateFolder

        settings = named(settings_of(config, **flags))
        until: int | None = None
        if how_long is not None:
            from console.values import duration_ms

            length_ms = duration_ms(how_long)
            if not 0 < length_ms <= PAUSE_MS_MAX:
                raise SettingsError("--for must be more than nothing and at most a year")
            until = SidecarClock().now().wall_ms + length_ms
        folder = StateFolder(settings.folder)
        folder.create()
        folder.keep_pause(Pause(until))
        end = "`sidecar resume`" if until is None else date_of(until)
        say(f"sidecar `{settings.agent_id}` takes no new work until {end}")


@click.command("resume")
@of_this_machine
def resume(config: str | None, **flags: Any) -> None:
    """Let the sidecar of this machine take work again. Quiet hours and limits still hold."""
    with exits():
        from sidecar.state import StateFolder

        settings = named(settings_of(config, **flags))
        if StateFolder(settings.folder).forget_pause():
            say(f"sidecar `{settings.agent_id}` takes work again")
        else:
            say(f"sidecar `{settings.agent_id}` was not paused")
