"""The health endpoint: two paths, few bytes, and bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar import health as health_module
from sidecar.errors import SettingsError
from sidecar.health import Health, Readiness


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.status = int(self.head.split()[1]) if head else 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(health: Health, request: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", health.port)
    writer.write(request)
    try:
        return Answer(await reader.read())
    except ConnectionError:
        return Answer(b"")
    finally:
        writer.close()


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.fixture
async def health() -> AsyncIterator[Health]:
    async with Health("127.0.0.1", 0, lambda: Readiness(True, {"runs": 2})) as listening:
        yield listening


async def test_live_and_ready_answer_as_the_contract_says(health: Health) -> None:
    live = await ask(health, get("/health/live"))
    assert (live.status, live.json) == (200, {"status": "alive"})
    ready = await ask(health, get("/health/ready?x=1"))
    assert (ready.status, ready.json) == (200, {"status": "ready", "runs": 2})
    assert "application/json" in ready.head


async def test_not_ready_is_503_with_its_reason() -> None:
    async with Health("127.0.0.1", 0, lambda: Readiness(False, {"error": "draining"})) as health:
        answer = await ask(health, get("/health/ready"))
        assert (answer.status, answer.json) == (503, {"status": "not_ready", "error": "draining"})


async def test_anything_else_is_not_found_or_not_allowed(health: Health) -> None:
    assert (await ask(health, get("/etc/passwd"))).status == 404
    assert (await ask(health, get("/health/live", "POST"))).status == 405
    head = await ask(health, get("/health/live", "HEAD"))
    assert (head.status, head.body) == (200, b"")


async def test_a_head_without_end_is_let_go(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ask(health, b"GET /" + b"x" * 20_000)).status == 0
    monkeypatch.setattr(health_module, "HEAD_MS", 50)
    assert (await ask(health, b"GET /health/live HTTP/1.1\r\n")).status == 0
    assert (await ask(health, get("/health/live"))).status == 200


async def test_a_port_that_is_taken_is_a_sentence(health: Health) -> None:
    with pytest.raises(SettingsError, match=f":{health.port}"):
        async with Health("127.0.0.1", health.port, lambda: Readiness(True, {})):
            pass


async def test_more_probes_than_the_bound_are_closed_unanswered(health: Health) -> None:
    silent = [
        await asyncio.open_connection("127.0.0.1", health.port) for _ in range(health_module.CONNECTIONS_MAX)
    ]
    for _, writer in silent:
        writer.write(b"G")
    assert (await ask(health, get("/health/live"))).status == 0
    for _, writer in silent:
        writer.close()
