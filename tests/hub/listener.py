"""A stranger who listens on channels, as a caller does who knows nothing of a task but its stream id.

Knows only contracts §4: what comes must be progress or the end, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from tests.waiting import until

Said = dict[str, Any]


class Listener:
    """Every message of every channel since it began to listen, also after Redis came back."""

    def __init__(self) -> None:
        self.said: dict[str, list[Said]] = {}
        self.is_listening = asyncio.Event()

    async def listen(self, url: str) -> None:
        """For ever; whenever Redis was away, again."""
        while True:
            client = redis.asyncio.Redis.from_url(url, protocol=2, socket_connect_timeout=1)
            try:
                async with client.pubsub() as pubsub:
                    await pubsub.psubscribe("*")
                    async for message in pubsub.listen():
                        self.take(message)
            except (RedisError, OSError):
                self.is_listening.clear()
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.02)
            finally:
                await client.aclose()

    def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "psubscribe":
            self.is_listening.set()
        elif message["type"] == "pmessage":
            said = json.loads(message["data"])
            assert said.keys() in ({"message", "progress"}, {"complete", "content", "isError"}), said
            self.said.setdefault(message["channel"].decode(), []).append(said)

    def of(self, channel: str) -> list[Said]:
        return self.said.get(channel, [])

    def finals(self, channel: str) -> list[Said]:
        return [said for said in self.of(channel) if "complete" in said]

    def progress(self, channel: str) -> list[float]:
        return [said["progress"] for said in self.of(channel) if "progress" in said]

    async def final(self, channel: str) -> Said:
        """The end, once it was told; checks that all before it was in order."""
        await until(lambda: self.finals(channel), f"{channel} has its final message")
        self.check(channel)
        return self.finals(channel)[0]

    def check(self, channel: str) -> None:
        """Exactly one end, nothing after it (L101), and progress that never falls (L102)."""
        said = self.of(channel)
        assert len(self.finals(channel)) == 1, said
        assert "complete" in said[-1], said
        rising = self.progress(channel)
        assert rising == sorted(rising), said
        assert all(0 <= one <= 100 for one in rising), said


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Listener]:
    """Listen while the block runs."""
    listener = Listener()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(listener.listen(url))
        await listener.is_listening.wait()
        yield listener
        task.cancel()
