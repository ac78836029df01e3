"""`sidecar work`: everything constructed and wired in one place, run, and taken down.

Owns the order in which the parts come up (folder, health, plugins, Redis), what each signal asks for, and
what ready means without a hub. Decides nothing about a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from protocol.ids import Generation
from sidecar.clock import SidecarClock
from sidecar.equipment import Shell, crews_of
from sidecar.errors import SettingsError, StateError
from sidecar.health import Health, Readiness
from sidecar.runners.contract import Order, Runner, StopSignal
from sidecar.runners.warm import CHILD
from sidecar.settings import SHIPPED, Settings, state_root
from sidecar.state import StateFolder
from sidecar.streamwork.effort import Effort
from sidecar.streamwork.orders import task_id_of
from sidecar.streamwork.worker import Worker
from sidecar.workspace import Workspaces
from streams.address import BadAddress
from streams.entries import Request, Result
from streams.link import Streams
from streams.trouble import RedisMissing

FOLDER: Final = "work"
"""Beside the folder of those sidecars that have a hub, where every name may be an agent's."""

FOLDERS_MAX: Final = 64
"""Workers of one user on one machine; each has a folder of its own."""

NO_REDIS: Final = "no Redis is named. Try: sidecar work --redis redis://127.0.0.1:6379   or set REDIS_URL"

LOADING: Final = "loading plugins"


def own_folder(root: Path) -> StateFolder:
    """The first folder below this that no other worker has, locked: what a killed one left there is swept."""
    taken: StateError | None = None
    for number in range(1, FOLDERS_MAX + 1):
        folder = StateFolder(root / str(number))
        folder.create()
        try:
            folder.lock()
        except StateError as error:
            taken = error
        else:
            return folder
    raise StateError(f"{FOLDERS_MAX} workers already have their folders in {root}; the last: {taken}")


def open_streams(url: str) -> Streams:
    """The link to Redis; nothing is dialled yet."""
    if not url:
        raise SettingsError(NO_REDIS)
    try:
        return Streams(url)
    except (BadAddress, RedisMissing) as error:
        raise SettingsError(str(error)) from error


class StreamSidecar:
    """All parts of one process."""

    def __init__(self, settings: Settings, say: Callable[[str], None], child: str = CHILD) -> None:
        self.settings = settings if settings.plugins else replace(settings, plugins=(SHIPPED,))
        self.clock = SidecarClock()
        self._say = say
        self._child = child
        self._exit_code = 0
        self._worker: Worker | None = None
        self._loading: asyncio.Task[Any] | None = None
        self._is_leaving = False

    def run(self) -> int:
        """Work until told to leave; the exit code. Nothing that this process writes is for others to read."""
        os.umask(0o077)
        streams = open_streams(self.settings.redis)
        folder = own_folder(self.settings.state_dir or state_root().with_name(FOLDER))
        try:
            Workspaces(folder.path).sweep()
            return asyncio.run(self.work(streams, folder.path))
        finally:
            folder.unlock()

    async def work(self, streams: Streams, folder: Path) -> int:
        """From the plugins to the last answer; the exit code."""
        settings = self.settings
        shell = Shell(folder, os.environ, self.clock, self._say, self._child)
        at_hand, runner = crews_of(settings, Workspaces(folder), shell)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(streams.close)
            if settings.health_port:
                health = Health(settings.health_host, settings.health_port, lambda: self.readiness(streams))
                await stack.enter_async_context(health)
            stack.enter_context(self._signals(at_hand.look_again))
            stack.push_async_callback(at_hand.close)
            if not await self._load(at_hand.begin):
                return self._exit_code
            self._worker = worker = self._worker_of(streams, runner)
            self._say(f"works for {streams.shown} as {worker.inbox.reader.name} (Ctrl-C finishes and leaves)")
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(at_hand.watch())
                await worker.run()
                watching.cancel()
        return self._exit_code

    def _worker_of(self, streams: Streams, runner: Runner) -> Worker:
        async def perform(request: Request, stop: StopSignal) -> Result | None:
            return await Effort(request, runner, self.clock).make(stop)

        def why_not(request: Request) -> str | None:
            order = Order(
                task_id=task_id_of(request.plugin_run_id),
                generation=Generation(1),
                plugin=request.plugin_name,
            )
            rejection = runner.accepts(order)
            return None if rejection is None else rejection.sentence

        settings = self.settings
        return Worker(streams, perform, why_not, slots=settings.slots, drain_ms=settings.drain_ms)

    async def _load(self, begin: Callable[[], Awaitable[None]]) -> bool:
        """Have the plugins imported. False: somebody wanted us to leave meanwhile."""
        self._say(LOADING)
        self._loading = task = asyncio.current_task()
        try:
            await begin()
        except asyncio.CancelledError:
            if task is None or not self._is_leaving:
                raise
            task.uncancel()
        finally:
            self._loading = None
        return not self._is_leaving

    @contextlib.contextmanager
    def _signals(self, look_again: Callable[[], None]) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_leave, number)
        loop.add_signal_handler(signal.SIGHUP, look_again)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _asked_to_leave(self, number: signal.Signals) -> None:
        self._is_leaving = True
        worker = self._worker
        if worker is None:
            if self._loading is not None:
                self._loading.cancel()
        elif worker.leave():
            runs = worker.runs_in_hand
            self._say(f"finishing {runs} runs; once more stops them" if runs else "leaving")
        else:
            self._say("stopping all runs")
            worker.stop()
            self._exit_code = 130 if number == signal.SIGINT else 0

    def readiness(self, streams: Streams) -> Readiness:
        """Ready while a request could reach us. Runs go on, and are answered later, while it could not."""
        worker = self._worker
        if worker is None:
            return Readiness(False, {"error": LOADING})
        members = {"redis": "up" if streams.is_up else "down", "runs": worker.runs_in_hand}
        if worker.is_leaving:
            return Readiness(False, {"error": "draining", **members})
        if not streams.is_up:
            return Readiness(False, {"error": streams.trouble, **members})
        return Readiness(True, {"consumer": worker.inbox.reader.name, **members})


def work(settings: Settings, say: Callable[[str], None]) -> int:
    """Run a sidecar without a hub to its end; the exit code."""
    return StreamSidecar(settings, say).run()
