"""The line between the registry and an inner agent: what a link is to an agent outside, without a socket.

Owns what was said and not yet heard. Implements `registry.InnerLine`.
"""

from __future__ import annotations

import asyncio

from protocol.frames import HubFrame


class Line:
    """From one identify to one end. Nothing is bounded here: the board says no more than its seats cause."""

    def __init__(self, link_id: int) -> None:
        self.link_id = link_id
        self.reason = "the hub ends"
        self._frames: asyncio.Queue[HubFrame | None] = asyncio.Queue()

    def say(self, frame: HubFrame) -> None:
        self._frames.put_nowait(frame)

    def hang_up(self, reason: str) -> None:
        self.reason = reason
        self._frames.put_nowait(None)

    async def hear(self) -> HubFrame | None:
        """What the hub says next; None when it has hung up."""
        return await self._frames.get()
