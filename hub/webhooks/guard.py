"""Where the hub may call: nobody makes it speak with this machine or with the network behind it.

Owns the judgement of a URL and of the addresses behind its name. A name is resolved once and the connection
goes to an address that was judged: what it resolves to a moment later does not count. Never connects.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

URL_LENGTH_MAX: Final = 2_048
PORTS: Final = {"http": 80, "https": 443}

TUNNELS: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""NAT64, 6to4 and Teredo: an IPv4 address in disguise, which may be any."""

CLOSED: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")))
"""Which Python calls global, all or in part: two that the IETF keeps for itself (a cloud answers machines of
its own at 192.0.0.192), the agent of another cloud beside each machine, and addresses for documents."""

RESOLVERS_MAX: Final = 64
"""Names looked up at once. A lookup that hangs holds its thread for longer than anybody waits for it: twice
as many as calls, so that whoever has a name that is answered does not wait for one that is not."""

RESOLVERS: Final = ThreadPoolExecutor(RESOLVERS_MAX, "names")

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
    try:
        host = parts.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadTarget("its host is no name that there can be") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port or PORTS[parts.scheme], path=path)


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
    if any(address in network for network in CLOSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


async def address_of(target: Target, *, allow_private: bool) -> str:
    """The address to connect to. One bad address among several is enough to refuse: names that mix them are
    made to get through.
    """
    try:
        found = await asyncio.get_running_loop().run_in_executor(RESOLVERS, look_up, target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise NotResolved(f"{target.host} has no address now: {error}") from error
    addresses = [ip_address(one[4][0]) for one in found]
    if not addresses:
        raise NotResolved(f"{target.host} has no address now")
    if not allow_private and not all(map(is_public, addresses)):
        raise BadTarget(f"{target.host} lies on this machine or in a private network")
    return str(addresses[0])
