"""Sidecars that run crews, scripts for their model, and what their tasks say on the feed.

Owns the words that start such a sidecar and a listener that keeps every event of the feed from its first on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psutil

from tests.hub.conftest import HubProcess
from tests.waiting import until

CREWS: Final = ("--plugins", "shipped", "--model", "offline")
DIGEST: Final = "daily-news-digest"
TOPICS: Final = {"topics": ["tides"], "summary_length": "short"}

STREAMING: Final = {"*": [{"say": "word by word " * 400, "chunks": 4000, "pause_ms": 30}]}
HUNG: Final = {"*": [{"stall": True}]}
DEAF: Final = {"*": [{"stall": True, "deaf": True}]}

Event = dict[str, Any]


class Heard:
    """Every event of the feed since this began to listen."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, task_id: str, *words: str) -> list[Event]:
        return [
            one for one in self.events if one["task_id"] == task_id and (not words or one["event"] in words)
        ]

    def progress(self, task_id: str) -> list[float]:
        said = [one["payload"].get("progress") for one in self.of(task_id, "task_progress")]
        return [float(one) for one in said if one is not None]

    def activity(self, task_id: str) -> list[dict[str, Any]]:
        """The entries of the activity stream: kind, text and the fields of `data`."""
        return [one["payload"] for one in self.of(task_id, "task_log")]

    async def until(self, task_id: str, word: str, text: str = "") -> Event:
        """The first event of this name whose payload has the text in it."""

        def found() -> Event | None:
            hits = (one for one in self.of(task_id, word) if text in json.dumps(one["payload"]))
            return next(hits, None)

        event = await until(found, f"{task_id}: {word} {text}")
        assert event is not None
        return event


@asynccontextmanager
async def hearing(hub: HubProcess) -> AsyncIterator[Heard]:
    """Listen to the whole feed over SSE."""
    heard = Heard()
    has_begun = asyncio.Event()

    async def listen() -> None:
        async with hub.http() as client, client.stream("GET", "/api/feed", timeout=None) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("event: snapshot"):
                    has_begun.set()
                elif line.startswith("data: "):
                    said = json.loads(line.removeprefix("data: "))
                    if "task_id" in said and "event" in said:
                        heard.events.append(said)

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        await has_begun.wait()
        yield heard
        listening.cancel()


def family_of(pid: int) -> list[psutil.Process]:
    """Everything below a process."""
    return psutil.Process(pid).children(recursive=True)


def living(family: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
