"""Runs that other services ask for on `plugin:requests`, done by this hub's fleet.

Owns the way from an entry to a task: is there such a plugin, is there room, and whose entry waits for which
run. An entry stays pending until the relay has published the result of its run (L82), so that no death on
the way loses it; a repeated request joins the run that exists (L79). Never runs anything and never says how
a run ended, except one that could not begin.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Raw

from hub.core import runs
from hub.core.effects import Granted, RefusalKind, Reply
from hub.core.events import TaskSubmitted
from hub.core.task import RunSpec, Task
from hub.crashpoints import StreamPoint
from hub.errors import Closing, Overloaded
from hub.ports import StorageFull
from hub.runs.vault import KEYS_BYTES_MAX, SETTINGS_BYTES_MAX, is_too_big, parted
from protocol.ids import TaskId
from streams.entries import Result
from streams.trouble import RedisTrouble

if TYPE_CHECKING:
    from hub.crashpoints import Crasher
    from hub.metrics import Metrics
    from hub.ports import Clock
    from hub.runs.vault import Vault
    from streams.inbox import Asked, RequestInbox
    from streams.link import Streams

AGENTS_BACK_MS: Final = 30_000
"""How long after its start a hub waits for an agent that offers an unknown plugin: a fleet takes its time to
come back. Later the answer is given at once."""

AGAIN_MS: Final = 1_000
"""How often requests are looked at again that could not begin: no room, or no answer from Redis."""

TASK_ID_BYTES: Final = 8

BY: Final = "stream"

ID_TAKEN: Final = "the id of this run belongs to a task of this hub that is no run: ask with another id"
"""Somebody has pushed a task whose idempotency key is the one of this run."""

logger = logging.getLogger(__name__)


class Fleet(Protocol):
    """What the hub knows of plugins and of tasks."""

    async def knows_plugin(self, name: str) -> bool:
        """Whether a folder of the hub has it, or any agent on the board offers it."""

    async def task(self, task_id: TaskId) -> Task | None:
        """On the board, or in the ledger."""

    def is_open(self, task_id: TaskId) -> bool:
        """Whether it is on the board and not over."""

    def open_runs(self) -> tuple[Task, ...]:
        """Tasks that are not over and came by a stream."""


class Later(Exception):
    """This request cannot begin now: it waits, and others are taken meanwhile."""


def result_of(task: Task) -> Result:
    """How a run ended, in the words of the stream."""
    assert task.spec.run is not None
    assert task.is_final
    is_completed = runs.status_of(task) is runs.RunStatus.COMPLETED
    return Result(
        plugin_run_id=task.spec.run.plugin_run_id,
        status="completed" if is_completed else "failed",
        output=runs.output_of(task),
        error=runs.error_of(task),
    )


class Requests:
    """`run` belongs in a TaskGroup; the relay calls `released`."""

    def __init__(
        self,
        inbox: RequestInbox,
        streams: Streams,
        fleet: Fleet,
        ask: Callable[[TaskSubmitted], Awaitable[Reply]],
        *,
        clock: Clock,
        vault: Vault,
        metrics: Metrics,
        crasher: Crasher,
        runs_max: int,
        is_closing: Callable[[], bool],
        agents_back_ms: int = AGENTS_BACK_MS,
    ) -> None:
        self._inbox = inbox
        self._streams = streams
        self._fleet = fleet
        self._ask = ask
        self._clock = clock
        self._vault = vault
        self._metrics = metrics
        self._crasher = crasher
        self._runs_max = runs_max
        self._is_closing = is_closing
        self._patient_until_ms = clock.now().ms + agents_back_ms
        self._open: dict[str, list[Asked]] = {}
        """By run: the entries that wait for its result."""
        self._later: dict[str, Asked] = {}
        """By entry: what could not begin."""
        self._has_room = asyncio.Event()

    @property
    def open_runs(self) -> int:
        return len(self._open) + len(self._later)

    # --- the loops ---

    async def run(self) -> None:
        """Take requests in for ever, and say of those in hand that they are."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inbox.reader.tend())
            group.create_task(self._look_again())
            await self._adopt()
            while True:
                await self._take()

    async def _adopt(self) -> None:
        """The entries of runs that this ledger has under way: with them come the keys that a restart lost."""
        patience = self._streams.patience()
        waiting = list(self._fleet.open_runs())
        while waiting:
            task = waiting[-1]
            assert task.spec.run is not None
            try:
                asked = await self._inbox.adopt(task.spec.run.plugin_run_id)
            except RedisTrouble:
                await patience.wait()
                continue
            waiting.pop()
            if asked is not None:
                await self._begin_or_wait(asked)

    async def _take(self) -> None:
        free = self._runs_max - self.open_runs
        if free <= 0 or self._is_closing():
            self._has_room.clear()
            try:
                async with asyncio.timeout(AGAIN_MS / 1000):
                    await self._has_room.wait()
            except TimeoutError:
                return
            return
        for asked in await self._inbox.take(free):
            await self._begin_or_wait(asked)

    async def _look_again(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now().ms + AGAIN_MS)
            later, self._later = self._later, {}
            for asked in later.values():
                await self._begin_or_wait(asked)
            self._metrics.stream_runs.set(self.open_runs)

    # --- one request ---

    async def _begin_or_wait(self, asked: Asked) -> None:
        try:
            await self._begin(asked)
        except Closing:
            self._inbox.reader.put_back(asked.entry_id)  # the next life of this hub takes it up at once
        except (Later, Overloaded, StorageFull, RedisTrouble) as why:
            self._later[asked.entry_id] = asked
            logger.info("= a request waits: %s", why, extra={"plugin_run_id": asked.request.plugin_run_id})

    async def _begin(self, asked: Asked) -> None:
        request = asked.request
        self._crasher.come_to(StreamPoint.CONSUME_BEFORE_SUBMIT)
        plain, keys = parted(request.settings)
        inputs = Raw(msgspec.json.encode(plain))
        trouble = too_big(inputs, keys) or await self._why_not(request.plugin_name)
        if trouble is not None:
            await self._refuse(asked, trouble)
            return
        run = RunSpec(
            plugin_run_id=request.plugin_run_id,
            user_id=request.user_id,
            plugin_id=request.plugin_name,
            origin="stream",
            digest=runs.digest_of(request.user_id, request.plugin_name, plain),
        )
        wall_ms = self._clock.now().wall_ms
        channel = request.plugin_run_id  # the one name that whoever asked knows
        spec = runs.spec_of_run(run, request.plugin_name, inputs, by=BY, wall_ms=wall_ms, stream_id=channel)
        task_id = TaskId("task-" + secrets.token_hex(TASK_ID_BYTES))
        self._vault.keep(task_id, keys)
        self._open.setdefault(request.plugin_run_id, []).append(asked)
        try:
            task = await self._submitted(TaskSubmitted(task_id=task_id, spec=spec))
        except Exception:
            self._vault.drop(task_id)
            self._forget(asked)
            raise
        self._crasher.come_to(StreamPoint.CONSUME_AFTER_SUBMIT)
        await self._join(asked, task, task_id, keys)

    async def _submitted(self, event: TaskSubmitted) -> Task:
        """The task of this run: this one, or the one that was there before under the same id."""
        reply = await self._ask(event)
        if isinstance(reply, Granted):
            assert reply.task is not None, "a granted push names its task"
            return reply.task
        assert reply is not None, "a push has a reply"
        if reply.kind is not RefusalKind.KEY_REUSED:
            raise Later(reply.kind.value)
        known = None if reply.task_id is None else await self._fleet.task(reply.task_id)
        if known is None:
            raise Later("the run of this id is not to be found")
        return known

    async def _join(self, asked: Asked, task: Task, task_id: TaskId, keys: dict[str, object]) -> None:
        if task.task_id != task_id:
            self._vault.drop(task_id)
            self._metrics.stream_requests.labels("joined").inc()
        else:
            self._metrics.stream_requests.labels("taken").inc()
        if task.is_final and task.spec.run is not None:
            self._forget(asked)
            await self._answer(asked, result_of(task))
        elif task.spec.run is None:
            self._forget(asked)
            await self._refuse(asked, ID_TAKEN)
        elif task.spec.run.origin != "stream":
            self._forget(asked)
            raise Later("a run of this id was asked for over HTTP")  # nobody tells the relay when it ends
        elif task.task_id != task_id and self._fleet.is_open(task.task_id):
            self._vault.keep(task.task_id, keys)

    async def _why_not(self, plugin: str) -> str | None:
        """Why nobody here will ever do it (L83); a fleet that is only coming back is waited for."""
        if await self._fleet.knows_plugin(plugin):
            return None
        if self._clock.now().ms < self._patient_until_ms:
            raise Later(f"no agent offers the plugin {plugin} yet")
        return f"Plugin crew not found: {plugin}"

    async def _answer(self, asked: Asked, result: Result) -> None:
        self._crasher.come_to(StreamPoint.CONSUME_BEFORE_ANSWER)
        await self._inbox.answer(asked, result)
        self._metrics.stream_requests.labels("answered").inc()
        self._crasher.come_to(StreamPoint.CONSUME_AFTER_ANSWER)

    async def _refuse(self, asked: Asked, error: str) -> None:
        self._crasher.come_to(StreamPoint.CONSUME_BEFORE_ANSWER)
        await self._inbox.refuse(asked, error)
        self._metrics.stream_requests.labels("answered").inc()
        self._crasher.come_to(StreamPoint.CONSUME_AFTER_ANSWER)

    # --- what the relay calls ---

    def released(self, plugin_run_id: str) -> None:
        """The result is out, and by the same step in Redis the entry is acknowledged."""
        for asked in self._open.pop(plugin_run_id, ()):
            self._inbox.reader.drop(asked.entry_id)
        self._has_room.set()

    def _forget(self, asked: Asked) -> None:
        run_id = asked.request.plugin_run_id
        left = [one for one in self._open.get(run_id, ()) if one.entry_id != asked.entry_id]
        if left:
            self._open[run_id] = left
        else:
            self._open.pop(run_id, None)
        self._has_room.set()


def too_big(inputs: Raw, keys: dict[str, object]) -> str | None:
    if is_too_big(keys):
        return f"the credentials among the settings may have {KEYS_BYTES_MAX} bytes together"
    if len(bytes(inputs)) > SETTINGS_BYTES_MAX:
        return f"the settings may have {SETTINGS_BYTES_MAX} bytes"
    return None
