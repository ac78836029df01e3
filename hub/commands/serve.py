"""`hub serve`: run a hub, and say on the first screen what to do next."""

from __future__ import annotations

import ipaddress
import sys
from typing import TYPE_CHECKING, Any

import click

from console.output import CommandFailed, Exit, Output

if TYPE_CHECKING:
    from hub.life import Life
    from hub.settings import Settings


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Where to listen (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Which port (4000); 0 lets the system choose.")
@click.option("--database", metavar="URL", help="The ledger; a SQLite file in the state folder if left out.")
@click.option("--state-dir", metavar="DIR", help="Folder of ledger and secrets.")
@click.option(
    "--durability", type=click.Choice(["full", "normal"]), help="normal survives kill -9, not power loss."
)
@click.option("--public-url", metavar="URL", help="How clients reach this hub.")
@click.option("--tls-cert", metavar="FILE")
@click.option("--tls-key", metavar="FILE")
@click.option("--trusted-proxy", "trusted_proxies", multiple=True, metavar="ADDRESS")
@click.option("--allow-origin", "allowed_origins", multiple=True, metavar="ORIGIN")
@click.option("--insecure", is_flag=True, default=None, help="Plain http beyond this machine.")
@click.option("--config", "config_file", metavar="FILE", help="This file instead of ./hub.toml.")
def command(config_file: str | None, **flags: Any) -> None:
    """Run a hub. It needs nothing but a folder to write to."""
    from console.logs import set_up_logs
    from hub.server import serve

    output = Output()
    settings = settings_of(flags, config_file, output)
    check_exposure(settings, output)
    set_up_logs(settings.log_level)

    def ready(address: str, life: Life) -> None:
        first_screen(output, settings, address, life)

    sys.exit(serve(settings, ready))


def settings_of(flags: dict[str, Any], config_file: str | None, output: Output) -> Settings:
    from pathlib import Path

    from console.options import OptionError, choose, config_files
    from hub.errors import ConfigurationError
    from hub.settings import Settings

    try:
        files = config_files("hub", Path(config_file) if config_file else None)
        chosen = choose(Settings, prefix="HUB_", flags=flags, files=files)
    except (OptionError, ConfigurationError) as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    for notice in chosen.notices:
        output.note(f"! {notice}")
    return chosen.settings


def check_exposure(settings: Settings, output: Output) -> None:
    """Tokens in plain http beyond this machine are for everybody to read: only on demand (security W10)."""

    if settings.tls_cert is not None or is_loopback(settings.host):
        return
    if not settings.insecure:
        raise CommandFailed(
            f"{settings.host} is not loopback: give --tls-cert and --tls-key, or put a TLS proxy in front and "
            "say --insecure.",
            Exit.USAGE,
        )
    output.note("! --insecure: tokens and tasks travel in plain http. Only behind a TLS proxy.")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def first_screen(output: Output, settings: Settings, address: str, life: Life) -> None:
    """Where the hub is, and the next commands. The token is shown in the very first start only."""
    from hub.commands.places import read_local, write_local

    here = settings.public_url or address
    token = life.first_token
    if token is not None:
        write_local(address, token)
        output.note(f"Admin token (shown once, kept for commands of this user on this machine):\n  {token}")
    elif read_local().get("admin_token"):
        write_local(address, read_local()["admin_token"])
    output.note(f"The hub is up: {here}   (page: {here}/   durability: {settings.durability})")
    output.note("Next:")
    output.note("  sidecar connect --agent-id alice")
    output.note('  hub push alice "say hello" --watch')
    output.note(
        f"  curl -H 'Authorization: Bearer <token>' -d "
        f'\'{{"agent_id":"alice","description":"say hello"}}\' {here}/api/admin/push-task'
    )
    if output.is_json:
        output.record({"url": here, "address": address})
