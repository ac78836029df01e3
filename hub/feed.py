"""The feed: what was committed, in order, and what passes by, for whoever watches.

Owns the ring of the newest lines, which all watchers share and each reads at its own pace, the form of a
line on each wire (encoded once, whoever reads it), cursors, and what a `Watcher` gets to see next. A
watcher that falls out of the ring reads on from the log, is told a `gap` for the passing events it missed,
and slows nobody. Never sends anything (`watching.py` does) and never shows an event before it is committed.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from msgspec import Raw

from hub.clock import HubClock
from hub.core.effects import PassBy
from hub.errors import Overloaded
from hub.lines import Filter, Line, encode, parse_cursor
from hub.metrics import Metrics
from hub.ports import CommittedEvent
from protocol.ids import TokenId
from protocol.limits import KIB, MIB

NOBODY: Final = TokenId("")

RING_BYTES_MAX: Final = 32 * MIB
"""Payloads held by the ring, whatever their number."""

LOOK_LINES_MAX: Final = 256
"""Lines a watcher looks at before it lets others run."""

LOOK_BYTES_MAX: Final = 256 * KIB
"""What goes out in one send."""

PAGE_EVENTS: Final = 500
"""Rows read from the log in one go."""


class Log(Protocol):
    """Where older events are read from."""

    async def events_after(self, offset: int, limit: int) -> Sequence[CommittedEvent]:
        """Committed events with a higher offset, in order."""


class Feed:
    """The ring and its readers. Everything is called from the event loop."""

    def __init__(
        self,
        log: Log,
        *,
        epoch: str,
        last_offset: int,
        clock: HubClock,
        metrics: Metrics,
        snapshot: Callable[[], Raw],
        ring_events: int,
        watchers_max: int,
        watchers_per_token_max: int,
    ) -> None:
        self.log = log
        self.clock = clock
        self.metrics = metrics
        self.epoch = epoch
        self.last_offset = last_offset
        self.snapshot = snapshot
        self.on_events: Callable[[], None] | None = None
        """Called when events were committed, for whoever reads them from the log."""
        self._ring: deque[Line] = deque()
        self._ring_events = ring_events
        self._ring_bytes = 0
        self._dropped = 0
        self._watchers: set[Watcher] = set()
        self._watchers_max = watchers_max
        self._watchers_per_token_max = watchers_per_token_max

    # --- writing: the dispatcher, once a turn ---

    def publish(self, events: Sequence[CommittedEvent]) -> None:
        """Committed events, in the order of their offsets."""
        for event in events:
            assert event.offset == self.last_offset + 1, f"offset {event.offset} after {self.last_offset}"
            self.last_offset = event.offset
            self._append(Line(event, self.epoch, event.offset))
        if events:
            self.metrics.feed_events.inc(len(events))
            if self.on_events is not None:
                self.on_events()

    def pass_by(self, effect: PassBy) -> None:
        """Something that may be lost; with nobody watching it is."""
        if self._watchers:
            self._append(Line(effect, self.epoch, self.last_offset, is_passing=True))

    def wake(self) -> None:
        """Tell waiting watchers that there is something new: once a turn, not once an event."""
        for watcher in self._watchers:
            watcher.wake()

    def renew_epoch(self, epoch: str) -> None:
        """History was lost: every cursor given out before is worthless, and every watcher is told so."""
        self.epoch = epoch
        self._dropped += len(self._ring)
        self._ring.clear()
        self._ring_bytes = 0
        for watcher in self._watchers:
            watcher.lost_epoch()

    def _append(self, line: Line) -> None:
        self._ring.append(line)
        self._ring_bytes += len(line.source.payload)
        while len(self._ring) > self._ring_events or self._ring_bytes > RING_BYTES_MAX:
            self._ring_bytes -= len(self._ring.popleft().source.payload)
            self._dropped += 1

    # --- reading ---

    def cursor(self, offset: int) -> str:
        return f"{self.epoch}:{offset}"

    @property
    def end(self) -> int:
        """The place in the ring where the next line will stand; places are counted from the hub's start."""
        return self._dropped + len(self._ring)

    @property
    def start(self) -> int:
        """The place of the oldest line in the ring."""
        return self._dropped

    def lines_from(self, place: int, most: int) -> list[Line]:
        """Up to `most` lines of the ring from a place on, which must not lie before `start`."""
        assert self.start <= place <= self.end
        back = self.end - place
        if back <= len(self._ring) // 2:
            tail = list(islice(reversed(self._ring), back))
            tail.reverse()
            return tail[:most]
        skipped = place - self.start
        return list(islice(self._ring, skipped, skipped + most))

    def place_after(self, offset: int) -> int | None:
        """The place where whoever has seen all up to `offset` reads on; None if that has left the ring."""
        place = self.end
        for line in reversed(self._ring):
            if line.offset is not None and line.offset <= offset:
                return place
            place -= 1
            if line.offset == offset + 1:
                return place
        return place if offset >= self.last_offset else None

    # --- watchers ---

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def watch(
        self, wanted: Filter, *, since: str | None, token_id: TokenId = NOBODY, session: str | None = None
    ) -> Watcher:
        """A new watcher; whoever made it must `end` it. Raises Overloaded at a cap and BadCursor."""
        cursor = parse_cursor(since) if since is not None else None
        of_token = sum(watcher.token_id == token_id for watcher in self._watchers)
        if len(self._watchers) >= self._watchers_max or of_token >= self._watchers_per_token_max:
            self.metrics.refused_sockets.labels("watchers").inc()
            raise Overloaded(f"{len(self._watchers)} watchers, {of_token} of this token")
        watcher = Watcher(self, wanted, cursor, token_id, session)
        self._watchers.add(watcher)
        self.metrics.feed_subscribers.set(len(self._watchers))
        return watcher

    def forget(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        self.metrics.feed_subscribers.set(len(self._watchers))

    def close_by_token(self, token_ids: Collection[str]) -> int:
        """End the watchers of revoked tokens; how many there were."""
        return self._close(watcher for watcher in self._watchers if watcher.token_id in token_ids)

    def close_invalid(self, is_valid: Callable[[TokenId], bool]) -> int:
        """End the watchers of tokens that are not valid any more; how many there were."""
        return self._close(watcher for watcher in self._watchers if not is_valid(watcher.token_id))

    def close_session(self, session: str) -> int:
        """End the watchers of a page that has logged out; how many there were."""
        return self._close(watcher for watcher in self._watchers if watcher.session == session)

    def close_over(self, wall_ms: int) -> int:
        """End the watchers of pages whose session has come to its absolute end; how many there were."""
        return self._close(watcher for watcher in self._watchers if watcher.until_wall_ms <= wall_ms)

    def close_all(self) -> int:
        """End all watchers, because the hub ends."""
        return self._close(self._watchers)

    def _close(self, watchers: Iterable[Watcher]) -> int:
        gone = list(watchers)
        for watcher in gone:
            watcher.end()
        return len(gone)


class Watcher:
    """One reader of the feed: where it stands, and what it sees next."""

    def __init__(
        self,
        feed: Feed,
        wanted: Filter,
        cursor: tuple[str, int] | None,
        token_id: TokenId,
        session: str | None,
    ) -> None:
        self.token_id = token_id
        self.session = session
        self.until_wall_ms: float = math.inf
        self.is_ended = False
        self._feed = feed
        self._wanted = wanted
        self._offset = feed.last_offset
        """Everything up to here was shown, or was not wanted."""
        self._place: int | None = feed.end
        """Where it reads on in the ring; None while it reads from the log."""
        self._passing_from = feed.end
        """Passing lines before this place were shown to an earlier connection, or to nobody."""
        self._gap_from: str | None = None
        """Passing lines may have been lost since this cursor, and nobody has said so yet."""
        self._has_lost_passing = False
        self._waker: asyncio.Future[None] | None = None
        self._said: list[Line] = []
        self._begin(cursor)

    def _begin(self, cursor: tuple[str, int] | None) -> None:
        feed = self._feed
        if cursor is None:
            self._say_snapshot()
        elif cursor[0] != feed.epoch or cursor[1] > feed.last_offset:
            self._say_reset("epoch")
        else:
            self._offset = cursor[1]
            self._place = feed.place_after(self._offset)
            self._gap_from = feed.cursor(self._offset)

    # --- what an outlet calls ---

    async def look(self, wait_ms: int) -> list[Line]:
        """What comes next; nothing if nothing came for so long, or if the watcher has ended."""
        while not self.is_ended:
            if not self._said and not self._is_up_to_date:
                await self._advance()
            if self._said:
                lines, self._said = self._said, []
                return lines
            if self._is_up_to_date and not await self._news(wait_ms):
                return []
        return []

    def wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def end(self) -> None:
        """No more lines, from whoever closes it or from its own outlet."""
        self.is_ended = True
        self._feed.forget(self)
        self.wake()

    def lost_epoch(self) -> None:
        self._say_reset("epoch")
        self.wake()

    # --- how it reads ---

    @property
    def _is_up_to_date(self) -> bool:
        return self._place == self._feed.end and self._gap_from is None

    async def _news(self, wait_ms: int) -> bool:
        self._waker = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._waker
        except TimeoutError:
            return False
        finally:
            self._waker = None
        return True

    async def _advance(self) -> None:
        if self._place is not None and self._place < self._feed.start:
            self._fall_out()
        if self._place is None:
            await self._read_log()
            return
        if self._gap_from is not None and self._place >= self._passing_from:
            self._say_gap()
        self._read_ring(self._place)
        await self._feed.clock.breathe()

    def _fall_out(self) -> None:
        """Slower than the ring is long: whatever passed by is lost, what was committed is in the log."""
        self._feed.metrics.feed_catch_ups.inc()
        self._gap_from = self._gap_from or self._feed.cursor(self._offset)
        self._rejoin()

    def _rejoin(self) -> None:
        self._has_lost_passing = True
        self._place = self._feed.place_after(self._offset)
        self._passing_from = self._feed.start if self._place is None else self._place

    def _read_ring(self, place: int) -> None:
        is_old = place < self._passing_from
        most = min(LOOK_LINES_MAX, self._passing_from - place) if is_old else LOOK_LINES_MAX
        size = 0
        for line in self._feed.lines_from(place, most):
            place += 1
            self._offset = self._offset if line.offset is None else line.offset
            if line.offset is None and is_old:
                self._has_lost_passing = True
            elif self._wanted.lets_pass(line.source):
                self._said.append(line)
                size += len(line.source.payload)
                if size > LOOK_BYTES_MAX:
                    break
        self._place = place

    async def _read_log(self) -> None:
        """Too far behind for the ring: read on from the log, at this watcher's own pace."""
        feed = self._feed
        epoch = feed.epoch
        events = await feed.log.events_after(self._offset, PAGE_EVENTS)
        if feed.epoch != epoch:
            return
        if not events or events[0].offset != self._offset + 1:
            self._say_reset("retention")
            return
        # What is committed and not told yet comes through the ring, like all else: or it would come twice.
        told = [event for event in events if event.offset <= feed.last_offset]
        for event in told:
            if self._wanted.lets_pass(event):
                self._said.append(Line(event, epoch, event.offset))
        self._offset = told[-1].offset
        self._rejoin()

    # --- what it says of itself ---

    def _say_gap(self) -> None:
        """Progress, logs or usage passed by unseen (L62). What was committed is all there."""
        assert self._gap_from is not None
        if self._has_lost_passing:
            self._feed.metrics.feed_gaps.inc()
            self._said.append(
                self._remark("gap", encode({"from": self._gap_from, "to": self._feed.cursor(self._offset)}))
            )
        self._gap_from = None
        self._has_lost_passing = False

    def _say_reset(self, why: str) -> None:
        """The cursor leads nowhere: forget what you have, this is how things are now."""
        self._offset = self._feed.last_offset
        self._place = self._passing_from = self._feed.end
        self._gap_from = None
        self._has_lost_passing = False
        self._said = [self._remark("reset", encode({"reason": why}))]
        self._say_snapshot()

    def _say_snapshot(self) -> None:
        self._said.append(self._remark("snapshot", bytes(self._feed.snapshot())))

    def _remark(self, event: str, payload: bytes) -> Line:
        """A line for this watcher alone. A snapshot or reset may be resumed from, a gap moves nothing."""
        source = PassBy(
            event=event,
            task_id=None,
            agent_id=None,
            generation=None,
            timestamp=self._feed.clock.now().wall_ms,
            payload=Raw(payload),
        )
        return Line(source, self._feed.epoch, self._offset, is_passing=event == "gap")
