"""Clients of the agent socket that tests drive by hand: raw WebSockets, frames as plain objects.

Owns dialling, saying and hearing. Knows none of our frame types on purpose: a client in another language
would not.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

Said = dict[str, Any]

PATIENCE_S = 60.0


class Peer:
    """One WebSocket to a hub."""

    dialled: ClassVar[list[Peer]] = []
    """Every peer of the test that runs, so that none outlives it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.waiting: deque[Said] = deque()
        self.messages = 0
        """WebSocket messages heard, however many frames each had."""

    @classmethod
    async def dial(
        cls,
        url: str,
        *,
        token: str | None = None,
        subprotocols: Iterable[str] = (),
        origin: str | None = None,
    ) -> Self:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        wanted = [Subprotocol(name) for name in subprotocols]
        socket = await connect(
            f"{url}/ws",
            additional_headers=headers,
            subprotocols=wanted or None,
            origin=origin,  # type: ignore[arg-type]  # websockets has a NewType for it
            compression=None,
            ping_interval=None,
            max_size=None,
        )
        peer = cls(socket)
        Peer.dialled.append(peer)
        return peer

    async def say(self, *frames: Said) -> None:
        """One message; several frames travel as an array."""
        await self.socket.send(json.dumps(frames[0] if len(frames) == 1 else list(frames)))

    async def hear(self, *kinds: str) -> Said:
        """The next frame of one of these types, or of any; others before it are thrown away."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self.waiting:
                    frame = self.waiting.popleft()
                    if not kinds or frame["type"] in kinds:
                        return frame
                message = await self.socket.recv()
                self.messages += 1
                found = json.loads(message)
                self.waiting.extend(found if isinstance(found, list) else [found])

    async def hear_nothing_but(self, *kinds: str) -> None:
        """Ping, and hear that nothing else comes before the pong."""
        await self.say({"type": "ping"})
        while (frame := await self.hear())["type"] != "pong":
            assert frame["type"] in kinds, f"unexpected {frame}"

    async def closed(self) -> tuple[int, str]:
        """The code and reason with which the hub closes; frames before that are kept."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    message = await self.socket.recv()
                    found = json.loads(message)
                    self.waiting.extend(found if isinstance(found, list) else [found])
        except websockets.ConnectionClosed:
            pass
        return self.socket.close_code or 1006, self.socket.close_reason or ""

    async def hang_up(self) -> None:
        await self.socket.close()

    def vanish(self) -> None:
        """Reset the connection without a goodbye."""
        self.socket.transport.abort()

    @staticmethod
    async def end_all() -> None:
        """Reset whatever is still open."""
        while Peer.dialled:
            peer = Peer.dialled.pop()
            peer.vanish()
            await peer.socket.wait_closed()


class V2Peer(Peer):
    """A client that numbers its facts."""

    seq = 0

    async def identify(self, agent_id: str, **more: Any) -> Said:
        frame = {
            "type": "identify",
            "agent_id": agent_id,
            "protocol_version": 2,
            "instance_id": f"instance-of-{agent_id}",
            "boot_id": "boot-1",
            "connection": 1,
            "seq_next": self.seq + 1,
            "slots": 1,
            **more,
        }
        await self.say(frame)
        return await self.hear("identified", "error")

    def fact(self, type: str, assigned: Said, **more: Any) -> Said:  # noqa: A002 - the wire's own name
        """A numbered fact about an assigned task."""
        self.seq += 1
        return {
            "type": type,
            "task_id": assigned["task_id"],
            "generation": assigned["generation"],
            "seq": self.seq,
            **more,
        }

    async def work(self, assigned: Said, result: Any = None) -> Said:
        """Accept and complete; the last receipt."""
        await self.say(
            self.fact("task_accepted", assigned), self.fact("task_complete", assigned, result=result)
        )
        accepted = await self.hear("task_ack")
        assert accepted["status"] == "accepted", accepted
        return await self.hear("task_ack")


class V1Peer(Peer):
    """A client as they are in the wild: one frame a message, no numbers, the token in the first frame."""

    async def identify(self, agent_id: str, token: str | None, **more: Any) -> Said:
        frame = {
            "type": "identify",
            "agent_id": agent_id,
            "client_type": "sidecar",
            "protocol_version": 1,
            **more,
        }
        if token is not None:
            frame["token"] = token
        await self.say(frame)
        return await self.hear("identified", "error")
