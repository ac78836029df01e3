"""(e) What a crew costs to start and to hold: forked from the zygote beside spawned, run by run in turns.

Owns the orders, the stopwatch between an order and what the run says, and the reading of /proc. The runner,
the zygote and the plugin are the shipped ones; the model plays a script, so that nothing is measured but us.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.children import Hub, child, hub
from bench.peers import client_of
from protocol.ids import Generation, TaskId
from sidecar.clock import SidecarClock
from sidecar.equipment import Equipment, Shell, equip
from sidecar.runners.contract import Finished, Order, Progress, Report, StopSignal
from sidecar.settings import Settings

DIGEST = "daily-news-digest"
TOPICS = json.dumps({"topics": ["tides"], "summary_length": "short"}).encode()
STALLED = json.dumps({"offline": {"*": [{"stall": True}]}}).encode()
PATIENCE_S = 120


@dataclass(slots=True)
class Timed:
    """Seconds from the order to the first frame and to the result, of each run."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Starts:
    """What forked and spawned runs took, and the memory of one of each with its guard, in KiB."""

    forked: Timed
    spawned: Timed
    forked_kib: int
    spawned_kib: int


def order_of(number: int, metadata: bytes = b"{}") -> Order:
    task_id = TaskId(f"task-{number:016x}")
    return Order(task_id=task_id, generation=Generation(1), plugin=DIGEST, inputs=TOPICS, metadata=metadata)


def equipped(folder: Path, start: str) -> Equipment:
    settings = Settings(plugins=("shipped",), model="offline", crew_start=start, slots=1)  # type: ignore[arg-type]  # one of two words
    return equip(settings, Shell(folder / start, {}, SidecarClock(), lambda said: None))


async def once(equipment: Equipment, number: int, timed: Timed) -> None:
    """One run of the digest, from the order to its result."""
    begun = time.perf_counter()
    firsts: list[float] = []

    def hear(said: Report) -> None:
        if isinstance(said, Progress) and not firsts:
            firsts.append(time.perf_counter() - begun)

    outcome = await equipment.runners[-1].run(order_of(number), hear, StopSignal())
    assert isinstance(outcome, Finished), outcome
    timed.whole.append(time.perf_counter() - begun)
    timed.first.append(firsts[0])


async def private_kib_of_a_run(equipment: Equipment, ancestor: int) -> int:
    """Memory that a run and its guard share with nobody, while its agent waits for a model."""
    stop, thinking = StopSignal(), asyncio.Event()

    def hear(said: Report) -> None:
        if isinstance(said, Progress) and "thinking" in (said.message or ""):
            thinking.set()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(equipment.runners[-1].run(order_of(99, STALLED), hear, stop))
        await thinking.wait()
        found = sum(private_kib(pid) for pid in below(ancestor))
        stop.set("cancel", 0)
    return found


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def below(pid: int) -> list[int]:
    """Every living descendant."""
    return [one for child_ in children(pid) for one in (child_, *below(child_))]


def private_kib(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith(("Private_Clean", "Private_Dirty")))


async def _starts(folder: Path, rounds: int) -> Starts:
    warm, cold = equipped(folder, "warm"), equipped(folder, "cold")
    forked, spawned = Timed(), Timed()
    assert warm.at_hand is not None
    assert cold.at_hand is not None
    await cold.at_hand.begin()
    await warm.at_hand.begin()
    try:
        (zygote,) = children(os.getpid())
        await once(warm, 0, Timed())  # the first of a zygote touches what later ones find
        for number in range(1, rounds + 1):
            await once(warm, 2 * number, forked)
            await once(cold, 2 * number + 1, spawned)
        forked_kib = await private_kib_of_a_run(warm, zygote)
    finally:
        await warm.at_hand.close()
    spawned_kib = await private_kib_of_a_run(cold, os.getpid())
    await cold.at_hand.close()
    return Starts(forked, spawned, forked_kib, spawned_kib)


def starts(folder: Path, *, rounds: int) -> Starts:
    """Forked and spawned in turns, then the private memory of a run of each."""
    return asyncio.run(_starts(folder, rounds))


async def _one_task(running: Hub) -> None:
    async with client_of(running) as http:
        body = {"description": "measured", "plugin": DIGEST, "inputs": json.loads(TOPICS)}
        task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
        async with asyncio.timeout(PATIENCE_S):
            while (task := (await http.get(f"/api/tasks/{task_id}")).json())["ending"] is None:
                pass  # asking again is the pause
    assert task["state"] == "completed", task


def memory_of_a_sidecar(folder: Path) -> int:
    """The connecting process of a sidecar with crews, after it has done one; in KiB."""
    words = ("sidecar.cli", "connect", "--agent-id", "ada", "--plugins", "shipped", "--model", "offline")
    with hub(folder) as running, child(folder, "ada", words, speaks=False) as sidecar:
        asyncio.run(_one_task(running))
        return sidecar.rss_kib()
