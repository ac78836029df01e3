"""Exports: whole or visibly broken off, bounded in number, and gone with the token that asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from hub.api.exports import EXPORTS_MAX
from hub.auth import Role
from hub.store import queries
from tests.hub.conftest import RunningHub
from tests.waiting import until

BIG, MANY = "x" * 20_000, 600
"""So many of these are more than the sockets between us hold."""


async def pushed(hub: RunningHub, count: int, description: str = "work") -> list[str]:
    async with hub.http() as http:
        tasks = [{"description": f"{description} {n}"} for n in range(count)]
        answer = await http.post("/api/tasks/batch", json={"tasks": tasks})
        assert answer.is_success, answer.text
        return [one["task_id"] for one in answer.json()["items"]]


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.content.split(b"\n") if line]


class Reader:
    """Asks for an export and then reads only when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def is_whole(self) -> bool:
        """Read to the end: whether the last chunk was there."""
        last = b""
        try:
            while piece := await self.reader.read(65_536):
                last = (last + piece)[-8:]
        except ConnectionError:
            return False
        return last.endswith(b"0\r\n\r\n")

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def reading(hub: RunningHub, token: str) -> AsyncIterator[Reader]:
    host, port = hub.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    try:
        head = f"GET /api/tasks/export HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        assert b"200" in await reader.readline()
        yield Reader(reader, writer)
    finally:
        writer.transport.abort()


async def test_an_export_has_every_task_that_a_list_would_show_page_by_page(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_ROWS_MAX", 3)
    ids = await pushed(running_hub, 8)
    async with running_hub.http() as http:
        everything = await http.get("/api/tasks/export")
        assert everything.headers["content-type"] == "application/x-ndjson"
        assert [one["task_id"] for one in lines_of(everything)] == ids[::-1]
        (one,) = (await http.get("/api/tasks", params={"q": "work 5"})).json()["tasks"]
        assert lines_of(await http.get("/api/tasks/export", params={"q": "work 5"})) == [one]
        assert (await http.get("/api/tasks/export", params={"state": "failed"})).content == b""
        assert (await http.get("/api/tasks/export", params={"state": "done"})).status_code == 422
    assert running_hub.parts.throttle.exports == 0


async def test_an_export_of_events_begins_after_what_was_seen(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "CHUNK_EVENTS_MAX", 2)
    await pushed(running_hub, 5)
    epoch = running_hub.parts.board.epoch
    async with running_hub.http() as http:
        events = lines_of(await http.get("/api/events/export"))
        cursors = [one["cursor"] for one in events]
        assert cursors == [f"{epoch}:{n}" for n in range(1, len(events) + 1)]
        for since in (cursors[1], "2"):
            later = lines_of(await http.get("/api/events/export", params={"since": since}))
            assert later == events[2:]
        assert (await http.get("/api/events/export", params={"since": cursors[-1]})).content == b""
        wrongs = (
            "another:1",
            f"{epoch}:",
            "abc",
            "-1",
            "9" * 400,
            "\uff19",
            "0" * 20 + "9" * 20,
            "0" * 5_000,
        )
        for wrong in wrongs:
            answer = await http.get("/api/events/export", params={"since": wrong})
            assert answer.status_code == 422, wrong


@pytest.mark.parametrize("running_hub", [{"send_ms": 1_000}], indirect=True)
async def test_whoever_does_not_read_is_cut_off_and_gives_back_the_place(running_hub: RunningHub) -> None:
    """And sees it: a part is never taken for the whole."""
    await pushed(running_hub, MANY, BIG)
    async with reading(running_hub, running_hub.admin_token) as reader:
        assert running_hub.parts.throttle.exports == 1
        await until(lambda: running_hub.parts.throttle.exports == 0, "the place is free", 60)
        assert not await reader.is_whole()


async def test_an_export_ends_with_its_token(running_hub: RunningHub) -> None:
    await pushed(running_hub, MANY, BIG)
    token = await running_hub.token(role=Role.VIEWER)
    who = running_hub.parts.authority.check(token)
    assert who is not None
    async with reading(running_hub, token) as reader:
        running_hub.parts.authority.drop([who.token_id])
        assert not await reader.is_whole()
        await until(lambda: running_hub.parts.throttle.exports == 0, "the place is free", 60)


async def test_one_export_too_many_is_asked_to_wait(running_hub: RunningHub) -> None:
    await pushed(running_hub, MANY, BIG)
    async with AsyncExitStack() as stack, running_hub.http() as http:
        token = running_hub.admin_token
        readers = [await stack.enter_async_context(reading(running_hub, token)) for _ in range(EXPORTS_MAX)]
        answer = await http.get("/api/tasks/export")
        assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
        assert (await http.get("/api/tasks", params={"limit": 1})).status_code == 200, "others are served"
        readers[0].close()
        await until(lambda: running_hub.parts.throttle.exports < EXPORTS_MAX, "somebody has gone", 60)
        assert (await http.get("/api/events/export")).status_code == 200
        assert await readers[1].is_whole(), "whoever reads late and reads all has all"
