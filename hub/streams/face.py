"""Everything of a hub that speaks with its Redis, made in one place and run as one loop.

Owns the link, who shares it, and the name under which this hub reads. A hub without a Redis has none of
this, and does everything else as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hub.core.task import Task
from hub.errors import ConfigurationError
from hub.runs.plugins import Known
from hub.streams.progress import Progress
from hub.streams.relay import Relay
from hub.streams.requests import Requests
from hub.streams.workers import Workers, are_wanted
from protocol.ids import TaskId
from streams.address import BadAddress
from streams.inbox import RequestInbox
from streams.link import Streams
from streams.names import CONSUMER_PREFIX
from streams.trouble import RedisMissing
from streams.writer import Writer

if TYPE_CHECKING:
    from hub.core.board import Board
    from hub.crashpoints import Crasher
    from hub.dispatcher import Dispatcher
    from hub.metrics import Metrics
    from hub.ports import Clock
    from hub.registry import Registry
    from hub.runs.plugins import PluginsKnown
    from hub.runs.vault import Vault
    from hub.settings import Settings
    from hub.store.outbox import Outbox
    from hub.store.queries import Queries
    from hub.store.runs import RunQueries

NAME_LENGTH: Final = 16
"""Of the digest in a consumer's name: enough that no two ledgers share one."""

GAUGE_EVERY_MS: Final = 1_000

CLOSE_S: Final = 3.0
"""The end of a hub waits so long for a Redis that has stopped answering."""

State = Literal["up", "down"]


def reader_name(settings: Settings, pepper: bytes) -> str:
    """The same in every life of this hub, so that it takes up at once what it had in hand, and nobody else's:
    one hub at a time has this ledger (L79).
    """
    seed = str(settings.database_file.absolute()).encode() + pepper
    return f"{CONSUMER_PREFIX}hub-{hashlib.sha256(seed).hexdigest()[:NAME_LENGTH]}"


class FleetKnown:
    """Implements `requests.Fleet`."""

    def __init__(self, board: Board, queries: Queries, plugins: PluginsKnown, clock: Clock) -> None:
        self._board = board
        self._queries = queries
        self._plugins = plugins
        self._clock = clock

    async def knows_plugin(self, name: str) -> bool:
        """An agent that is out of reach may come back: what it offers is known."""
        if any(name in seat.plugins for seat in self._board.view_agents(self._clock.now())):
            return True
        return isinstance(await self._plugins.named(name), Known)

    async def task(self, task_id: TaskId) -> Task | None:
        return self._board.view_task(task_id) or await self._queries.task(task_id)

    def is_open(self, task_id: TaskId) -> bool:
        task = self._board.view_task(task_id)
        return task is not None and not task.is_final

    def open_runs(self) -> tuple[Task, ...]:
        found = (task for task in self._board.open_tasks() if task.spec.run is not None)
        return tuple(task for task in found if task.spec.run is not None and task.spec.run.origin == "stream")


@dataclass(frozen=True, slots=True)
class Inside:
    """What there is in a hub, as far as it has to do with Redis."""

    dispatcher: Dispatcher
    clock: Clock
    vault: Vault
    registry: Registry
    runs: RunQueries


class Face:
    """One hub's side of one Redis. `open`, then `run` in a TaskGroup, then `close`."""

    def __init__(self, settings: Settings, board: Board, metrics: Metrics, crasher: Crasher) -> None:
        try:
            self.streams = Streams(settings.redis)
        except (BadAddress, RedisMissing) as wrong:
            raise ConfigurationError(f"redis: {wrong}") from wrong
        self.writer = Writer(self.streams)
        self.crasher = crasher
        self.progress = Progress(self.streams, self.writer, board.view_task)
        self._settings = settings
        self._board = board
        self._metrics = metrics
        self._relay: Relay | None = None
        self._inbox: RequestInbox | None = None
        self.requests: Requests | None = None
        self.workers: Workers | None = None

    @property
    def state(self) -> State:
        return "up" if self.streams.is_up else "down"

    def open(self, outbox: Outbox, fleet: FleetKnown, hub: Inside, pepper: bytes) -> None:
        """Now that there is somebody to ask."""
        self._clock = hub.clock
        name = reader_name(self._settings, pepper)
        if are_wanted(self._settings, self._board):
            self.workers = Workers(
                self._settings,
                self.streams,
                self.writer,
                board=self._board,
                dispatcher=hub.dispatcher,
                registry=hub.registry,
                clock=hub.clock,
                runs=hub.runs,
                crasher=self.crasher,
                reader_name=name,
            )
        if self._settings.consumes_requests:
            self._inbox = RequestInbox(self.streams, self.writer, name=name)
            self.requests = Requests(
                self._inbox,
                self.streams,
                fleet,
                hub.dispatcher.ask,
                clock=hub.clock,
                vault=hub.vault,
                metrics=self._metrics,
                crasher=self.crasher,
                runs_max=self._settings.streams_runs_max,
                is_closing=lambda: hub.dispatcher.is_closing,
            )
        self._relay = Relay(
            outbox,
            self.streams,
            self.writer,
            self.progress,
            metrics=self._metrics,
            crasher=self.crasher,
            on_result=self.requests.released if self.requests is not None else _nobody_waits,
        )

    async def run(self) -> None:
        """Everything, for ever."""
        assert self._relay is not None, "open comes first"
        async with asyncio.TaskGroup() as group:
            group.create_task(self.streams.run())
            group.create_task(self._relay.run())
            group.create_task(self.progress.run())
            group.create_task(self._measure())
            if self.requests is not None:
                group.create_task(self.requests.run())
            if self.workers is not None:
                group.create_task(self.workers.run())

    async def _measure(self) -> None:
        while True:
            self._metrics.redis_up.set(int(self.streams.is_up))
            await self._clock.sleep_until(self._clock.now().ms + GAUGE_EVERY_MS)

    async def close(self) -> None:
        """In good order if Redis plays along; what it did not hear it is told by the next life."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                if self._inbox is not None:
                    await self._inbox.reader.close()
                if self.workers is not None:
                    await self.workers.close()
                await self.streams.close()


def _nobody_waits(plugin_run_id: str) -> None:
    """This hub reads no requests; a result of an earlier life goes out all the same."""
