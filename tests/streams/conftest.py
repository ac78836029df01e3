"""What tests with a real Redis start with. Every such test runs once on each kind of server that is there.

`redis_server` for those who only talk to it (HUB_TEST_REDIS_URL first), `redis_process` for those who also
kill it. Owns their end; other suites import these fixtures from here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streams.link import REPLY_S, Streams
from tests.streams.servers import GivenServer, Reachable, RedisServer, given_url, kinds

OpenStreams = Callable[..., Streams]


@pytest.fixture(params=kinds())
def redis_process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, running and empty."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(request.param, folder)
    server.start()
    yield server
    server.end()


@pytest.fixture(params=["given"] if given_url() else kinds())
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reachable]:
    """A server that is there and empty."""
    if request.param == "given":
        yield GivenServer(str(given_url()))
        return
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(request.param, folder)
    server.start()
    yield server
    server.end()


@pytest.fixture
async def open_streams() -> AsyncIterator[OpenStreams]:
    """Links to servers, closed at the end of the test."""
    opened: list[Streams] = []

    def open_one(server: Reachable | str, reply_s: float = REPLY_S) -> Streams:
        url = server if isinstance(server, str) else server.url
        opened.append(Streams(url, reply_s=reply_s))
        return opened[-1]

    yield open_one
    for streams in opened:
        await streams.close()
