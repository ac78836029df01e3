"""`hub config show`: every setting, its value and where it comes from."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any, Final

import click

from console.output import CommandFailed, Exit, Output

SECRET: Final = frozenset({"token", "redis", "hooks", "calls"})
"""Shown as set or not: they are secrets, or may hold one."""


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("show")
@click.option("--config", "config_file", metavar="FILE", help="This file instead of ./hub.toml.")
@click.option("--json/--no-json", "as_json", default=None, help="JSON lines instead of a table.")
def show(config_file: str | None, as_json: bool | None) -> None:
    """Print every setting with its origin: flag, environment, file or default."""
    from pathlib import Path

    from console.options import OptionError, choose, config_files
    from hub.errors import ConfigurationError
    from hub.settings import Settings, with_kept_names

    output = Output(as_json)
    try:
        files = config_files("hub", Path(config_file) if config_file else None)
        chosen = choose(Settings, prefix="HUB_", files=files, environ=with_kept_names(os.environ))
    except (OptionError, ConfigurationError) as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    for notice in chosen.notices:
        output.note(f"! {notice}")
    rows: list[dict[str, Any]] = [
        {
            "setting": field.name,
            "value": shown(field.name, getattr(chosen.settings, field.name)),
            "origin": chosen.origins[field.name],
        }
        for field in fields(Settings)
    ]
    output.rows(rows, ("setting", "value", "origin"), key="setting")


def shown(name: str, value: object) -> object:
    if name in SECRET:
        return "(set)" if value else ""
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, int | str | bool | None) else str(value)
