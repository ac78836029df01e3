"""Where the hub is, for commands: what the person named, or what `hub serve` on this machine wrote down.

Owns the file of the local hub (`local-hub.json` in the user's config folder, readable by that user alone).
Never connects anywhere.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.options import OptionError, choose, config_files, config_folder, read_secret
from console.output import CommandFailed, Exit
from hub.errors import ConfigurationError
from hub.settings import Settings

LOCAL_FILE: Final = "local-hub.json"
HINT: Final = "Start one with: hub serve   or name one with --hub URL and --token-file FILE"


@dataclass(frozen=True, slots=True)
class Place:
    """A hub and how to talk to it."""

    url: str
    token: str | None
    ca_file: str | None


def local_file() -> Path:
    return config_folder() / LOCAL_FILE


def read_local() -> dict[str, str]:
    """What the last `hub serve` of this user wrote; empty when there is none or it cannot be read."""
    try:
        found = json.loads(local_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    members = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in members if isinstance(value, str)}


def write_local(http_url: str, token: str) -> Path:
    """Let commands and sidecars of this user on this machine find the hub. Whole or not at all, 0600."""
    folder = config_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / LOCAL_FILE
    draft = path.with_suffix(f".{os.getpid()}")
    text = json.dumps(
        {
            "hub_ws_url": f"ws{http_url.removeprefix('http')}/ws",
            "hub_api_url": http_url,
            "admin_token": token,
        }
    )
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
    return path


def replace_local_token(url: str, prefix: str, token: str) -> bool:
    """Put a new token in the place of the one that begins so, if that is the one we keep for this hub."""
    local = read_local()
    if api_url(local.get("hub_api_url", "")) != url or not local.get("admin_token", "").startswith(prefix):
        return False
    write_local(local["hub_api_url"], token)
    return True


def find_hub(hub_url: str | None = None, token_file: str | None = None, ca_file: str | None = None) -> Place:
    """Flag, environment, `./hub.toml`, user config, and last the local hub."""
    flags = {"url": hub_url, "ca_file": ca_file}
    try:
        settings = choose(Settings, prefix="HUB_", flags=flags, files=config_files("hub")).settings
        token = read_secret(Path(token_file)) if token_file is not None else settings.token
    except (OptionError, ConfigurationError) as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    local = read_local()
    here = api_url(local.get("hub_api_url", ""))
    url = api_url(settings.url) or here
    if not url:
        raise CommandFailed(f"No hub is known on this machine. {HINT}", Exit.UNREACHABLE)
    if not token and url == here:
        token = local.get("admin_token", "")
    certificates = str(settings.ca_file) if settings.ca_file is not None else None
    return Place(url, token or None, certificates)


def api_url(url: str) -> str:
    """The address of the HTTP API, from whatever form of the hub's address somebody gave."""
    if not url:
        return ""
    scheme, colon, rest = url.rpartition("://")
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme) if colon else "http"
    return f"{scheme}://{rest.rstrip('/').removesuffix('/ws')}"
