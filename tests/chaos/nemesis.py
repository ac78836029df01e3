"""What is done to the system: kills, crash points, stops, cuts and stalls, drawn from a seed.

Owns the blows and how each is undone, so that after a blow everything is there again or on its way. Never
judges what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from hub.crashpoints import CrashPoint
from tests.chaos.load import Scene
from tests.chaos.proxy import Proxy
from tests.hub.conftest import HubProcess
from tests.system.processes import SidecarProcess, is_alive, runs_of
from tests.waiting import until

HUB_SETTINGS = {"HUB_HEARTBEAT_MS": "2000", "HUB_LEASE_MS": "20000", "HUB_LOG_LEVEL": "warning"}

FUSE_S = 12.0
"""How long an armed hub may take to come to its point before it is killed like any other."""


class Nemesis:
    """One enemy of one hub and its sidecars. Each blow returns when what it hit is up again."""

    def __init__(
        self,
        scene: Scene,
        hub: HubProcess,
        proxy: Proxy,
        sidecars: list[SidecarProcess],
        runs: Path,
        dice: random.Random,
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.blows: Counter[str] = Counter()
        self.wounds: list[str] = []
        """Ends of processes that nobody has caused."""
        self._scene = scene
        self._hub = hub
        self._proxy = proxy
        self._sidecars = sidecars
        self._runs = runs
        self._dice = dice
        self._points = list(CrashPoint)
        dice.shuffle(self._points)

    async def rage(self, kills: int, *, hub_only: bool) -> None:
        """So many kills, with weather in between."""
        weather: list[Callable[[], Awaitable[None]]] = [self.cut, self.stall, self.pause_hub, self.slow]
        deadly = [self.crash_hub, self.kill_hub]
        if not hub_only:
            on_agents = [self.kill_sidecar, self.kill_runner]
            deadly = [*on_agents, *deadly, *on_agents]
            weather.append(self.pause_sidecar)
        turn = 0
        while self.kills.total() < kills:
            await self._scene.rest(self._dice.uniform(0.2, 1.2))
            blow = deadly[turn % len(deadly)]
            is_last = self.kills.total() == kills - 1
            await self._strike(self.kill_hub if blow == self.crash_hub and is_last else blow)
            turn += 1
            await self._scene.rest(self._dice.uniform(0.2, 1.0))
            if self._dice.random() < 0.6:
                await self._strike(self._dice.choice(weather))

    async def _strike(self, blow: Callable[[], Awaitable[None]]) -> None:
        self.blows[getattr(blow, "__name__", str(blow))] += 1
        await blow()

    # --- the hub --------------------------------------------------------------------------------------------

    async def kill_hub(self) -> None:
        self._check_hub()
        self._hub.signal(signal.SIGKILL)
        await self._hub_is_dead()
        self.kills["hub"] += 1
        await self._scene.rest(self._dice.uniform(0, 1.0))
        await self.start_hub()

    async def crash_hub(self) -> None:
        """Two kills: at once, and then by its own hand at a named place, the n-th time it comes there."""
        point = self._points.pop()
        self._points.insert(0, point)
        self._check_hub()
        self._hub.signal(signal.SIGKILL)
        await self._hub_is_dead()
        self.kills["hub"] += 1
        times = 1 if point.value.startswith(("start", "cancel", "identify")) else self._dice.randint(1, 8)
        with contextlib.suppress(AssertionError):  # when it dies before it serves
            await self.start_hub(HUB_CRASH_AT=f"{point}:{times}")
        if not await self._dies_within(FUSE_S):
            self._hub.signal(signal.SIGKILL)
            self.blows["a point not reached"] += 1
        await self._hub_is_dead()
        self.kills["crash point"] += 1
        await self.start_hub()

    async def pause_hub(self) -> None:
        """It may not act on leases that are stale when it wakes."""
        self._hub.signal(signal.SIGSTOP)
        await self._scene.rest(self._dice.uniform(1, 4))
        self._hub.signal(signal.SIGCONT)

    async def start_hub(self, **environment: str) -> None:
        history = str(self._scene.folder / "hub.history")
        await asyncio.to_thread(self._hub.start, **HUB_SETTINGS, HUB_HISTORY_FILE=history, **environment)

    def _check_hub(self) -> None:
        process = self._hub.process
        assert process is not None
        if process.poll() is not None:
            self.wounds.append(f"the hub had ended with {process.returncode}")

    async def _hub_is_dead(self) -> None:
        await asyncio.to_thread(self._hub.wait)

    async def _dies_within(self, seconds: float) -> bool:
        process = self._hub.process
        assert process is not None
        try:
            await until(lambda: process.poll() is not None, "the hub comes to its crash point", seconds)
        except AssertionError:
            return False
        return True

    # --- sidecars and runs ----------------------------------------------------------------------------------

    async def kill_sidecar(self) -> None:
        one = self._dice.choice(self._sidecars)
        if not one.is_running:
            self.wounds.append(f"the sidecar {one.agent_id} had ended")
        one.signal(signal.SIGKILL)
        await asyncio.to_thread(one.wait)
        self.kills["sidecar"] += 1
        await self._scene.rest(self._dice.uniform(0, 1.0))
        one.start()

    async def kill_runner(self) -> None:
        """The newest run that is alive; the next one if there is none."""
        living = await until(self._living_runs, "a run is alive", 40)
        try:
            os.kill(living[-1], signal.SIGKILL)
        except ProcessLookupError:
            self.blows["a run that was quicker"] += 1
        self.kills["runner"] += 1

    def _living_runs(self) -> list[int]:
        finished = set()
        living = []
        for record in reversed(runs_of(self._runs)[-40:]):
            pid = int(record.p.partition(":")[2])
            if record.f == "finish":
                finished.add(pid)
            elif record.f == "start" and pid not in finished and is_alive(pid):
                living.append(pid)
        return living

    async def pause_sidecar(self) -> None:
        one = self._dice.choice(self._sidecars)
        one.signal(signal.SIGSTOP)
        await self._scene.rest(self._dice.uniform(1, 3))
        one.signal(signal.SIGCONT)

    # --- the line -------------------------------------------------------------------------------------------

    async def cut(self) -> None:
        """At once, or in the middle of what is said next."""
        if self._dice.random() < 0.5:
            self._proxy.cut()
        else:
            way = self._dice.choice([self._proxy.to_hub, self._proxy.to_client])
            way.cut_after(self._dice.randint(1, 2_000))

    async def stall(self) -> None:
        """One way or both, for seconds; sometimes what is said meanwhile is lost, and the line with it."""
        ways = self._dice.choice(
            [[self._proxy.to_hub], [self._proxy.to_client], [self._proxy.to_hub, self._proxy.to_client]]
        )
        is_lost = self._dice.random() < 0.3
        for way in ways:
            way.swallow() if is_lost else way.stall()
        await self._scene.rest(self._dice.uniform(1, 4))
        self._proxy.open()
        if is_lost:
            self._proxy.cut()  # bytes that are missing in the middle are for TCP to notice, and it would

    async def slow(self) -> None:
        self._proxy.to_client.slow(delay_s=0.1, bytes_per_s=4_000)
        await self._scene.rest(self._dice.uniform(1, 3))
        self._proxy.open()
