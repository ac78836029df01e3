"""What every command that talks to a hub takes: where it is, the token, and how to speak.

Owns the shared options and the search for a hub: flag, environment, `./hub.toml`, user config, and last
the file that a `hub serve` on this machine wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

LOCAL_HINT = "Start one with: hub serve   or name one with --hub URL and --token-file FILE"


def hub_options(function: F) -> F:
    """`--hub`, `--token-file`, `--json`, `-q` on a command."""
    decorators = (
        click.option("--hub", "hub_url", metavar="URL", help="The hub's address."),
        click.option("--token-file", metavar="FILE", help="A file with the token."),
        click.option("--json/--no-json", "as_json", default=None, help="JSON lines instead of a table."),
        click.option("-q", "--quiet", is_flag=True, help="Ids only."),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def hub_client(hub_url: str | None = None, token_file: str | None = None) -> Any:
    """The client for the hub that the person means."""
    from hub.commands.client import HubClient
    from hub.commands.places import find_hub

    place = find_hub(hub_url, token_file)
    return HubClient(place.url, place.token, ca_file=place.ca_file)
