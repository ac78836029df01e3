"""`hub token`: create, list, rotate, revoke.

Owns the words of the group, and what follows for this machine: whoever rotates the token that commands here
use goes on with the new one. A token is shown once, by the command that made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from console.output import CommandFailed, Exit, Output
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from hub.commands.client import HubClient

COLUMNS: Final = ("token_id", "role", "agent_id", "label", "prefix", "expires_at", "last_used_at")
ROLES: Final = ("admin", "dispatcher", "viewer", "agent", "join")


@click.group("token")
def command() -> None:
    """Make, list, rotate and revoke tokens."""


@command.command("create")
@click.option("--role", type=click.Choice(ROLES), default="agent", show_default=True)
@click.option("--agent-id", metavar="AGENT", help="The agent that may connect with it (for join: a pattern).")
@click.option("--label", help="What it is for.")
@click.option("--expires", metavar="30d", help="How long it is good.")
@click.option("--agents", "agent_patterns", multiple=True, metavar="PATTERN", help="Push to these only.")
@click.option("--plugins", "plugin_patterns", multiple=True, metavar="PATTERN", help="Push these only.")
@hub_options
def create(expires: str | None, **options: Any) -> None:
    """Make a token. It is shown once."""
    from console.values import duration_ms

    members = ("role", "agent_id", "label", "agent_patterns", "plugin_patterns")
    body = {name: options[name] for name in members if options[name]}
    if expires:
        body["expires_in_ms"] = duration_ms(expires)
    output, client = opened(options)
    with client:
        told = client.post("/admin/tokens", body)
        say_new(output, told)
        if told["role"] == "join" and not output.is_json and not output.quiet:
            output.note(f"Next, on the agent's machine: sidecar join {client.url} {told['token']}")


def say_new(output: Output, told: dict[str, Any]) -> None:
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


@command.command("rotate")
@click.argument("token_id", metavar="TOKEN_ID|AGENT")
@click.option("--expires", metavar="30d", help="How long the new one is good (as long as the old one was).")
@hub_options
def rotate(token_id: str, expires: str | None, **where: Any) -> None:
    """Make a token that may do what the old one may. The old one stays valid until it is revoked."""
    from console.values import duration_ms
    from hub.commands.places import replace_local_token

    output, client = opened(where)
    with client:
        old = the_token(client, token_id)
        members = ("role", "agent_id", "label", "agent_patterns", "plugin_patterns")
        body = {name: old[name] for name in members if old[name]}
        body["expires_in_ms"] = duration_ms(expires) if expires else old["expires_at"] - old["created_at"]
        told = client.post("/admin/tokens", body)
        say_new(output, told)
        if replace_local_token(client.url, old["prefix"], told["token"]):
            output.note("Commands of this user on this machine use the new one from now on.")
    output.note(f"When the new one is in use everywhere: hub token revoke {old['token_id']}")


def the_token(client: HubClient, name: str) -> dict[str, Any]:
    """The valid token of that id, or the newest of that agent."""
    found: list[dict[str, Any]] = [
        one for one in client.get("/admin/tokens")["tokens"] if name in (one["token_id"], one["agent_id"])
    ]
    if not found:
        raise CommandFailed(f"No valid token is called {name}. See: hub token list", Exit.NOT_FOUND)
    return max(found, key=lambda one: one["created_at"])


@command.command("revoke")
@click.argument("token_id", metavar="TOKEN_ID|AGENT")
@hub_options
def revoke(token_id: str, **where: Any) -> None:
    """Revoke a token, or all of an agent; live sockets of it close."""
    output, client = opened(where)
    with client:
        told = client.delete(f"/admin/tokens/{token_id}")
    output.rows([{"token_id": token_id, **told}], ("token_id", "status"), key="token_id")
