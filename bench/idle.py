"""(d) Memory of sidecars that hold a connection and do nothing but beat.

Owns the crowd of raw clients, which live in this process; the hub's memory is read before and after.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvloop

from bench.children import Hub, hub
from bench.peers import Peer, agent_token, client_of

WAVE = 100
"""Dials at a time: below the hub's cap on sockets that nobody has identified."""


async def _crowd(running: Hub, count: int) -> tuple[int, int]:
    async with client_of(running) as http:
        tokens = [await agent_token(http, f"idle-{n}") for n in range(count)]
        before = running.child.rss_kib()
        peers: list[Peer] = []
        for first in range(0, count, WAVE):
            wave = range(first, min(first + WAVE, count))
            peers += await asyncio.gather(*(Peer.dial(running, tokens[n], f"idle-{n}") for n in wave))
        await asyncio.gather(
            *(peer.say({"type": "heartbeat", "as_of_seq": 0, "tasks": []}) for peer in peers)
        )
        await asyncio.sleep(2)
        after = running.child.rss_kib()
        await asyncio.gather(*(peer.hang_up() for peer in peers))
        return before, after


def memory_of_idle(folder: Path, *, count: int) -> tuple[int, float]:
    """The hub's memory without anybody in KiB, and what each idle sidecar adds to it."""
    with hub(folder, "full") as running:
        before, after = uvloop.run(_crowd(running, count))
    return before, (after - before) / count
