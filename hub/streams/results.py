"""Results of runs that went out by Redis: each entry of `plugin:results` becomes a fact of `hub:streams`.

Owns whose run a result is and when its entry may be acknowledged: after the receipt, never before. What
nobody here knows stays pending and is reported; what comes too late is acknowledged and changes nothing,
because a run that is over is over. Never decides about a task: the board does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from msgspec import Raw

from hub.core.task import Task
from hub.crashpoints import Crasher, StreamPoint
from hub.inner.agent import InnerAgent
from hub.inner.job import Undelivered
from protocol import limits
from protocol.ids import TaskId
from protocol.rawjson import Flaw, judge
from streams import names, scripts
from streams.entries import Result
from streams.inbox import ResultInbox, Told
from streams.link import Streams
from streams.trouble import RedisTrouble

ASIDE: Final = f"{names.CONSUMER_PREFIX}unknown"
"""Holds results of runs that nobody here knows."""

UNKNOWN_MAX: Final = 1_000
"""Results of runs that nobody here knows which are listed; the entries themselves are Redis's to keep."""

NO_REASON: Final = "the worker says that it failed, and not why"

logger = logging.getLogger(__name__)


class Runs(Protocol):
    """Who knows runs by their id: `store.RunQueries`."""

    async def run(self, plugin_run_id: str) -> Task | None: ...


class Results:
    """`run` belongs in the hub's TaskGroup."""

    def __init__(
        self,
        streams: Streams,
        inbox: ResultInbox,
        agent: InnerAgent,
        runs: Runs,
        view: Callable[[TaskId], Task | None],
        crasher: Crasher,
    ) -> None:
        self._streams = streams
        self._inbox = inbox
        self._agent = agent
        self._runs = runs
        self._view = view
        self._crasher = crasher
        self.unknown: OrderedDict[str, str] = OrderedDict()
        """Results that wait for somebody who knows their run: the entry, and the run it names."""

    async def run(self) -> None:
        """Read for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inbox.reader.tend())
            while True:
                for told in await self._inbox.take():
                    await self.take_in(told)

    async def take_in(self, told: Told) -> None:
        """One result: a fact and its receipt, then the acknowledgement."""
        task = await self._task_of(told.result)
        if task is None:
            self._report(told)
            await self._lay_aside(told)
            return
        self.unknown.pop(told.entry.entry_id, None)
        if not task.is_final:  # whichever attempt it is of: the first that is accepted wins
            self._crasher.come_to(StreamPoint.RESULT_BEFORE_FACT)
            await self._say(told.result, task)
            self._crasher.come_to(StreamPoint.RESULT_BEFORE_ACK)
        await self._inbox.done(told)
        self._crasher.come_to(StreamPoint.RESULT_AFTER_ACK)

    async def _task_of(self, result: Result) -> Task | None:
        """The run as it is now, if it is one that we have sent out. A result that this hub has published
        itself is for whoever asked.
        """
        known = await self._runs.run(result.plugin_run_id)
        if known is None or known.spec.run is None or known.spec.run.route != "streams":
            return None
        return self._view(known.task_id) or known

    async def _say(self, result: Result, task: Task) -> None:
        if result.status == "completed":
            raw = output_as_json(result.output)
            status = await self._agent.complete(task.task_id, task.generation, raw)
        else:
            # The worker has answered, and trying again is its business: ours would be another run.
            failure = Undelivered(error=result.error or NO_REASON, is_retryable=False)
            status = await self._agent.fail(task.task_id, task.generation, failure)
        extra = {"plugin_run_id": result.plugin_run_id, "task_id": task.task_id, "status": status}
        logger.info("< result", extra=extra)

    async def _lay_aside(self, told: Told) -> None:
        """Still pending, under a name that takes nothing: whoever claims what is idle for long gets it, and
        it does not come back to this reader at every turn.
        """
        self._inbox.leave(told)
        arguments = (names.RESULT_GROUP, ASIDE, told.entry.entry_id)
        try:
            await self._streams.commands.script(scripts.LAY_ASIDE, (names.RESULTS,), arguments)
        except RedisTrouble:
            return  # it comes again, and is laid aside then

    def _report(self, told: Told) -> None:
        entry_id = told.entry.entry_id
        if entry_id not in self.unknown:
            words = "! a result stays pending: nobody here has asked for the run %r"
            run_id = told.result.plugin_run_id
            logger.warning(words, run_id, extra={"plugin_run_id": run_id, "entry_id": entry_id})
        self.unknown[entry_id] = told.result.plugin_run_id
        while len(self.unknown) > UNKNOWN_MAX:
            self.unknown.popitem(last=False)


def output_as_json(output: str | None) -> Raw:
    """An output is text: kept as the JSON object or list that it is, and as a JSON string otherwise (L88)."""
    if output is None:
        return Raw(b"null")
    if output.lstrip()[:1] in {"{", "["}:
        found = judge(output, bytes_max=limits.RESULT_BYTES_MAX)
        if not isinstance(found, Flaw):
            return found
    return Raw(msgspec.json.encode(output.replace("\0", "\N{REPLACEMENT CHARACTER}")))
