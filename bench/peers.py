"""Raw v2 clients of the hub: as little between the wire and the measurement as can be.

Owns dialling, identifying, and hearing frames. Says only what a measurement needs.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from bench.children import Hub


async def agent_token(http: httpx.AsyncClient, agent_id: str) -> str:
    answer = await http.post("/admin/tokens", json={"agent_id": agent_id})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def client_of(running: Hub) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=running.url, headers={"Authorization": f"Bearer {running.token}"}, timeout=60
    )


class Peer:
    """One agent."""

    def __init__(self, ws: ClientConnection) -> None:
        self._ws = ws
        self._heard: deque[dict[str, Any]] = deque()
        self._seq = 0

    @classmethod
    async def dial(cls, running: Hub, token: str, agent_id: str, slots: int = 1) -> Peer:
        ws = await connect(
            f"ws{running.url.removeprefix('http')}/ws",
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            ping_interval=None,
            max_size=None,
        )
        peer = cls(ws)
        await peer.say(
            {
                "type": "identify",
                "agent_id": agent_id,
                "protocol_version": 2,
                "instance_id": f"instance-{agent_id}",
                "boot_id": "bench",
                "connection": 1,
                "seq_next": 1,
                "slots": slots,
            }
        )
        await peer.hear("identified")
        return peer

    async def say(self, *frames: dict[str, Any]) -> None:
        await self._ws.send(json.dumps(frames[0] if len(frames) == 1 else list(frames)))

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next frame of this kind; others are thrown away."""
        while True:
            while self._heard:
                frame = self._heard.popleft()
                if frame["type"] == kind:
                    return frame
                assert frame["type"] != "error", frame
            found = json.loads(await self._ws.recv())
            self._heard.extend(found if isinstance(found, list) else [found])

    def fact(self, kind: str, assigned: dict[str, Any], **more: Any) -> dict[str, Any]:
        self._seq += 1
        return {
            "type": kind,
            "task_id": assigned["task_id"],
            "generation": assigned["generation"],
            "seq": self._seq,
            **more,
        }

    async def hang_up(self) -> None:
        await self._ws.close()
