"""The end of a hub: a drain has its time, and whoever asks twice does not wait for it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from starlette.applications import Starlette

from hub.life import Life
from hub.server import HubServer, configure
from hub.settings import Settings
from tests.hub.conftest import RunningHub
from tests.waiting import until


async def never() -> None:
    """A drain that does not come to its end."""
    await asyncio.Event().wait()


async def test_a_drain_that_does_not_end_is_left_after_its_time(tmp_path: Path) -> None:
    life = Life()
    life.on_drain(never)
    config = configure(Starlette(), Settings(port=0, state_dir=tmp_path), life)
    await HubServer(config, life, drain_ms=1)._let_go()
    assert life.is_draining


async def test_whoever_asks_twice_does_not_wait_for_the_drain(running_hub: RunningHub) -> None:
    running_hub.life.on_drain(never)
    server = running_hub.server
    server.handle_exit(signal.SIGTERM, None)
    await until(lambda: running_hub.life.is_draining, "it drains")
    assert not server.should_exit
    server.handle_exit(signal.SIGTERM, None)
    drain = server._drain
    assert drain is not None
    await until(drain.done, "the drain is given up")
    assert server.should_exit
