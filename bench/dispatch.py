"""(b) Push to user code on an idle hub, and (c) progress to a watcher.

Owns the two measurements that look at single frames. The agent is a raw client in this process, so that
what is measured is the hub: its HTTP, its turn, its commit, its link.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from websockets.asyncio.client import connect

from bench.children import Hub, hub
from bench.peers import Peer, agent_token, client_of

FRAMES_IN_MESSAGE = 50


class BareHttp:
    """A kept-alive connection that writes a request and reads its answer: no client library is measured."""

    def __init__(self, running: Hub) -> None:
        address = urlsplit(running.url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._token = running.token

    async def __aenter__(self) -> BareHttp:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    def post(self, path: str, body: bytes) -> None:
        lines = (
            f"POST {path} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "",
            "",
        )
        self._writer.write("\r\n".join(lines).encode() + body)

    async def answer(self) -> int:
        """The status of the next answer; its body is read and thrown away."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        return int(head.split(b" ")[1])


async def _latencies(running: Hub, times: int) -> list[float]:
    found = []
    async with client_of(running) as http, BareHttp(running) as bare:
        peer = await Peer.dial(running, await agent_token(http, "bench"), "bench")
        for n in range(times):
            body = json.dumps({"agent_id": "bench", "description": f"task {n}"}).encode()
            start = time.perf_counter()
            bare.post("/api/admin/push-task", body)
            assigned = await peer.hear("task_assign")
            found.append(time.perf_counter() - start)
            assert await bare.answer() == 200
            await peer.say(
                peer.fact("task_accepted", assigned), peer.fact("task_complete", assigned, result=n)
            )
            await peer.hear("task_ack")
            await peer.hear("task_ack")
            await asyncio.sleep(0.01)
        await peer.hang_up()
    return found


def push_to_assign(folder: Path, *, times: int, durability: str) -> list[float]:
    """Seconds from the first byte of the push to the assign in the agent's hands, one at a time."""
    with hub(folder, durability) as running:
        return uvloop.run(_latencies(running, times))


async def _progress(running: Hub, frames: int) -> tuple[float, int]:
    async with client_of(running) as http:
        peer = await Peer.dial(running, await agent_token(http, "bench"), "bench")
        url = f"ws{running.url.removeprefix('http')}/ws/feed"
        headers = {"Authorization": f"Bearer {running.token}"}
        async with connect(url, additional_headers=headers, compression=None, max_size=None) as watcher:
            await watcher.recv()
            await http.post("/api/admin/push-task", json={"agent_id": "bench", "description": "progress"})
            assigned = await peer.hear("task_assign")
            await peer.say(peer.fact("task_accepted", assigned))
            await peer.hear("task_ack")
            start = time.perf_counter()
            say = asyncio.ensure_future(
                say_progress(peer, assigned["task_id"], assigned["generation"], frames)
            )
            seen = await hear_progress(watcher, frames)
            seconds = time.perf_counter() - start
            await say
        await peer.hang_up()
        return seen / seconds, frames - seen


async def say_progress(peer: Peer, task_id: str, generation: int, frames: int) -> None:
    for first in range(0, frames, FRAMES_IN_MESSAGE):
        await peer.say(
            *(
                {
                    "type": "task_progress",
                    "task_id": task_id,
                    "generation": generation,
                    "progress": 100 * n / frames,
                    "message": f"{n}",
                }
                for n in range(first, min(first + FRAMES_IN_MESSAGE, frames))
            )
        )


async def hear_progress(watcher: object, frames: int) -> int:
    """How many of the frames came, until the last one did."""
    seen = 0
    async for message in watcher:  # type: ignore[attr-defined]  # a connection is an async iterator
        found = json.loads(message)
        for event in found if isinstance(found, list) else [found]:
            if event["event"] == "task_progress":
                seen += 1
                if event["payload"]["message"] == f"{frames - 1}":
                    return seen
    return seen


def progress_to_watcher(folder: Path, *, frames: int) -> tuple[float, int]:
    """Progress frames a second that a watcher sees, and how many were left out (said with a gap)."""
    loose = {"HUB_FRAMES_PER_SECOND": "1000000", "HUB_FRAMES_BURST": "1000000"}
    with hub(folder, "full", **loose) as running:
        return uvloop.run(_progress(running, frames))
