"""(a) Full lifecycles a second: pushed over HTTP, done by one sidecar, durable at every step.

Owns the pusher (this process) and the wait for the last receipt. Hub and sidecar are processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvloop

from bench.children import Hub, hub, sidecar

SLOTS = 256
"""Seats of the one sidecar: what a turn of the hub may hand out at once."""

DEADLINE_S = 300


@dataclass(frozen=True, slots=True)
class Lifecycles:
    """One run. Per lifecycle: commits of the hub, fsyncs of the sidecar's journal, CPU of both."""

    a_second: float
    hub_commits: float
    journal_syncs: float
    hub_cpu_us: float
    sidecar_cpu_us: float


async def metric(http: httpx.AsyncClient, name: str) -> float:
    text = (await http.get("/metrics")).text
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name)), 0.0)


async def until_connected(http: httpx.AsyncClient) -> None:
    end = time.perf_counter() + DEADLINE_S
    while await metric(http, "hub_agents_connected ") < 1:
        assert time.perf_counter() < end, "the sidecar did not connect"
        await asyncio.sleep(0.05)


async def until_completed(http: httpx.AsyncClient, count: int) -> None:
    end = time.perf_counter() + DEADLINE_S
    while (done := await metric(http, 'hub_tasks_total{outcome="completed"}')) < count:
        assert time.perf_counter() < end, f"only {done} of {count} tasks were completed"
        await asyncio.sleep(0.02)


def body(n: int) -> dict[str, object]:
    return {"description": f"task {n}", "assign_to": "bench", "metadata": {"n": n}}


async def push_batches(http: httpx.AsyncClient, tasks: int, batch: int) -> None:
    """Batches one after the other, encoded before the clock starts."""
    for first in range(0, tasks, batch):
        content = json.dumps({"tasks": [body(n) for n in range(first, min(first + batch, tasks))]})
        answer = await http.post("/api/tasks/batch", content=content)
        assert answer.status_code == 200, answer.text


async def push_singly(http: httpx.AsyncClient, tasks: int, pushers: int) -> None:
    """One request a task, by so many callers at a time."""
    numbers = iter(range(tasks))

    async def push() -> None:
        for n in numbers:
            answer = await http.post("/api/tasks", json=body(n))
            assert answer.status_code == 201, answer.text

    await asyncio.gather(*(push() for _ in range(pushers)))


async def _measure(running: Hub, tasks: int, batch: int) -> tuple[float, float]:
    headers = {"Authorization": f"Bearer {running.token}"}
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=60, limits=limits) as http:
        await until_connected(http)
        commits = await metric(http, "hub_commit_seconds_count")
        start = time.perf_counter()
        if batch:
            await push_batches(http, tasks, batch)
        else:
            await push_singly(http, tasks, pushers=32)
        await until_completed(http, tasks)
        seconds = time.perf_counter() - start
        return seconds, await metric(http, "hub_commit_seconds_count") - commits


def syncs_of(folder: Path) -> int:
    """What the sidecar says of itself when it has left."""
    (status,) = (folder / "state").rglob("status.json")
    return int(json.loads(status.read_text())["journal_syncs"])


def lifecycles(folder: Path, *, tasks: int, batch: int, durability: str) -> Lifecycles:
    """Push `tasks` in batches of `batch` (0: one by one), and wait until the hub has all results."""
    with hub(folder, durability) as running:
        with sidecar(folder, "bench", SLOTS) as worker:
            before = running.child.cpu_s(), worker.cpu_s()
            seconds, commits = uvloop.run(_measure(running, tasks, batch))
            after = running.child.cpu_s(), worker.cpu_s()
        syncs = syncs_of(folder)
    return Lifecycles(
        a_second=tasks / seconds,
        hub_commits=commits / tasks,
        journal_syncs=syncs / tasks,
        hub_cpu_us=(after[0] - before[0]) / tasks * 1e6,
        sidecar_cpu_us=(after[1] - before[1]) / tasks * 1e6,
    )
