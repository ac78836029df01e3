"""A victim: posts numbered entries one after the other, until it is through or killed."""

import asyncio
import sys

from streams.link import Streams
from streams.writer import Writer


async def post(url: str, many: int) -> None:
    streams = Streams(url)
    writer = Writer(streams)
    for number in range(many):
        await writer.post_once(f"m{number}", "s", {"n": str(number)}, group="g")
    await streams.close()


asyncio.run(post(sys.argv[1], int(sys.argv[2])))
