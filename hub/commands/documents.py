"""`hub openapi` and `hub asyncapi`: the documents of this version, without a running hub."""

from __future__ import annotations

import click


@click.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document of the HTTP face."""
    import msgspec

    from hub.api.documents import openapi
    from hub.api.routes import DOCUMENTED
    from hub.version import VERSION

    click.echo(msgspec.json.format(msgspec.json.encode(openapi(DOCUMENTED, VERSION)), indent=2))


@click.command("asyncapi")
def asyncapi_command() -> None:
    """Print the AsyncAPI document of the agent socket."""
    import msgspec

    from hub.api.documents import asyncapi
    from hub.version import VERSION

    click.echo(msgspec.json.format(msgspec.json.encode(asyncapi(VERSION)), indent=2))
