"""The far side of webhooks, as a workflow tool has it: signs calls, and is called.

Written from the Standard Webhooks specification with the standard library; of ours it knows the
clock and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hub.clock import wall_ms

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another key, which is long enough").decode()


def signed(body: bytes, call_id: str, secret: str = SECRET, age_s: int = 0) -> dict[str, str]:
    """Headers by which this body is believed."""
    timestamp = str(wall_ms() // 1000 - age_s)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{call_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    said = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": call_id, "webhook-timestamp": timestamp, "webhook-signature": said}


@dataclass
class Called:
    """One call that has come."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found

    def is_signed(self, secret: str = SECRET) -> bool:
        call_id, timestamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = hmac.new(key, f"{call_id}.{timestamp}.".encode() + self.raw, hashlib.sha256).digest()
        return self.headers["webhook-signature"] == "v1," + base64.b64encode(wanted).decode()


@dataclass
class Place:
    """An HTTP server that takes calls and answers what it is told to."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    """Status lines and headers to answer with, the last one for ever."""
    calls: list[Called] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/flow?from=hub"

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
            raw = await reader.readexactly(int(headers.get("content-length", "0")))
            self.calls.append(Called(first.split(" ")[1], headers, raw))
            answer = self.answers[0] if self.answers else "202 Accepted"
            if len(self.answers) > 1:
                self.answers.pop(0)
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def placed(*answers: str) -> AsyncIterator[Place]:
    place = Place(answers=list(answers))
    server = await asyncio.start_server(place.meet, "127.0.0.1", 0)
    async with server:
        place.port = server.sockets[0].getsockname()[1]
        yield place
