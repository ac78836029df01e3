"""Where the hub may call: nobody makes it speak with this machine or with the network behind it.

Owns the judgement of a URL and of the addresses behind its name. A name is resolved once and the connection
goes to an address that was judged: what it resolves to a moment later does not count. Never connects.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

URL_LENGTH_MAX: Final = 2_048
PORTS: Final = {"http": 80, "https": 443}

TUNNELS: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""NAT64, 6to4 and Teredo: an IPv4 address in disguise, which may be any."""

Address = IPv4Address | IPv6Address


class BadTarget(ValueError):
    """Nothing that this hub calls; the sentence says why."""


class NotResolved(OSError):
    """The name has no address now."""


class Target(Struct, frozen=True, kw_only=True):
    """A URL in its parts."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str, *, allow_private: bool) -> Target:
    """A URL that may be called as far as its text tells. Plain http only where private networks are allowed:
    there it may be all there is.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadTarget("it is no URL") from None
    if parts.scheme not in PORTS or (parts.scheme == "http" and not allow_private):
        wanted = "http or https" if allow_private else "https (or set hooks_allow_private)"
        raise BadTarget(f"its scheme must be {wanted}")
    if not parts.hostname or len(url) > URL_LENGTH_MAX or not url.isprintable():
        raise BadTarget(f"it names no host, or has more than {URL_LENGTH_MAX} characters")
    if parts.username is not None or parts.password is not None:
        raise BadTarget("it must not hold a user or a password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=parts.hostname, port=port or PORTS[parts.scheme], path=path)


def is_public(address: Address) -> bool:
    """Whether this address is one of the open Internet, whatever it is dressed as."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if (
            address.is_site_local
            or address.scope_id is not None
            or any(address in tunnel for tunnel in TUNNELS)
        ):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


async def address_of(target: Target, *, allow_private: bool) -> str:
    """The address to connect to. One bad address among several is enough to refuse: names that mix them are
    made to get through.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (OSError, UnicodeError) as error:
        raise NotResolved(f"{target.host} has no address now: {error}") from error
    addresses = [ip_address(one[4][0]) for one in found]
    if not addresses:
        raise NotResolved(f"{target.host} has no address now")
    if not allow_private and not all(map(is_public, addresses)):
        raise BadTarget(f"{target.host} lies on this machine or in a private network")
    return str(addresses[0])
