"""What every command that talks to a hub takes: where it is, the token, and how to speak.

Owns the shared options and how they open a voice and a client. Imports neither before a command runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console.output import Output

if TYPE_CHECKING:
    from hub.commands.client import HubClient

F = TypeVar("F", bound=Callable[..., Any])


def hub_options(function: F) -> F:
    """`--hub`, `--token-file`, `--ca-file`, `--json`, `-q` on a command, which passes them to `opened`."""
    decorators = (
        click.option("--hub", "hub_url", metavar="URL", help="The hub's address."),
        click.option("--token-file", metavar="FILE", help="A file with the token."),
        click.option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's."),
        click.option("--json/--no-json", "as_json", default=None, help="JSON lines instead of a table."),
        click.option("-q", "--quiet", is_flag=True, help="Ids only."),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def opened(where: dict[str, Any]) -> tuple[Output, HubClient]:
    """A command's voice, and the client for the hub that the person means."""
    from hub.commands.client import HubClient
    from hub.commands.places import find_hub

    output = Output(where["as_json"], where["quiet"])
    place = find_hub(where["hub_url"], where["token_file"], where["ca_file"])
    return output, HubClient(place.url, place.token, ca_file=place.ca_file)
