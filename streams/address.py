"""Where Redis is: a URL into what a connection needs, and into what may be shown.

Owns the forms that are accepted (plain, TLS, an ACL user, Sentinel) and the sentence that refuses another.
Pure: opens nothing. Credentials never leave it in a sentence.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

PORT: Final = 6379
SENTINEL_PORT: Final = 26379

SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")

TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Options that name a file, under the names that redis-py gave them."""

OPTIONS: Final = (*TLS_FILES, "ssl_check_hostname", "sentinel_username", "sentinel_password")


class BadAddress(ValueError):
    """The URL names no Redis that can be reached; the sentence says why, without what is secret in it."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis, or the Sentinels that know which one. `master` is set for Sentinel only."""

    hosts: tuple[tuple[str, int], ...]
    has_tls: bool = False
    master: str | None = None
    database: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    tls: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Address({self.shown})"

    @property
    def shown(self) -> str:
        """For people and logs: no user, no password."""
        scheme = ("rediss" if self.has_tls else "redis") + ("+sentinel" if self.master else "")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{scheme}://{hosts}" + (f"/{self.master}" if self.master else "") + f"/{self.database}"


def read_address(url: str) -> Address:
    """`redis[s]://[user][:password]@host:port/0`, `redis[s]+sentinel://…@host1,host2:26379/master/0`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadAddress("the Redis URL cannot be read") from None
    if parts.scheme not in SCHEMES:
        raise BadAddress(f"a Redis URL begins with one of {', '.join(f'{known}://' for known in SCHEMES)}")
    is_sentinel = parts.scheme.endswith("+sentinel")
    has_tls = parts.scheme.startswith("rediss")
    userinfo, _, places = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    hosts = _hosts(places, SENTINEL_PORT if is_sentinel else PORT)
    if len(hosts) > 1 and not is_sentinel:
        raise BadAddress("only a Sentinel URL names several hosts")
    master, database = _path(parts.path, is_sentinel)
    options = _options(parts, has_tls)
    return Address(
        hosts=hosts,
        has_tls=has_tls,
        master=master,
        database=database,
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=options.pop("sentinel_username", None),
        sentinel_password=options.pop("sentinel_password", None),
        tls=options,
    )


def _hosts(places: str, port: int) -> tuple[tuple[str, int], ...]:
    found = tuple(_host(place, port) for place in places.split(",") if place)
    if not found:
        raise BadAddress("the Redis URL names no host")
    return found


def _host(place: str, port: int) -> tuple[str, int]:
    host, separator, said = place.rpartition(":")
    if not separator or place.endswith("]"):
        host, said = place, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not said.isdecimal() or not 0 < int(said) < 65_536:
        raise BadAddress(f"`{place}` is no host with a port")
    return host, int(said)


def _path(path: str, is_sentinel: bool) -> tuple[str | None, int]:
    steps = [unquote(step) for step in path.split("/") if step]
    master = None
    if is_sentinel:
        if not steps:
            raise BadAddress("a Sentinel URL names the master: redis+sentinel://host1,host2/mymaster")
        master = steps.pop(0)
    if len(steps) > 1 or (steps and not steps[0].isdecimal()):
        raise BadAddress(f"`{path}` names no database: a number is expected")
    return master, int(steps[0]) if steps else 0


def _options(parts: SplitResult, has_tls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise BadAddress(f"the option `{name}` is not known; known are {', '.join(OPTIONS)}")
        if name.startswith("ssl_") and not has_tls:
            raise BadAddress(f"the option `{name}` needs TLS: rediss://")
        options[name] = value
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() in {"1", "true", "yes"}
    return options
