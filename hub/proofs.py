"""What shows that a peer has read what was said to it: the pong to a ping that was sent behind it.

Owns the numbers of such pings, and who waits for which. Any WebSocket client gives the pong by itself, in its
turn: a frame is read, and then what came after it. Never writes: the link sends the pings.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Proofs:
    """Of one link."""

    __slots__ = ("_asked", "_count", "unasked")

    def __init__(self) -> None:
        self.unasked: list[asyncio.Future[bool]] = []
        """Waiting for a ping that could not be sent yet: the peer does not read."""
        self._asked: deque[tuple[bytes, asyncio.Future[bool]]] = deque()
        self._count = 0

    def due(self, *, is_over: bool) -> asyncio.Future[bool]:
        """Somebody wants to know whether all that was said until now is read."""
        proof: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if is_over:
            proof.set_result(False)
        else:
            self.unasked.append(proof)
        return proof

    def ask(self) -> bytes:
        """What the ping carries for all who wait."""
        self._count += 1
        data = b"read-%d" % self._count
        self._asked += [(data, proof) for proof in self.unasked]
        self.unasked.clear()
        return data

    def hear(self, pong: bytes) -> None:
        """A pong: also what was asked before it is answered, since a peer may answer only the newest ping."""
        if all(data != pong for data, _ in self._asked):
            return
        is_found = False
        while self._asked and (not is_found or self._asked[0][0] == pong):
            data, proof = self._asked.popleft()
            is_found = is_found or data == pong
            _settle(proof, is_read=True)

    def give_up(self) -> None:
        """The link is over: nobody will ever know."""
        for proof in (*self.unasked, *(proof for _, proof in self._asked)):
            _settle(proof, is_read=False)
        self.unasked.clear()
        self._asked.clear()


def _settle(proof: asyncio.Future[bool], *, is_read: bool) -> None:
    if not proof.done():
        proof.set_result(is_read)
