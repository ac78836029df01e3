"""The two inboxes: requests to run and results to take in, already judged.

Owns what becomes of an entry that is malformed (L82), kills whoever takes it (L81), or asks for what is
answered or under way (L79): it is answered, parked and acknowledged here, and nobody else sees it. Never
runs anything, and never decides what a result means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from streams import names
from streams.entries import Malformed, Request, Result, fields_of_request, read_request, read_result
from streams.link import Streams
from streams.reader import CLAIM_IDLE_MS, Delivered, GroupReader
from streams.trouble import RedisTrouble
from streams.writer import Writer

log = logging.getLogger("streams")


class Asked(msgspec.Struct, frozen=True):
    """A request to act on. `answer` it, `refuse` it, or `leave` it to whoever claims it."""

    entry_id: str
    request: Request


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A result, `done` when it is taken in. `fault`: it was malformed, and counts as failed for that."""

    entry: Delivered
    result: Result
    fault: str | None = None


Item = TypeVar("Item")


async def judged(
    reader: GroupReader, free: int, judge: Callable[[Delivered], Awaitable[Item | None]]
) -> list[Item]:
    """What is left of the next entries when each has been judged; none is lost on the way."""
    found: list[Item] = []
    delivered = await reader.take(free)
    for place, entry in enumerate(delivered):
        try:
            item = await judge(entry)
        except RedisTrouble:
            _put_back(reader, delivered[place:])
            return found
        except asyncio.CancelledError:
            _put_back(reader, delivered)
            raise
        if item is not None:
            found.append(item)
    return found


def _put_back(reader: GroupReader, entries: list[Delivered]) -> None:
    for entry in entries:
        if entry.entry_id in reader.in_hand:
            reader.put_back(entry.entry_id)


class RequestInbox:
    """Reads `plugin:requests` as one of the `crewai-workers`."""

    def __init__(
        self,
        streams: Streams,
        writer: Writer,
        *,
        name: str | None = None,
        block_ms: int = names.READ_BLOCK_MS,
        claim_idle_ms: int = CLAIM_IDLE_MS,
        deliveries_max: int = names.DELIVERIES_MAX,
    ) -> None:
        self.reader = GroupReader(
            streams,
            names.REQUESTS,
            names.REQUEST_GROUP,
            name=name,
            block_ms=block_ms,
            claim_idle_ms=claim_idle_ms,
        )
        self._writer = writer
        self._deliveries_max = deliveries_max

    async def take(self, free: int) -> list[Asked]:
        """At most `free` requests to act on; see `GroupReader.take`."""
        return await judged(self.reader, free, self._judged)

    async def adopt(self, run_id: str) -> Asked | None:
        """The request of a run that the ledger knows, after a restart: its entry is ours from now on."""
        entry = await self.reader.adopt(run_id)
        if entry is None:
            return None
        request = read_request(entry.fields)
        assert isinstance(request, Request), "only what could be read was begun"
        return Asked(entry.entry_id, request)

    async def answer(self, asked: Asked, result: Result) -> str | None:
        """Publish the result, then acknowledge, in one step. Raises RedisAway: say it again then."""
        entry_id = await self._writer.answer(result, entry_id=asked.entry_id)
        self.reader.drop(asked.entry_id)
        return entry_id

    async def refuse(self, asked: Asked, reason: str) -> None:
        """Nobody here will ever do it (L83): answered, parked for a person to see, acknowledged. An entry
        that is gone (FLUSHALL) is answered all the same. Raises RedisAway: say it again then.
        """
        request, run_id = asked.request, asked.request.plugin_run_id
        said = fields_of_request(request, 0)
        fields = {name.encode(): said[name].encode() for name in (names.PAYLOAD, names.VERSION)}
        entry = Delivered(entry_id=asked.entry_id, fields=fields)
        if not await self._refuse(entry, reason, run_id):
            await self.answer(asked, Result(plugin_run_id=run_id, status="failed", error=reason))

    async def _judged(self, entry: Delivered) -> Asked | None:
        found = read_request(entry.fields)
        if isinstance(found, Malformed):
            await self._refuse(entry, found.reason, found.plugin_run_id)
            return None
        if entry.times_delivered > self._deliveries_max:
            tries = entry.times_delivered - 1
            reason = f"the request was taken {tries} times and never finished"
            await self._refuse(entry, reason, found.plugin_run_id)
            return None
        beginning = await self._writer.begin(found.plugin_run_id, entry.entry_id)
        if beginning == "begun":
            return Asked(entry.entry_id, found)
        log.info("request %s for run %s is %s", entry.entry_id, found.plugin_run_id, beginning)
        self.reader.drop(entry.entry_id)
        return None

    async def _refuse(self, entry: Delivered, reason: str, run_id: str | None) -> bool:
        """Whether it was still there."""
        copy = await self._writer.refuse(names.REQUESTS, names.REQUEST_GROUP, entry, reason, run_id=run_id)
        log.warning("request %s is parked in %s: %s", entry.entry_id, names.DEAD, reason)
        self.reader.drop(entry.entry_id)
        return copy is not None


class ResultInbox:
    """Reads `plugin:results` as one of the `go-workers`."""

    def __init__(
        self,
        streams: Streams,
        writer: Writer,
        *,
        name: str | None = None,
        block_ms: int = names.READ_BLOCK_MS,
        claim_idle_ms: int = CLAIM_IDLE_MS,
    ) -> None:
        self.reader = GroupReader(
            streams,
            names.RESULTS,
            names.RESULT_GROUP,
            name=name,
            block_ms=block_ms,
            claim_idle_ms=claim_idle_ms,
        )
        self._writer = writer

    async def take(self, free: int = names.READ_COUNT) -> list[Told]:
        """At most `free` results to take in, in the order in which they were published."""
        return await judged(self.reader, free, self._judged)

    async def done(self, told: Told) -> None:
        """It is taken in. Never raises: what Redis did not hear comes again, and is taken in again."""
        if told.fault is None:
            await self.reader.ack(told.entry.entry_id)
            return
        try:
            await self._park(told.entry, told.fault)
        except RedisTrouble:
            self.reader.put_back(told.entry.entry_id)

    def leave(self, told: Told) -> None:
        """Nobody here knows the run: the result stays pending, and comes again later."""
        self.reader.leave(told.entry.entry_id)

    async def _judged(self, entry: Delivered) -> Told | None:
        found = read_result(entry.fields)
        if isinstance(found, Result):
            return Told(entry=entry, result=found)
        if found.plugin_run_id is None:
            await self._park(entry, found.reason)
            return None
        error = f"the result that came is malformed: {found.reason}"
        failed = Result(plugin_run_id=found.plugin_run_id, status="failed", error=error)
        return Told(entry=entry, result=failed, fault=found.reason)

    async def _park(self, entry: Delivered, reason: str) -> None:
        await self._writer.refuse(names.RESULTS, names.RESULT_GROUP, entry, reason)
        log.warning("result %s is parked in %s: %s", entry.entry_id, names.DEAD, reason)
        self.reader.drop(entry.entry_id)
