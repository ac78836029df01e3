"""A fleet at work: a hub, many sidecars, batches of tasks, and all that ordinarily goes wrong.

Owns the order: start, push, disturb until everything has ended, stop, judge. Sidecars are the program that
people run, over real sockets, with the echo; what was started is ended by its id, however it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
import httpx
import msgspec

from hub.checker import Scope, Verdict, check
from hub.evidence import records_of_database
from hub.history import History, read
from tests.fleet.judge import LEVELS, Broken, Line, passed_over, slots_exceeded
from tests.hub.conftest import HubProcess
from tests.system.processes import SidecarProcess, connected

SLOTS: Final = 2
PUSHED_AT_ONCE: Final = 500
STARTED_AT_ONCE: Final = 5
PAUSE_S: Final = 0.7
"""Between two disturbances."""

LOOK_EVERY_S: Final = 0.5

ENDED_WITHIN_S: Final = 1_800.0
"""Tells a fleet that works from one that hangs, on a machine that others use too."""

OPEN_STATES: Final = ("queued", "assigned", "running", "input_required", "recovering", "cancelling")


class Size(NamedTuple):
    tasks: int
    sidecars: int
    seed: int


class Outcome(NamedTuple):
    verdict: Verdict
    broken: tuple[Broken, ...]
    states: dict[str, int]
    blows: dict[str, int]
    declined: int


class FleetStage:
    """All processes of one run."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self.dice = random.Random(size.seed)
        self.hub = HubProcess(folder)
        self.notes = History(folder / "driver.history", "driver")
        self.sidecars: list[SidecarProcess] = []
        self.blows: Counter[str] = Counter()
        self.states: dict[str, int] = {}

    async def play(self) -> Outcome:
        with ExitStack() as stack:
            stack.callback(self.notes.close)
            stack.callback(self._end_hub)
            await asyncio.to_thread(self.hub.start, HUB_HISTORY_FILE=str(self.folder / "hub.history"))
            await self._start_sidecars(stack)
            async with self.hub.http() as client:
                async with asyncio.TaskGroup() as group:
                    trouble = group.create_task(self._disturb(client))
                    await self._push(client)
                    async with asyncio.timeout(ENDED_WITHIN_S):
                        while not await self._is_over(client):
                            await rest(LOOK_EVERY_S)
                    trouble.cancel()
                await self._look_at_tasks(client)
            await self._stop()
        return self._judged()

    # --- before ---------------------------------------------------------------------------------------------

    async def _start_sidecars(self, stack: ExitStack) -> None:
        for number in range(self.size.sidecars):
            agent_id = f"agent-{number:02}"
            token = await self.hub.token(agent_id)
            one = SidecarProcess(
                self.folder, agent_id, self.hub.ws_address + "/ws", token, self.folder / "none"
            )
            one.module, one.words = "tests.fleet.fussy", ()
            one.environment = {
                "SIDECAR_HISTORY_FILE": str(self.folder / f"{agent_id}.history"),
                "SIDECAR_SLOTS": str(SLOTS),
            }
            stack.callback(one.end)
            self.sidecars.append(one)
            one.start()
            if number % STARTED_AT_ONCE == 0:
                await connected(self.hub, agent_id)

    async def _push(self, client: httpx.AsyncClient) -> None:
        for first in range(0, self.size.tasks, PUSHED_AT_ONCE):
            numbers = range(first, min(first + PUSHED_AT_ONCE, self.size.tasks))
            for number in numbers:
                self.notes.note("invoke", "push", key=f"key-{number}")
            answer = await client.post("/api/tasks/batch", json={"tasks": [self._wish(n) for n in numbers]})
            assert answer.is_success, answer.text
            for number, item in zip(numbers, answer.json()["items"], strict=True):
                assert item["code"] == 201, item
                self.notes.note("ok", "push", key=f"key-{number}", task=item["task_id"])

    def _wish(self, number: int) -> dict[str, Any]:
        """A short piece of work; one in twelve fails, some of them for good."""
        echo: dict[str, Any] = {"sleep_ms": self.dice.randint(0, 300), "steps": self.dice.randint(0, 2)}
        if self.dice.random() < 1 / 12:
            echo |= {"fail": "no luck", "retryable": self.dice.random() < 0.5}
        return {
            "description": f"task {number}",
            "idempotency_key": f"key-{number}",
            "priority": self.dice.choice(LEVELS),
            "attempts_max": self.dice.randint(1, 3),
            "metadata": {"echo": echo},
        }

    # --- while ----------------------------------------------------------------------------------------------

    async def _disturb(self, client: httpx.AsyncClient) -> None:
        deeds = (self._drain, self._disconnect, self._pause, self._kill)
        while True:
            await rest(self.dice.uniform(0, 2 * PAUSE_S))
            deed = self.dice.choice(deeds)
            await deed(client, self.dice.choice(self.sidecars))
            self.blows[deed.__name__.strip("_")] += 1

    async def _drain(self, _: httpx.AsyncClient, one: SidecarProcess) -> None:
        """As in a rolling restart: it finishes what it has, leaves, and is started again."""
        await connected(self.hub, one.agent_id)  # before that it has no ear for signals
        code = await asyncio.to_thread(one.stop)
        self.notes.note("ok" if code == 0 else "fail", "exit", key=one.agent_id, value=code)
        one.start()

    async def _disconnect(self, client: httpx.AsyncClient, one: SidecarProcess) -> None:
        await client.post(f"/api/agents/{one.agent_id}/disconnect")  # it may just be away

    async def _pause(self, client: httpx.AsyncClient, one: SidecarProcess) -> None:
        await client.post(f"/api/agents/{one.agent_id}/pause")
        await client.post(f"/api/agents/{one.agent_id}/resume")

    async def _kill(self, _: httpx.AsyncClient, one: SidecarProcess) -> None:
        one.signal(signal.SIGKILL)
        await asyncio.to_thread(one.wait)
        one.start()

    async def _is_over(self, client: httpx.AsyncClient) -> bool:
        self.states = (await client.get("/api/tasks/stats")).json()["states"]
        return not any(self.states.get(state, 0) for state in OPEN_STATES)

    # --- after ----------------------------------------------------------------------------------------------

    async def _look_at_tasks(self, client: httpx.AsyncClient) -> None:
        """What the API says of every task, for comparison with rows and events."""
        cursor: str | None = None
        while True:
            page = (await client.get("/api/tasks", params={"cursor": cursor} if cursor else {})).json()
            for task in page["tasks"]:
                self.notes.note(
                    "ok", "terminal", task=task["task_id"], gen=task["generation"], value=task["state"]
                )
            cursor = page["next"]
            if cursor is None:
                return

    async def _stop(self) -> None:
        for one in self.sidecars:
            one.signal(signal.SIGTERM)
        for one in self.sidecars:
            code = await asyncio.to_thread(one.wait)
            self.notes.note("ok" if code == 0 else "fail", "exit", key=one.agent_id, value=code)
            left = one.status().get("facts_without_receipt", "no status")
            self.notes.note("ok", "drain", key=one.agent_id, value=left)
        code = await asyncio.to_thread(self.hub.stop)
        self.notes.note("ok" if code == 0 else "fail", "exit", key="hub", value=code)
        for log in (self.hub.log, *(one.log for one in self.sidecars)):
            for line in log.read_text(errors="replace").splitlines():
                if "Traceback" in line or '"exc_info"' in line or "CRITICAL" in line:
                    self.notes.note("fail", "log", key=log.name, value=line[:300])

    def _end_hub(self) -> None:
        process = self.hub.process
        if process is not None and process.poll() is None:
            self.hub.kill()

    def _judged(self) -> Outcome:
        database = self.folder / "state" / "hub.db"
        records = read(sorted(self.folder.glob("*.history")))
        scope = Scope(is_drained=True, is_complete=True, canaries=(self.hub.admin_token,))
        verdict = check([*records, *records_of_database(database)], scope)
        lines = lines_of(database)
        broken = (*slots_exceeded(records, SLOTS), *passed_over(lines))
        declined = sum(line.payload.get("cause") == "rejected" for line in lines)
        return Outcome(verdict, broken, self.states, dict(self.blows), declined)


async def rest(seconds: float) -> None:
    """A while in which others work."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


def lines_of(database: Path) -> list[Line]:
    """The hub's log, oldest first."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = connection.execute(
            'SELECT event, task_id, agent_id, timestamp, payload FROM events ORDER BY "offset"'
        )
        return [Line(row[0], row[1], row[2], row[3], msgspec.json.decode(row[4])) for row in found]
    finally:
        connection.close()
