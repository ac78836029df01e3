"""How many sockets are open, from where, and how many of them nobody has identified.

Owns the counts and the caps on them. Per-address caps do not apply to loopback or to listed proxies, behind
which everybody looks the same. Never closes a socket: whoever asks for room and gets None does.
"""

from __future__ import annotations

import ipaddress
import resource
from collections import Counter
from collections.abc import Iterable
from typing import Final

from hub.metrics import Metrics

DESCRIPTORS_SHARE: Final = 0.8
"""Of the process's file descriptors, for sockets: the rest is for the database, logs and the listening
socket."""


def sockets_max_of_process() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(soft * DESCRIPTORS_SHARE)


class Trusted:
    """Addresses to which per-address caps do not apply: loopback and the proxies that the operator lists."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(proxy, strict=False) for proxy in proxies]

    def __contains__(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return True  # a Unix socket has no address; who reaches it is on this machine
        return parsed.is_loopback or any(parsed in network for network in self._networks)


class Cap:
    """At most so many in all, and so many from one address."""

    def __init__(
        self, name: str, *, most: int, most_per_address: int, trusted: Trusted, metrics: Metrics
    ) -> None:
        self._name = name
        self._most = most
        self._most_per_address = most_per_address
        self._trusted = trusted
        self._metrics = metrics
        self._by_address: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, address: str) -> bool:
        """Whether there is room for one more; whoever entered must `leave`."""
        is_crowded = self._count >= self._most or (
            self._by_address[address] >= self._most_per_address and address not in self._trusted
        )
        if is_crowded:
            self._metrics.refused_sockets.labels(self._name).inc()
            return False
        self._count += 1
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._count -= 1
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
        assert self._count >= 0, f"more left than entered the cap on {self._name}"
