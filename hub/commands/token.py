"""`hub token`: create, list, revoke."""

from __future__ import annotations

from typing import Any

import click

from hub.commands.options import hub_options
from hub.commands.tasks import opened

COLUMNS = ("token_id", "role", "agent_id", "label", "prefix", "expires_at")


@click.group("token")
def command() -> None:
    """Make, list and revoke tokens."""


@command.command("create")
@click.option(
    "--role",
    type=click.Choice(["admin", "dispatcher", "viewer", "agent", "join"]),
    default="agent",
    show_default=True,
)
@click.option("--agent-id", help="The agent that may connect with it (for join: a pattern).")
@click.option("--label", help="What it is for.")
@click.option("--expires", metavar="30d", help="How long it is good.")
@hub_options
def create(role: str, agent_id: str | None, label: str | None, expires: str | None, **where: Any) -> None:
    """Make a token. It is shown once."""
    from hub.commands.push import duration_ms

    output, client = opened(where)
    body = {
        "role": role,
        "agent_id": agent_id,
        "label": label,
        "expires_in_ms": duration_ms(expires) if expires else None,
    }
    with client:
        told = client.post(
            "/admin/tokens", {name: value for name, value in body.items() if value is not None}
        )
    if output.quiet:
        output.line(told["token"])
    else:
        output.fields(told)


@command.command("list")
@hub_options
def list_tokens(**where: Any) -> None:
    """List tokens; only their first characters are known."""
    output, client = opened(where)
    with client:
        output.rows(client.get("/admin/tokens")["tokens"], COLUMNS, key="token_id")


@command.command("revoke")
@click.argument("token_id", metavar="TOKEN_ID|AGENT_ID")
@hub_options
def revoke(token_id: str, **where: Any) -> None:
    """Revoke a token, or all of an agent; live sockets of it close."""
    output, client = opened(where)
    with client:
        output.rows(
            [client.delete(f"/admin/tokens/{token_id}") | {"token_id": token_id}],
            ("token_id", "status"),
            key="token_id",
        )
