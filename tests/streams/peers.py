"""Strangers: the other half of each stream, written from the contract alone with raw commands.

`GoService` asks for runs and reads their results; `StreamWorker` does the runs. Neither imports anything of
ours, so that what they understand is what any stranger's half understands. Never forgiving: a field or a
member that the contract does not name fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol, cast

import redis.asyncio
from redis.exceptions import ResponseError

REQUESTS = "plugin:requests"
RESULTS = "plugin:results"
REQUEST_GROUP = "crewai-workers"
RESULT_GROUP = "go-workers"
LENGTH = 10_000
COUNT = 10
BLOCK_MS = 200
PUBLISHED_AT_S = 1_700_000_000

Entry = tuple[str, dict[str, str]]


class Commands(Protocol):
    """What is used of the client: commands as they go over the wire."""

    async def execute_command(self, *parts: str | int) -> Any: ...

    async def aclose(self) -> None: ...


class Stranger:
    """A program with a connection of its own, and a name of its own in a group."""

    def __init__(self, url: str, name: str) -> None:
        client = redis.asyncio.Redis.from_url(url, protocol=2, decode_responses=True)
        self._redis = cast("Commands", client)
        self.name = name

    async def close(self) -> None:
        await self._redis.aclose()

    async def join(self, stream: str, group: str) -> None:
        """From id 0, with MKSTREAM; a group that is there is fine."""
        try:
            await self._redis.execute_command("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
        except ResponseError as refused:
            if "BUSYGROUP" not in str(refused):
                raise

    async def read(self, stream: str, group: str) -> list[Entry]:
        """What is new, for this consumer."""
        await self.join(stream, group)
        who = ("GROUP", group, self.name, "COUNT", COUNT, "BLOCK", BLOCK_MS)
        reply = await self._redis.execute_command("XREADGROUP", *who, "STREAMS", stream, ">")
        return [(entry, dict(fields)) for _, entries in reply or [] for entry, fields in entries]

    async def ack(self, stream: str, group: str, entry: str) -> None:
        await self._redis.execute_command("XACK", stream, group, entry)


class GoService(Stranger):
    """Publishes requests, and takes in results."""

    def __init__(self, url: str, name: str = "go-1") -> None:
        super().__init__(url, name)
        self.results: dict[str, list[dict[str, Any]]] = {}

    async def request(
        self, run_id: str, plugin: str, user_id: int = 7, settings: dict[str, Any] | None = None
    ) -> str:
        """Ask for a run; the entry's id."""
        payload = {
            "plugin_run_id": run_id,
            "plugin_name": plugin,
            "user_id": user_id,
            "settings": settings or {},
        }
        fields = ("payload", json.dumps(payload), "published_at", PUBLISHED_AT_S, "schema_version", "v1")
        trim = ("MAXLEN", "~", LENGTH)
        entry: str = await self._redis.execute_command("XADD", REQUESTS, *trim, "*", *fields)
        return entry

    async def take_in(self) -> int:
        """Read results once, and acknowledge each; how many there were."""
        entries = await self.read(RESULTS, RESULT_GROUP)
        for entry, fields in entries:
            assert fields.keys() - {"published_at"} == {"payload", "schema_version"}
            assert fields["schema_version"] == "v1"
            result = json.loads(fields["payload"])
            assert result.keys() == {"plugin_run_id", "status", "output", "error"}
            assert result["status"] in {"completed", "failed"}
            assert isinstance(result["output"], str | None)
            assert isinstance(result["error"], str | None)
            self.results.setdefault(result["plugin_run_id"], []).append(result)
            await self.ack(RESULTS, RESULT_GROUP, entry)
        return len(entries)


class StreamWorker(Stranger):
    """Takes requests, runs them by a function, and publishes what came of it."""

    def __init__(self, url: str, run: Callable[[str, dict[str, Any]], str], name: str = "worker-1") -> None:
        super().__init__(url, name)
        self._run = run
        self.ran: list[str] = []

    async def work(self) -> int:
        """Read requests once, and do each; how many there were."""
        entries = await self.read(REQUESTS, REQUEST_GROUP)
        for entry, fields in entries:
            await self.one(entry, fields)
        return len(entries)

    async def claim(self, idle_ms: int) -> int:
        """Do what another consumer abandoned; how many there were."""
        await self.join(REQUESTS, REQUEST_GROUP)
        who = (REQUESTS, REQUEST_GROUP, self.name, idle_ms, "0-0", "COUNT", COUNT)
        reply = await self._redis.execute_command("XAUTOCLAIM", *who)
        for entry, fields in reply[1]:
            await self.one(entry, dict(fields) if isinstance(fields, dict) else pairs(fields))
        return len(reply[1])

    async def one(self, entry: str, fields: dict[str, str]) -> None:
        """The result published, then the request acknowledged."""
        assert fields.keys() == {"payload", "published_at", "schema_version"}
        assert fields["schema_version"] == "v1"
        assert fields["published_at"].isdecimal()
        request = json.loads(fields["payload"])
        assert request.keys() == {"plugin_run_id", "plugin_name", "user_id", "settings"}
        assert isinstance(request["user_id"], int)
        assert isinstance(request["settings"], dict)
        self.ran.append(request["plugin_run_id"])
        try:
            ended = {"status": "completed", "output": self._run(request["plugin_name"], request["settings"])}
        except ValueError as trouble:
            ended = {"status": "failed", "error": str(trouble)}
        payload = {"plugin_run_id": request["plugin_run_id"], "output": None, "error": None, **ended}
        said = ("payload", json.dumps(payload), "schema_version", "v1")
        await self._redis.execute_command("XADD", RESULTS, "MAXLEN", "~", LENGTH, "*", *said)
        await self.ack(REQUESTS, REQUEST_GROUP, entry)


def pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
