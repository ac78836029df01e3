"""Where the hub is, for commands: what the person named, or what `hub serve` on this machine wrote down.

Owns the file of the local hub (`local-hub.json` in the user's config folder, readable by that user alone). Never
connects anywhere.
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
    return {name: value for name, value in found.items() if isinstance(value, str)}


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


def find_hub(hub_url: str | None = None, token_file: str | None = None) -> Place:
    """Flag, environment, `./hub.toml`, user config, and last the local hub."""
    try:
        settings = choose(Settings, prefix="HUB_", flags={"url": hub_url}, files=config_files("hub")).settings
        token = read_secret(Path(token_file)) if token_file is not None else settings.token
    except (OptionError, ConfigurationError) as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    ca_file = str(settings.ca_file) if settings.ca_file is not None else None
    local = read_local()
    url = settings.url or local.get("hub_api_url", "")
    if not url:
        raise CommandFailed(f"No hub is known on this machine. {HINT}", Exit.UNREACHABLE)
    if not token and url.rstrip("/") == local.get("hub_api_url", "").rstrip("/"):
        token = local.get("admin_token", "")
    return Place(url.rstrip("/"), token or None, ca_file)
