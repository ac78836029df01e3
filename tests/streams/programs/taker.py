"""A victim: takes what there is, finishes nothing, and waits to be killed."""

import asyncio
import sys

from streams.link import Streams
from streams.reader import GroupReader


async def take(url: str) -> None:
    reader = GroupReader(Streams(url), "s", "g", block_ms=100)
    while True:
        await reader.take(10)


asyncio.run(take(sys.argv[1]))
