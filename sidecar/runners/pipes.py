"""The ends of a run's pipes that stay with the sidecar.

Owns what to do when bytes come or an end is closed, which is nothing but to say so. Never interprets a byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

Heard: TypeAlias = Callable[[int, bytes], None]
"""Called with the descriptor (1, 2 or 3) and what came out of it."""


class Ear(asyncio.Protocol):
    """The reading end of one pipe."""

    def __init__(self, descriptor: int, heard: Heard, closed: asyncio.Future[None]) -> None:
        self.descriptor = descriptor
        self.heard = heard
        self.closed = closed

    def data_received(self, data: bytes) -> None:
        self.heard(self.descriptor, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class Mouth(asyncio.BaseProtocol):
    """The writing end of one pipe."""

    def __init__(self) -> None:
        self.closed = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
