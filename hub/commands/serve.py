"""`hub serve`: run a hub, and say on the first screen what to do next.

Owns the first screen, and the note by which commands and sidecars of this user on this machine find the hub.
Never shows a token but the very first.
"""

from __future__ import annotations

import ipaddress
import os
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
@click.option(
    "--database", metavar="URL", help="The ledger, as sqlite:///FILE; hub.db in the state folder if left out."
)
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
@click.option("--redis", metavar="URL", help="The Redis that other services share; or REDIS_URL.")
@click.option("--plugins", multiple=True, metavar="DIR", help="Plugin folders, or `shipped`; or PLUGIN_DIR.")
@click.option("--config", "config_file", metavar="FILE", help="This file instead of ./hub.toml.")
def command(config_file: str | None, **flags: Any) -> None:
    """Run a hub. It needs nothing but a folder to write to.

    SIGTERM or Ctrl-C drains it, a second one ends it at once. Exit codes: 0 drained, 2 usage, 74 the ledger
    cannot be trusted any more, 78 it cannot start like this.
    """
    from console.logs import set_up_logs
    from hub.commands.places import read_local
    from hub.errors import ConfigurationError
    from hub.life import EXIT_CONFIGURATION
    from hub.server import serve

    output = Output()
    settings = settings_of(flags, config_file, output)
    check_exposure(settings, output)
    set_up_logs(settings.log_level)

    def ready(address: str, life: Life) -> None:
        first_screen(output, settings, address, life)

    try:
        code = serve(settings, ready, read_local().get("admin_token", ""))
    except ConfigurationError as error:
        raise CommandFailed(str(error), EXIT_CONFIGURATION) from error
    sys.exit(code)


def settings_of(flags: dict[str, Any], config_file: str | None, output: Output) -> Settings:
    from pathlib import Path

    from console.options import OptionError, choose, config_files
    from hub.errors import ConfigurationError
    from hub.settings import Settings, with_kept_names

    try:
        files = config_files("hub", Path(config_file) if config_file else None)
        environ = with_kept_names(os.environ)
        chosen = choose(Settings, prefix="HUB_", flags=flags, files=files, environ=environ)
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
            f"{settings.host} is not loopback: give --tls-cert and --tls-key, or put a TLS proxy in front and"
            " say --insecure.",
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
    here = settings.public_url or reachable(address)
    keep_for_this_user(output, settings, address, life)
    output.note(f"The hub is up: {here}   (durability: {settings.durability})")
    output.note(f"""
  The page         {here}/
  An agent         sidecar connect --agent-id alice
  A task for it    hub push alice "say hello" --watch
  A crew to try    sidecar connect --agent-id crew --plugins shipped --model offline
  The same over HTTP
    curl -H 'Authorization: Bearer <token>' -H 'Content-Type: application/json' \\
      -d '{{"agent_id":"alice","description":"say hello"}}' {here}/api/admin/push-task
""")
    if output.is_json:
        output.record({"url": here, "address": address})


def keep_for_this_user(output: Output, settings: Settings, address: str, life: Life) -> None:
    """Write down where the hub is, with the token that this start has made, or the one that is still good."""
    from hub.commands.places import local_file, read_local, write_local

    token = life.first_token or life.renewed_token or read_local().get("admin_token", "")
    # A certificate names the public host, and would not be believed for an address.
    has_name = settings.tls_cert is not None and settings.public_url
    try:
        write_local(settings.public_url if has_name else reachable(address), token)
        kept = f"commands of this user find it in {local_file()}"
    except OSError as error:
        output.note(f"! The hub's address could not be written down: {error}")
        kept = "it is kept nowhere"
    if life.first_token is not None:
        output.note(f"Admin token, shown this once ({kept}):\n\n  {life.first_token}\n")
    elif life.renewed_token is not None:
        output.note(f"Commands of this user had no valid token: a new admin token is in {local_file()}")


def reachable(address: str) -> str:
    """An address to connect to: nobody can connect to "every address"."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
