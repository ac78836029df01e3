"""What the commands of `sidecar` share: where settings come from, how errors end, the flags for crews.

Owns the order flag > environment > file, and the exit code of every error of ours. Imports late: whoever asks
for `--help` pays for click alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from sidecar.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

SECRET_FILES: Final = {"token_file": "token", "model_key_file": "model_key", "search_key_file": "search_key"}
"""Flags that name a file with a secret, and the setting that it is."""


def say(sentence: str) -> None:
    """Notes and progress belong to standard error."""
    from console.harmless import harmless

    click.echo(harmless(sentence), err=True)


@contextmanager
def exits() -> Iterator[None]:
    """Sentences and exit codes instead of tracebacks."""
    from console.options import OptionError
    from sidecar.errors import SidecarError

    try:
        yield
    except OptionError as error:
        say(f"sidecar: {error}")
        sys.exit(2)
    except SidecarError as error:
        say(f"sidecar: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def settings_of(config: str | None, **flags: Any) -> Settings:
    """All settings, from wherever each is said."""
    from console.options import choose, config_files, read_secret
    from sidecar.settings import Settings, with_kept_names

    for flag, name in SECRET_FILES.items():
        file = flags.pop(flag, None)
        if file is not None:
            flags[name] = read_secret(Path(file))
    files = config_files("sidecar", None if config is None else Path(config))
    environ = with_kept_names(os.environ)
    chosen = choose(Settings, prefix="SIDECAR_", flags=flags, files=files, environ=environ)
    for notice in chosen.notices:
        say(f"sidecar: {notice}")
    return chosen.settings


def named(settings: Settings) -> Settings:
    """The settings with the name that this machine's sidecar has when nobody gave it one."""
    from dataclasses import replace

    from sidecar.connect import default_agent_id

    return settings if settings.agent_id else replace(settings, agent_id=default_agent_id())


def with_config(function: F) -> F:
    """The file that a command reads."""
    return click.option("--config", metavar="FILE", help="Read this file instead of ./sidecar.toml.")(
        function
    )


def of_this_machine(function: F) -> F:
    """Which of this machine's sidecars is meant."""
    for option in (
        click.option("--state-dir", metavar="DIR", help="Where the journal is kept."),
        click.option(
            "--agent-id", metavar="NAME", help="The name others know this agent by [the machine's]."
        ),
    ):
        function = option(function)
    return with_config(function)


def of_owner(function: F) -> F:
    """The rules of whom the machine belongs to."""
    for option in (
        click.option(
            "--load-max", type=float, metavar="X", help="Take no work above this load average per core."
        ),
        click.option("--run-minutes-max", type=int, metavar="N", help="No run may take longer."),
        click.option("--runs-per-day", type=int, metavar="N", help="Begin at most N runs in 24 hours."),
        click.option("--runs-per-hour", type=int, metavar="N", help="Begin at most N runs in an hour."),
        click.option("--time-zone", metavar="ZONE", help="Whose hours are meant [the machine's]."),
        click.option(
            "--quiet-hours",
            multiple=True,
            metavar="WINDOW",
            help="No new work then: 22:00-07:00, or mon-fri 09:00-17:00. May be given again.",
        ),
    ):
        function = option(function)
    return function


def of_plugins(function: F) -> F:
    """Which plugins are meant."""
    return click.option(
        "--plugins",
        multiple=True,
        metavar="DIR",
        help="A folder of plugins; `shipped`: those that come along. May be given again.",
    )(function)


def of_crews(function: F) -> F:
    """How crews do their work."""
    for option in (
        click.option(
            "--crew-start", type=click.Choice(["warm", "cold"]), help="Fork runs, or start each [warm]."
        ),
        click.option("--search-key-file", metavar="FILE", help="A file with the search service's key."),
        click.option("--model-key-file", metavar="FILE", help="A file with the model's key."),
        click.option(
            "--model", metavar="NAME", help="The crews' model; `offline` needs neither key nor network."
        ),
    ):
        function = option(function)
    return of_plugins(function)
