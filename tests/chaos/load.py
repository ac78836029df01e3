"""Who uses the system while it is harmed: pushers, cancellers, readers and watchers, each with a notebook.

Owns what a reasonable client does (the same key until there is an answer, a cursor after a cut) and writes
down what it was told, in the checker's format. Never concludes anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import websockets

from hub.history import History, Kind

PASSING = frozenset({"task_progress", "task_log", "task_usage", "gap"})
"""Events without a place in the log."""

ANSWER_S = 10.0


@dataclass
class Scene:
    """Where the hub is, and when to stop asking for anything new."""

    address: str
    token: str
    folder: Path
    over: asyncio.Event = field(default_factory=asyncio.Event)
    pushed: list[str] = field(default_factory=list)
    """Ids of the tasks that were answered."""

    def notebook(self, name: str) -> History:
        return History(self.folder / f"{name}.history", name)

    def http(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(base_url=self.address, headers=headers, timeout=ANSWER_S, trust_env=False)

    async def rest(self, seconds: float) -> bool:
        """Between two deeds; False when it is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()
        return not self.over.is_set()

    @staticmethod
    async def pause(seconds: float) -> None:
        """Between two dials, also when all else is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()


class Pusher:
    """Pushes until it is over. Without an answer it asks again with the same key; sometimes also with one."""

    def __init__(
        self, scene: Scene, name: str, dice: random.Random, wishes: Callable[[], dict[str, Any]]
    ) -> None:
        self._scene = scene
        self._name = name
        self._dice = dice
        self._wishes = wishes
        self._history = scene.notebook(name)

    async def run(self, pause_s: float) -> None:
        count = 0
        try:
            async with self._scene.http() as client:
                while await self._scene.rest(self._dice.uniform(0, 2 * pause_s)):
                    count += 1
                    await self._push(client, f"{self._name}-{count}")
        finally:
            self._history.close()

    async def _push(self, client: httpx.AsyncClient, key: str) -> None:
        body = {"description": key, "metadata": {"work": self._wishes()}, "attempts_max": 3}
        repeats = self._dice.random() < 0.2
        while not await self._ask(client, key, body):
            if not await self._scene.rest(0.2):
                return  # nobody knows, and the checker will see
        if repeats:
            await self._ask(client, key, body)

    async def _ask(self, client: httpx.AsyncClient, key: str, body: dict[str, Any]) -> bool:
        self._history.note("invoke", "push", key=key)
        try:
            answer = await client.post("/api/tasks", json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError as error:
            self._history.note("info", "push", key=key, value=repr(error))
            return False
        if not answer.is_success:
            kind: Kind = "fail" if answer.status_code < 500 else "info"
            self._history.note(kind, "push", key=key, value=answer.text)
            return False
        task_id = answer.json()["task_id"]
        self._history.note("ok", "push", key=key, task=task_id)
        self._scene.pushed.append(task_id)
        return True


class Canceller:
    """Cancels one of the newest tasks now and then, whatever state it is in."""

    def __init__(self, scene: Scene, name: str, dice: random.Random) -> None:
        self._scene = scene
        self._dice = dice
        self._history = scene.notebook(name)

    async def run(self, pause_s: float) -> None:
        try:
            async with self._scene.http() as client:
                while await self._scene.rest(self._dice.uniform(0, 2 * pause_s)):
                    if self._scene.pushed:
                        await self._cancel(client, self._dice.choice(self._scene.pushed[-3:]))
        finally:
            self._history.close()

    async def _cancel(self, client: httpx.AsyncClient, task_id: str) -> None:
        self._history.note("invoke", "cancel", task=task_id)
        try:
            answer = await client.post(f"/api/tasks/{task_id}/cancel", json={"reason": "chaos"})
        except httpx.TransportError as error:
            self._history.note("info", "cancel", task=task_id, value=repr(error))
            return
        kind: Kind = "ok" if answer.is_success else "fail" if answer.status_code < 500 else "info"
        self._history.note(kind, "cancel", task=task_id, value=answer.status_code)


class Reader:
    """Looks at tasks that were pushed, old and new."""

    def __init__(self, scene: Scene, name: str, dice: random.Random) -> None:
        self._scene = scene
        self._dice = dice
        self._history = scene.notebook(name)

    async def run(self, pause_s: float) -> None:
        try:
            async with self._scene.http() as client:
                while await self._scene.rest(pause_s):
                    if self._scene.pushed:
                        await self._look(client, self._dice.choice(self._scene.pushed))
        finally:
            self._history.close()

    async def _look(self, client: httpx.AsyncClient, task_id: str) -> None:
        self._history.note("invoke", "terminal", task=task_id)
        with contextlib.suppress(httpx.TransportError):
            answer = await client.get(f"/api/tasks/{task_id}")
            if answer.is_success:
                self._history.note("ok", "terminal", task=task_id, value=answer.json()["state"])


class Watcher:
    """Follows the feed from where it is, for ever, over whatever is left of the line."""

    def __init__(self, scene: Scene, name: str, address: str | None = None) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        """Cursor and object of every event with a place, and of every reset."""
        self.passing: list[dict[str, Any]] = []
        self.connections = 0
        self.cursor: str | None = None
        self._scene = scene
        self._address = address or scene.address
        self._history = scene.notebook(name)

    async def run(self) -> None:
        try:
            while True:
                self._history.note("invoke", "event")
                await self.follow_once()
                await self._scene.pause(0.05)
        finally:
            self._history.close()

    def close(self) -> None:
        """The notebook of a watcher that does not `run`."""
        self._history.close()

    async def follow_once(self) -> None:
        """Until the line is gone, whoever has ended it."""
        with contextlib.suppress(httpx.TransportError, websockets.WebSocketException, OSError):
            await self._follow()

    async def _follow(self) -> None:
        """Over Server-Sent Events."""
        headers = {"Authorization": f"Bearer {self._scene.token}"}
        if self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        timeout = httpx.Timeout(ANSWER_S, read=40)
        async with (
            httpx.AsyncClient(base_url=self._address, timeout=timeout, trust_env=False) as client,
            client.stream("GET", "/api/feed", headers=headers) as answer,
        ):
            self.connections += answer.is_success
            cursor = None
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    cursor = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    self._saw(json.loads(line.removeprefix("data: ")), cursor)
                elif not line:
                    cursor = None

    def _saw(self, event: dict[str, Any], cursor: str | None) -> None:
        if cursor is None:
            self.passing.append(event)
            return
        self.cursor = cursor
        kind: Kind = "info" if event["event"] in {"snapshot", "reset"} else "ok"
        self._history.note(
            kind, "event", task=event["task_id"], gen=event["generation"], value=[cursor, event["event"]]
        )
        if event["event"] != "snapshot":
            self.seen.append((cursor, event))


class SocketWatcher(Watcher):
    """The same over a WebSocket."""

    async def _follow(self) -> None:
        since = "" if self.cursor is None else f"?since={self.cursor}"
        address = self._address.replace("http", "ws", 1)
        headers = {"Authorization": f"Bearer {self._scene.token}"}
        async with websockets.connect(
            f"{address}/ws/feed{since}", additional_headers=headers, proxy=None, open_timeout=ANSWER_S
        ) as socket:
            self.connections += 1
            async for message in socket:
                event = json.loads(message)
                self._saw(event, None if event["event"] in PASSING else event["cursor"])
