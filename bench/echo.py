"""The raw limit of the wire: Starlette's WebSocket, echoing, served as the hub is served.

Owns the bare server (`python -m bench.echo`) and the closed-loop client that measures its round trips.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect

MESSAGE = json.dumps(
    {"type": "task_complete", "task_id": "task-0123456789abcdef", "result": {"echo": "x" * 120}}
)


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return


def main() -> None:
    listening = socket.socket()
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    print(json.dumps({"url": f"ws://127.0.0.1:{listening.getsockname()[1]}/"}), flush=True)
    config = uvicorn.Config(
        Starlette(routes=[WebSocketRoute("/", echo)]),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="error",
    )
    uvicorn.Server(config).run(sockets=[listening])


async def trips(url: str, connections: int, seconds: float) -> float:
    """Round trips a second over so many connections, each waiting for its echo before it speaks again."""
    count = 0

    async def speak() -> None:
        nonlocal count
        async with connect(url, compression=None) as ws:
            while time.perf_counter() < end:
                await ws.send(MESSAGE)
                await ws.recv()
                count += 1

    start = time.perf_counter()
    end = start + seconds
    await asyncio.gather(*(speak() for _ in range(connections)))
    return count / (time.perf_counter() - start)


def round_trips(url: str, connections: int, seconds: float) -> float:
    return uvloop.run(trips(url, connections, seconds))


async def _latencies(url: str, times: int) -> list[float]:
    found = []
    async with connect(url, compression=None) as ws:
        for _ in range(times):
            start = time.perf_counter()
            await ws.send(MESSAGE)
            await ws.recv()
            found.append(time.perf_counter() - start)
            await asyncio.sleep(0.01)
    return found


def idle_latencies(url: str, times: int) -> list[float]:
    """Single round trips with a pause before each, as an idle hub has them."""
    return uvloop.run(_latencies(url, times))


if __name__ == "__main__":
    main()
