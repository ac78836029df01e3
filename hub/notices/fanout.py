"""From the log of events to deliveries: what was committed is held against every filter, once.

Owns how far each receiver's cursor may move and when it waits. A kill between any two steps costs nothing:
the cursor and what was found up to it are one transaction. Never sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from hub.api.views_tasks import TaskView, view_task
from hub.crashpoints import Crasher, NoticePoint
from hub.notices.message import body_of, message_id
from hub.ports import Clock, CommittedEvent
from hub.store.queries import Queries
from hub.store.receivers import About, Receiver
from hub.store.tables import ENDINGS
from hub.store.webhooks import Notice, Webhooks
from protocol.ids import TaskId
from protocol.limits import MIB

EVENTS_MAX: Final = 200
"""Looked at in one step: what a fact may have to wait for is the writing of so many rows a receiver."""

STEP_BYTES_MAX: Final = 4 * MIB
"""Of one step, which ends when its bodies grow above this, but never before the first: an end tells all of
its task, and results may have 256 KiB each."""

PENDING_MAX: Final = 10_000
"""Deliveries that one receiver may have before it. With more its cursor waits: the events are in the log, and
an enabled receiver's are not forgotten there."""


class Backlog:
    """How many deliveries each receiver still has to get."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)

    def of(self, webhook_id: str) -> int:
        return self._counts.get(webhook_id, 0)

    def add(self, webhook_id: str, number: int = 1) -> None:
        self.set(webhook_id, self.of(webhook_id) + number)

    def set(self, webhook_id: str, number: int) -> None:
        """What ends while it is counted anew may count twice: the bound is not that sharp."""
        self._counts[webhook_id] = max(0, number)

    def drop(self, webhook_id: str) -> None:
        self._counts.pop(webhook_id, None)

    def total(self) -> int:
        return sum(self._counts.values())


class FanOut:
    """`step` until it says that nothing is left, and again after every commit."""

    def __init__(
        self,
        receivers: dict[str, Receiver],
        backlog: Backlog,
        webhooks: Webhooks,
        queries: Queries,
        clock: Clock,
        *,
        epoch: Callable[[], str],
        source: str,
        crasher: Crasher,
        pending_max: int = PENDING_MAX,
    ) -> None:
        self._receivers = receivers
        self._backlog = backlog
        self._webhooks = webhooks
        self._queries = queries
        self._clock = clock
        self._epoch = epoch
        self._source = source
        self._crasher = crasher
        self._pending_max = pending_max

    async def step(self) -> frozenset[str] | None:
        """Look at the next events; who has deliveries now, or None when there was nothing to look at."""
        ready = self._ready()
        if not ready:
            return None
        start = min(receiver.cursor for receiver in ready)
        events = await self._queries.events_after(start, EVENTS_MAX)
        if not events:
            return None
        notices, last = await self._notices(events, ready)
        moving = [receiver for receiver in ready if receiver.cursor < last]
        moves = [(one.webhook_id, one.cursor, last) for one in moving]
        self._crasher.come_to(NoticePoint.SPREAD_BEFORE_WRITE)
        moved, pending = await self._webhooks.fan_out(moves, notices, self._clock.now().wall_ms)
        self._crasher.come_to(NoticePoint.SPREAD_AFTER_WRITE)
        self._keep_up(moving, moved, last)
        if len(moved) < len(moving):
            await self._catch_up()
        for webhook_id in pending:
            self._backlog.add(webhook_id)
        return frozenset(pending)

    def _ready(self) -> list[Receiver]:
        return [
            receiver
            for receiver in self._receivers.values()
            if receiver.is_enabled and self._backlog.of(receiver.webhook_id) < self._pending_max
        ]

    def _keep_up(self, moving: Iterable[Receiver], moved: frozenset[str], last: int) -> None:
        """Whoever was changed by somebody else meanwhile has another cursor, and keeps it."""
        for before in moving:
            now = self._receivers.get(before.webhook_id)
            if now is not None and before.webhook_id in moved and now.cursor == before.cursor:
                self._receivers[before.webhook_id] = replace(now, cursor=last)

    async def _catch_up(self) -> None:
        """Somebody was changed meanwhile: the ledger knows where everybody stands."""
        for one in await self._webhooks.load():
            now = self._receivers.get(one.webhook_id)
            if now is not None:
                self._receivers[one.webhook_id] = replace(now, cursor=one.cursor)

    # --- what is told, and to whom ---

    async def _notices(
        self, events: Sequence[CommittedEvent], receivers: Sequence[Receiver]
    ) -> tuple[list[Notice], int]:
        """What is told of them, as far as it has room together, and the last event to which that goes."""
        meant = [event for event in events if any(may_mean(one, event) for one in receivers)]
        task_ids = sorted({event.task_id for event in meant if event.task_id is not None})
        about = await self._webhooks.about(task_ids) if task_ids else {}
        notices: list[Notice] = []
        size = 0
        for event in meant:
            if size > STEP_BYTES_MAX:
                return notices, event.offset - 1
            its = about.get(event.task_id or "")
            webhook_ids = tuple(one.webhook_id for one in receivers if means(one, event, its))
            if webhook_ids:
                notices.append(await self._notice(event, its, webhook_ids))
                size += len(notices[-1].body)
        return notices, events[-1].offset

    async def _notice(
        self, event: CommittedEvent, about: About | None, webhook_ids: tuple[str, ...]
    ) -> Notice:
        epoch = self._epoch()
        body = body_of(
            event,
            epoch,
            self._source,
            task=await self._ended(event),
            trace=None if about is None else about.trace,
        )
        return Notice(
            offset=event.offset,
            message_id=message_id(epoch, event.offset),
            body=body,
            event=event.event,
            task_id=event.task_id,
            agent_id=event.agent_id,
            webhook_ids=webhook_ids,
        )

    async def _ended(self, event: CommittedEvent) -> TaskView | None:
        """The task whose end this is, if it is still kept."""
        if event.event not in ENDINGS or event.task_id is None:
            return None
        task = await self._queries.task(TaskId(event.task_id))
        return None if task is None else view_task(task)


def may_mean(receiver: Receiver, event: CommittedEvent) -> bool:
    """What can be said without a look at the task."""
    return event.offset > receiver.cursor and receiver.wanted.may_fit(event.event, event.agent_id)


def means(receiver: Receiver, event: CommittedEvent, about: About | None) -> bool:
    return event.offset > receiver.cursor and receiver.wanted.fits(event.event, event.agent_id, about)
