"""One act of chaos: a hub, sidecars and clients as processes, harmed for a while, drained, and judged.

Owns the order: start, load, nemesis, calm, drain, stop, evidence, verdict. Everything lives in one folder and
on free ports of 127.0.0.1, and what was started is ended by its id, however the act goes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from hub.checker import Scope, Verdict, check
from hub.evidence import records_of_database
from hub.history import History, read
from tests.chaos.load import Canceller, Pusher, Reader, Scene, SocketWatcher, Watcher
from tests.chaos.nemesis import Nemesis
from tests.chaos.proxy import Proxy
from tests.hub.conftest import HubProcess
from tests.system.processes import SidecarProcess, is_alive, runs_of
from tests.waiting import until

OPEN_STATES = ("queued", "assigned", "running", "input_required", "recovering", "cancelling")

DRAIN_S = 150.0
"""Everything that is open at the end of the harm has so long to end: more than a grace of 120 s."""

AGENTS = ("ada", "grace")
SLOTS = "4"


class Act(NamedTuple):
    """What is played."""

    name: str
    kills: int
    hub_only: bool
    seed: int


class Outcome(NamedTuple):
    verdict: Verdict
    kills: dict[str, int]
    blows: dict[str, int]


class Stage:
    """All processes of one act."""

    def __init__(self, folder: Path, act: Act) -> None:
        self.folder = folder
        self.act = act
        self.dice = random.Random(act.seed)
        self.runs = folder / "runs.jsonl"
        self.hub = HubProcess(folder)
        self.notes = History(folder / "driver.history", "driver")
        self.sidecars: list[SidecarProcess] = []
        self.watchers: list[Watcher] = []

    async def play(self) -> Outcome:
        async with AsyncExitStack() as stack:
            stack.callback(self.notes.close)
            proxy = await stack.enter_async_context(Proxy(self.hub.port))
            scene = Scene(self.hub.address, "", self.folder)
            nemesis = Nemesis(scene, self.hub, proxy, self.sidecars, self.runs, self.dice)
            stack.callback(self._end_hub)
            await nemesis.start_hub()
            scene.token = self.hub.admin_token
            await self._start_sidecars(stack, proxy)
            async with self._watched(scene, proxy):
                async with self._loaded(scene):
                    await nemesis.rage(self.act.kills, hub_only=self.act.hub_only)
                proxy.open()
                await self._drained()
                await self._all_seen()
            await self._stopped(nemesis.wounds)
        return Outcome(self._judged(), dict(nemesis.kills), dict(nemesis.blows))

    # --- before and while -----------------------------------------------------------------------------------

    async def _start_sidecars(self, stack: AsyncExitStack, proxy: Proxy) -> None:
        for agent_id in AGENTS:
            token = await self.hub.token(agent_id)
            one = SidecarProcess(self.folder, agent_id, proxy.ws_address, token, self.runs)
            one.environment = {
                "SIDECAR_HISTORY_FILE": str(self.folder / f"{agent_id}.history"),
                "SIDECAR_SLOTS": SLOTS,
            }
            one.start()
            stack.callback(one.end)
            self.sidecars.append(one)

    @asynccontextmanager
    async def _watched(self, scene: Scene, proxy: Proxy) -> AsyncIterator[None]:
        """Three watchers from the beginning, and one who comes late."""
        self.watchers += [
            Watcher(scene, "sse"),
            Watcher(scene, "sse-cut", proxy.address),
            SocketWatcher(scene, "socket-cut", proxy.address),
        ]
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(watcher.run()) for watcher in self.watchers]
            following.append(group.create_task(self._come_late(scene)))
            yield
            for one in following:
                one.cancel()

    async def _come_late(self, scene: Scene) -> None:
        late = SocketWatcher(scene, "late")
        try:
            await until(lambda: len(scene.pushed) > 5, "there is something to be late for", 300)
            self.watchers.append(late)
            await late.run()
        finally:
            late.close()

    @asynccontextmanager
    async def _loaded(self, scene: Scene) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for number in (1, 2, 3):
                dice = random.Random(self.dice.random())
                pusher = Pusher(scene, f"pusher-{number}", dice, self._wishes(dice))
                group.create_task(pusher.run(0.3))
            group.create_task(Canceller(scene, "canceller", random.Random(self.act.seed)).run(0.8))
            group.create_task(Reader(scene, "reader", random.Random(self.act.seed)).run(0.2))
            try:
                yield
            finally:
                scene.over.set()

    def _wishes(self, dice: random.Random) -> Callable[[], dict[str, Any]]:
        def wish() -> dict[str, Any]:
            fails = not self.act.hub_only and dice.random() < 0.1
            return {"steps": dice.randint(1, 6), "pause_s": round(dice.uniform(0, 0.4), 2), "fail": fails}

        return wish

    # --- after ----------------------------------------------------------------------------------------------

    async def _drained(self) -> None:
        """Nothing is open any more; if it never comes to that, the checker says what is lost."""
        headers = {"Authorization": f"Bearer {self.hub.admin_token}"}
        with httpx.Client(base_url=self.hub.address, headers=headers, timeout=10, trust_env=False) as client:

            def is_drained() -> bool:
                try:
                    stats = client.get("/api/tasks/stats").json()
                except httpx.TransportError:
                    return False
                counts = stats.get("states", stats)
                return not any(counts.get(state, 0) for state in OPEN_STATES)

            try:
                await until(is_drained, "all tasks have ended", DRAIN_S)
            except AssertionError as error:
                self.notes.note("fail", "log", value=str(error))
            self._look_at_tasks(client)

    def _look_at_tasks(self, client: httpx.Client) -> None:
        """What the API says of every task, for comparison with rows and events."""
        cursor: str | None = None
        while True:
            page = client.get("/api/tasks", params={"cursor": cursor} if cursor else {}).json()
            for task in page["tasks"]:
                self.notes.note(
                    "ok", "terminal", task=task["task_id"], gen=task["generation"], value=task["state"]
                )
            cursor = page["next"]
            if cursor is None:
                return

    async def _all_seen(self) -> None:
        """Watchers are where the log is."""
        newest = max((place_of(watcher) for watcher in self.watchers), default=0)
        try:
            await until(
                lambda: all(place_of(one) >= newest for one in self.watchers), "watchers catch up", 60
            )
        except AssertionError as error:
            self.notes.note("fail", "log", value=str(error))

    async def _stopped(self, wounds: list[str]) -> None:
        for wound in wounds:
            self.notes.note("fail", "log", value=wound)
        for one in self.sidecars:
            await asyncio.to_thread(self._stop_sidecar, one)
        code = await asyncio.to_thread(self.hub.stop)
        self.notes.note("ok" if code == 0 else "fail", "exit", key="hub", value=code)
        for record in runs_of(self.runs):
            pid = int(record.p.partition(":")[2])
            if record.f == "start" and is_alive(pid):
                self.notes.note("ok", "drain", key="run", value=pid)
        for log in (self.hub.log, *(one.log for one in self.sidecars)):
            self._read_log(log)

    def _stop_sidecar(self, one: SidecarProcess) -> None:
        code = one.stop()
        self.notes.note("ok" if code == 0 else "fail", "exit", key=one.agent_id, value=code)
        left = one.status().get("facts_without_receipt", "no status")
        self.notes.note("ok", "drain", key=one.agent_id, value=left)

    def _read_log(self, log: Path) -> None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("Traceback") or '"exc_info"' in line or "CRITICAL" in line:
                self.notes.note("fail", "log", key=log.name, value=line[:300])

    def _end_hub(self) -> None:
        process = self.hub.process
        if process is not None and process.poll() is None:
            process.kill()
            self.hub.wait()

    def _judged(self) -> Verdict:
        records = read([*sorted(self.folder.glob("*.history")), self.runs])
        evidence = records_of_database(self.folder / "state" / "hub.db")
        scope = Scope(
            is_drained=True,
            is_complete=True,
            is_hub_only=self.act.hub_only,
            canaries=(self.hub.admin_token,),
        )
        return check([*records, *evidence], scope)


def place_of(watcher: Watcher) -> int:
    return int(watcher.cursor.rpartition(":")[2]) if watcher.cursor else 0
