"""Whoever is told of events: a place with a secret, that believes what the public package believes.

Owns the short ways to name such a place and to wait for what it was told. Of ours it knows the HTTP face.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from standardwebhooks import Webhook

from tests.hub.caller import Called, Place
from tests.hub.conftest import Reachable
from tests.waiting import until

HANG = "hang"
"""An answer that never comes."""

PATIENCE_S = 60.0


class Ear(Place):
    """A place that may also say nothing, or say much."""

    says = b""

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.answers and self.answers[0] == HANG:
            await self.keep_still(reader, writer)
        elif self.says:
            await self.talk(reader, writer)
        else:
            await super().meet(reader, writer)

    async def keep_still(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until the other side gives up."""
        try:
            while piece := await reader.read(65_536):
                if b"\r\n\r\n" in piece:
                    self.calls.append(Called("", {}, b""))
        except OSError:
            return
        finally:
            writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 500 No\r\nContent-Length: {len(self.says)}\r\n\r\n".encode() + self.says)
            self.calls.append(Called("", {}, b""))
            await writer.drain()
            await reader.read()
        except OSError:
            return
        finally:
            writer.close()

    def told(self, secret: str) -> list[dict[str, Any]]:
        """The events that came, each believed."""
        return [believed(call, secret) for call in self.calls]

    def ids(self) -> list[str]:
        return [call.headers["webhook-id"] for call in self.calls]

    async def hears(self, count: int) -> None:
        await until(lambda: len(self.calls) >= count, f"{count} calls have come", PATIENCE_S)


def believed(call: Called, secret: str) -> dict[str, Any]:
    """What was said, checked by the package that receivers use."""
    found: dict[str, Any] = Webhook(secret).verify(call.raw, call.headers)
    return found


@asynccontextmanager
async def listening(*answers: str) -> AsyncIterator[Ear]:
    ear = Ear(answers=list(answers))
    server = await asyncio.start_server(ear.meet, "127.0.0.1", 0)
    try:
        ear.port = server.sockets[0].getsockname()[1]
        yield ear
    finally:
        server.close()


async def add(hub: Reachable, url: str, **more: Any) -> dict[str, Any]:
    """A new webhook, with its secret."""
    async with hub.http() as http:
        answer = await http.post("/api/webhooks", json={"url": url, **more})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def asked(hub: Reachable, method: str, path: str, body: object = None) -> httpx.Response:
    async with hub.http() as http:
        return await http.request(method, f"/api/webhooks{path}", json=body)


async def got(hub: Reachable, path: str) -> dict[str, Any]:
    answer = await asked(hub, "GET", path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def deliveries(hub: Reachable, webhook: dict[str, Any], state: str = "") -> list[dict[str, Any]]:
    """Newest first."""
    query = f"?state={state}" if state else ""
    found: list[dict[str, Any]] = (await got(hub, f"/{webhook['webhook_id']}/deliveries{query}"))[
        "deliveries"
    ]
    return found


async def comes_to(
    hub: Reachable, webhook: dict[str, Any], is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The webhook, once this holds for it."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so(found := await got(hub, f"/{webhook['webhook_id']}")):
            pass  # asking again is the pause
    return found


async def delivery_becomes(hub: Reachable, delivery_id: str, is_so: Callable[[dict[str, Any]], bool]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so(found := await got(hub, f"/deliveries/{delivery_id}")):
            pass  # asking again is the pause
    return found


async def event_of(hub: Reachable, description: str = "x", **more: Any) -> str:
    """A task that is pushed and cancelled: two events, and no agent needed."""
    async with hub.http() as http:
        pushed = await http.post("/api/tasks", json={"description": description, **more})
        assert pushed.status_code == 201, pushed.text
        task_id = str(pushed.json()["task_id"])
        assert (await http.post(f"/api/tasks/{task_id}/cancel")).is_success
    return task_id
