"""Which pages are the hub's own.

Owns the rule by which the door of a WebSocket and the page's session judge an `Origin` (security W1, W2, B2).
Never knows who is logged in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from hub.settings import Settings


def is_secure(connection: HTTPConnection) -> bool:
    return connection.url.scheme in ("https", "wss")


def own_origins(connection: HTTPConnection, settings: Settings) -> set[str]:
    """By the host that was asked for, and by the address that the operator has named.

    A page that came over plain http is not the own page of a hub behind TLS: anybody on the way may have
    written it. The other way round is a proxy in front that does TLS and is not listed.
    """
    host = connection.headers.get("host", "")
    own = {f"https://{host}"}
    if not is_secure(connection):
        own.add(f"http://{host}")
    if settings.public_url:
        named = urlsplit(settings.public_url)
        own.add(f"{named.scheme}://{named.netloc}")
    return own


def is_own(connection: HTTPConnection, settings: Settings) -> bool:
    """Whether the request comes from the hub's own page. Programs name no page."""
    origin = connection.headers.get("origin")
    return origin is None or origin in own_origins(connection, settings)
