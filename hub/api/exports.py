"""Exports as JSON lines: tasks by filter, and the log of events, as long as they are.

Owns the stream: a page of the ledger at a time, none read before the one before it was taken. Whoever does
not read, or whose token ends, is cut off in the middle, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.api import problems
from hub.api.endpoint import Call, Endpoint
from hub.api.filters import FILTERS, filter_of
from hub.api.views import view_event
from hub.api.views_tasks import view_task
from hub.auth import Scope as Right
from hub.guards import GuardedHttp
from hub.lines import CURSOR_OFFSET_DIGITS_MAX
from hub.store.task_filters import TaskFilter
from protocol.limits import INTEGER_MAX

EXPORTS_MAX: Final = 4
"""Under way at once: as many as there are readers of the ledger, which each needs now and then."""

HEADERS: Final = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]


class Export(Response):
    """Lines until there are no more. Holds one of the places for exports until it ends."""

    def __init__(self, call: Call, pages: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._call = call
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            async with asyncio.TaskGroup() as both:
                pumping = both.create_task(self._pump(scope, send))
                watching = both.create_task(until_gone(receive, pumping))
                await asyncio.wait((pumping,))
                watching.cancel()
        finally:
            self._call.parts.throttle.exports -= 1

    async def _pump(self, scope: Scope, send: Send) -> None:
        if not await self._send_all(send):
            connection = scope.get("state", {}).get("connection")
            if isinstance(connection, GuardedHttp):
                connection.transport.abort()

    async def _send_all(self, send: Send) -> bool:
        """Whether all of it was taken."""
        call, send_s = self._call, self._call.parts.settings.send_ms / 1000
        try:
            async for page in self._pages:
                if not call.parts.authority.is_valid(call.identity.token_id):
                    return False
                async with asyncio.timeout(send_s):
                    await send({"type": "http.response.body", "body": page, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return False
        return True


async def until_gone(receive: Receive, pumping: asyncio.Task[None]) -> None:
    """Nobody listens any more: nothing more is read for them."""
    while (await receive())["type"] != "http.disconnect":
        pass
    pumping.cancel()


def begin(call: Call, pages: AsyncIterator[bytes]) -> Export:
    if call.parts.throttle.exports >= EXPORTS_MAX:
        raise problems.overloaded()
    call.parts.throttle.exports += 1
    return Export(call, pages)


def lines(views: Iterable[object]) -> bytes:
    return b"".join(msgspec.json.encode(view) + b"\n" for view in views)


async def pages_of_tasks(call: Call, wanted: TaskFilter) -> AsyncIterator[bytes]:
    cursor: str | None = None
    while True:
        page = await call.parts.queries.tasks(wanted, cursor=cursor)
        assert page is not None, "the cursor is the ledger's own"
        if page.tasks:
            yield lines(view_task(task) for task in page.tasks)
        if page.next is None:
            return
        cursor = page.next


async def pages_of_events(call: Call, since: int) -> AsyncIterator[bytes]:
    """Up to the newest that there was at the beginning: an export has an end, the feed has none."""
    last, epoch = await call.parts.queries.last_offset(), call.parts.board.epoch
    while since < last:
        events = [event for event in await call.parts.queries.events_after(since) if event.offset <= last]
        if not events:
            return
        yield lines(view_event(event, epoch) for event in events)
        since = events[-1].offset


async def export_tasks(call: Call) -> Response:
    """Newest first, as they stand when their page is read. What is pushed meanwhile is not among them."""
    return begin(call, pages_of_tasks(call, filter_of(call)))


async def export_events(call: Call) -> Response:
    """Oldest first, from the first after `since`: an offset, or a cursor of this epoch."""
    return begin(call, pages_of_events(call, since_of(call)))


def since_of(call: Call) -> int:
    said = call.request.query_params.get("since") or "0"
    epoch, colon, offset = said.rpartition(":")
    if colon and epoch != call.parts.board.epoch:
        raise problems.invalid_field("since", "invalid", "That cursor is of another epoch of this hub's log.")
    is_number = offset.isascii() and offset.isdigit() and len(offset) <= CURSOR_OFFSET_DIGITS_MAX
    if not is_number or int(offset) > INTEGER_MAX:
        raise problems.invalid_field("since", "invalid", "Expected an offset or a cursor of the feed.")
    return int(offset)


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/tasks/export",
        "Tasks as JSON lines, newest first",
        export_tasks,
        Right.TASKS_READ,
        query=FILTERS,
        refusals=(422, 503),
    ),
    Endpoint(
        "GET",
        "/api/events/export",
        "The log of events as JSON lines, oldest first",
        export_events,
        Right.FEED_READ,
        query=("since",),
        refusals=(422, 503),
        tag="feed",
    ),
)
