"""How a sidecar gets its token: it was given one, keeps one, joins with a code, or asks the local hub.

Owns the few HTTP requests before there is a link, and the file by which a `hub serve` of the same user is
found. Never follows a redirect, never sends a token to a hub that did not give it, never shows one.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from console.options import config_folder
from protocol.codec import Wire
from sidecar.errors import HubUnreachable, NotAuthorised, SettingsError, SidecarError, StateError
from sidecar.line import Place
from sidecar.settings import Settings, http_url, websocket_url
from sidecar.state import KeptToken, StateFolder

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 64 * 1024

NO_HUB: Final = (
    "no hub is named and none runs on this machine. Start one with: hub serve   or name one:"
    " sidecar connect wss://hub.example.org --token-file FILE"
)


class LocalHub(msgspec.Struct, frozen=True):
    """What `hub serve` wrote for the programs of the same user."""

    hub_ws_url: str
    hub_api_url: str
    admin_token: str


class _Enrolled(msgspec.Struct, frozen=True):
    token: str
    agent_id: str | None = None
    hub_ws_url: str | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def local_hub() -> LocalHub | None:
    """The hub that a `hub serve` of this user has written down, if any."""
    path = config_folder() / "local-hub.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalHub)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error


def find_place(settings: Settings, folder: StateFolder) -> Place:
    """Where the hub is and the token for it: what was set, what was kept, or what the local hub gives now."""
    here = local_hub()
    if not settings.hub_url and here is None:
        raise HubUnreachable(NO_HUB)
    url = websocket_url(settings.hub_url or (here.hub_ws_url if here is not None else ""))
    is_here = here is not None and websocket_url(here.hub_ws_url) == url
    token = settings.token
    if not token:
        kept = folder.kept_token()
        if kept is not None and kept.hub_url == url:
            token = kept.token
        elif here is not None and is_here:
            token = ask_local_hub(here, settings, folder)
        else:
            raise NotAuthorised(
                f"no token for {url}: give one with --token-file FILE or SIDECAR_TOKEN_FILE, or join with"
                f" a code: sidecar join {url} CODE"
            )
    wire = Wire.MSGPACK if settings.wire == "msgpack" else Wire.JSON
    return Place(url, token, settings.ca_file, wire)


def ask_local_hub(here: LocalHub, settings: Settings, folder: StateFolder) -> str:
    """Ask the hub of this machine for an agent's token, once, and keep it."""
    given = _post(
        f"{here.hub_api_url.rstrip('/')}/admin/tokens",
        {"agent_id": settings.agent_id, "role": "agent"},
        {"Authorization": f"Bearer {here.admin_token}"},
        settings.ca_file,
    )
    folder.keep_token(KeptToken(websocket_url(here.hub_ws_url), given.token))
    return given.token


def join(hub_url: str, code: str, settings: Settings, folder: StateFolder) -> str:
    """Trade a one-time code for a token of our own, and keep it. Returns the hub's address."""
    url = websocket_url(hub_url)
    given = _post(
        f"{http_url(url)}/api/onboard/register",
        {"agent_id": settings.agent_id},
        {"Authorization": f"Bearer {code}"},
        settings.ca_file,
    )
    folder.keep_token(KeptToken(url, given.token))
    return url


def _post(url: str, body: Mapping[str, str], headers: Mapping[str, str], ca_file: Path | None) -> _Enrolled:
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    openers: list[urllib.request.BaseHandler] = [_NoRedirect(), urllib.request.HTTPSHandler(context=context)]
    if parts.hostname in ("127.0.0.1", "::1", "localhost"):
        openers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310  websocket_url has let only http and https through
        url,
        data=msgspec.json.encode(body),
        headers={**headers, "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(*openers).open(request, timeout=TIMEOUT_S) as answer:
            return msgspec.json.decode(answer.read(ANSWER_BYTES_MAX), type=_Enrolled)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error.code, body["agent_id"]) from None
    except (OSError, ValueError) as error:
        raise HubUnreachable(f"no hub answers at {url}: {getattr(error, 'reason', error)}") from error


def _refused(url: str, status: int, agent_id: str) -> SidecarError:
    if status in (401, 403):
        return NotAuthorised(f"the hub at {url} does not accept this code or token (HTTP {status})")
    if status == 409:
        return NotAuthorised(
            f"`{agent_id}` is registered already: choose another --agent-id, or use its token"
        )
    if status in (400, 422):
        return SettingsError(f"the hub at {url} does not accept the name `{agent_id}` (HTTP {status})")
    return HubUnreachable(f"the hub at {url} answered HTTP {status}")
