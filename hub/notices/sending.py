"""Sending: what is due goes out, a few at a time to each receiver, and what came of it is written down.

Owns the bounds on what is under way, the order between receivers, and what an answer means. A receiver that
fails, or says nothing, has one call at a time, and all such together have half of the room at most: the
others never wait for them. Never decides what is told to whom.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from console.harmless import harmless
from hub.clock import monotonic_s
from hub.crashpoints import Crasher, NoticePoint
from hub.metrics import Metrics
from hub.notices import patience
from hub.notices.fanout import Backlog
from hub.notices.keys import Keyring
from hub.notices.message import CONTENT_TYPE
from hub.ports import Clock, StorageFull
from hub.store.receivers import Receiver
from hub.store.webhooks import DELIVERED, FAILED, PENDING, Due, Try, Webhooks
from hub.webhooks.guard import BadTarget, target_of
from hub.webhooks.posting import Answered, Unanswered, post

logger = logging.getLogger(__name__)

CALLS_MAX: Final = 32
"""Under way at once, to all receivers together."""

CALLS_EACH_MAX: Final = 2
"""To one receiver: more would be a flood to a small one, and one that says nothing holds no more."""

CALLS_UNWELL_MAX: Final = 16
"""To all receivers together whose last call has failed."""

AHEAD: Final = 50
"""Deliveries of one receiver that are looked up together."""

ANSWER_BYTES_MAX: Final = 4 * 1024
"""Read of an answer."""

ANSWER_KEPT_MAX: Final = 1_024
"""Characters of it that the log keeps."""

ERROR_KEPT_MAX: Final = 300

LOOK_MS_MAX: Final = 30_000
"""The wall's clock may be set: nobody waits longer for a look at what is due."""

RETRY_MS: Final = 5_000
"""After a disk that had no room."""


class Lane:
    """One receiver's deliveries on their way out."""

    def __init__(self, webhook_id: str) -> None:
        self.webhook_id = webhook_id
        self.ahead: deque[Due] = deque()
        self.in_hand: set[int] = set()
        self.look_wall_ms: int | None = 0
        """When there is something to look up; None: when somebody says so."""
        self.is_unwell = False

    @property
    def room(self) -> int:
        return (1 if self.is_unwell else CALLS_EACH_MAX) - len(self.in_hand)

    def look_at(self, wall_ms: int) -> None:
        self.look_wall_ms = wall_ms if self.look_wall_ms is None else min(self.look_wall_ms, wall_ms)


class Sender:
    """`run` belongs in the hub's TaskGroup."""

    def __init__(
        self,
        receivers: dict[str, Receiver],
        backlog: Backlog,
        webhooks: Webhooks,
        keyring: Keyring,
        clock: Clock,
        metrics: Metrics,
        *,
        allow_private: bool,
        roll: Callable[[], float],
        crasher: Crasher,
        on_outcome: Callable[[str, Try, object], Awaitable[None]],
    ) -> None:
        self._receivers = receivers
        self._backlog = backlog
        self._webhooks = webhooks
        self._keyring = keyring
        self._clock = clock
        self._metrics = metrics
        self._allow_private = allow_private
        self._roll = roll
        self._crasher = crasher
        self._on_outcome = on_outcome
        self._lanes: dict[str, Lane] = {}
        self._turn: deque[str] = deque()
        self.bell = asyncio.Event()

    @property
    def under_way(self) -> int:
        return sum(len(lane.in_hand) for lane in self._lanes.values())

    def look(self, webhook_id: str) -> None:
        """There may be something due for this one now."""
        if webhook_id in self._receivers:
            self._lane(webhook_id).look_at(0)
            self.bell.set()

    def drop(self, webhook_id: str) -> None:
        """It is told nothing any more; what is under way ends by itself."""
        if webhook_id in self._lanes:
            self._lanes[webhook_id].ahead.clear()

    def _lane(self, webhook_id: str) -> Lane:
        if webhook_id not in self._lanes:
            self._lanes[webhook_id] = Lane(webhook_id)
            self._turn.append(webhook_id)
        return self._lanes[webhook_id]

    # --- the loop ---

    async def run(self) -> None:
        """Send what is due, for ever."""
        for webhook_id in self._receivers:
            self._lane(webhook_id)
        async with asyncio.TaskGroup() as group:
            while True:
                self.bell.clear()
                pause_ms = await self.start_due(group)
                try:
                    async with asyncio.timeout(pause_ms / 1_000):
                        await self.bell.wait()
                except TimeoutError:
                    continue

    async def start_due(self, group: asyncio.TaskGroup) -> int:
        """Begin what is due and has room, each receiver in its turn; how long to wait for the next look."""
        has_begun = True
        while has_begun and self.under_way < CALLS_MAX:
            has_begun = False
            for webhook_id in tuple(self._turn):
                if self.under_way < CALLS_MAX and await self._start_one(group, webhook_id):
                    has_begun = True
                    self._turn.remove(webhook_id)
                    self._turn.append(webhook_id)
        return self._pause_ms()

    async def _start_one(self, group: asyncio.TaskGroup, webhook_id: str) -> bool:
        lane, receiver = self._lanes[webhook_id], self._receivers.get(webhook_id)
        if receiver is None and not lane.in_hand:
            self._forget(webhook_id)
        if receiver is None or not receiver.is_enabled or not self._has_room(lane):
            return False
        if not lane.ahead:
            await self._look_up(lane)
        if not lane.ahead:
            return False
        due = lane.ahead.popleft()
        lane.in_hand.add(due.number)
        group.create_task(self._deliver(lane, due))
        return True

    def _has_room(self, lane: Lane) -> bool:
        if lane.room <= 0:
            return False
        unwell = sum(len(one.in_hand) for one in self._lanes.values() if one.is_unwell)
        return not lane.is_unwell or unwell < CALLS_UNWELL_MAX

    def _forget(self, webhook_id: str) -> None:
        del self._lanes[webhook_id]
        self._turn.remove(webhook_id)

    async def _look_up(self, lane: Lane) -> None:
        wall_ms = self._clock.now().wall_ms
        if lane.look_wall_ms is None or lane.look_wall_ms > wall_ms:
            return
        lane.look_wall_ms = None  # before the reads: what is written during them says so itself
        found = await self._webhooks.due(lane.webhook_id, wall_ms, AHEAD, sorted(lane.in_hand))
        lane.ahead.extend(one for one in found if one.number not in lane.in_hand)
        if len(found) == AHEAD:
            lane.look_at(0)
        elif (next_ms := await self._webhooks.next_due(lane.webhook_id, wall_ms)) is not None:
            lane.look_at(next_ms)

    def _pause_ms(self) -> int:
        wall_ms = self._clock.now().wall_ms
        looks = [
            lane.look_wall_ms - wall_ms
            for lane in self._lanes.values()
            if lane.look_wall_ms is not None and self._is_open(lane)
        ]
        return min(max(min(looks, default=LOOK_MS_MAX), 0), LOOK_MS_MAX)

    def _is_open(self, lane: Lane) -> bool:
        """Whether a look could begin anything: else the end of a call rings the bell."""
        receiver = self._receivers.get(lane.webhook_id)
        is_wanted = receiver is not None and receiver.is_enabled
        return is_wanted and not lane.ahead and self._has_room(lane) and self.under_way < CALLS_MAX

    # --- one delivery ---

    async def _deliver(self, lane: Lane, due: Due) -> None:
        try:
            await self._attempt(lane, due)
        except StorageFull:
            # It stays pending, and is told again: under the same message id.
            logger.warning("! no room to note a delivery", extra={"delivery": due.number})
            lane.look_at(self._clock.now().wall_ms + RETRY_MS)
        finally:
            lane.in_hand.discard(due.number)
            self.bell.set()

    async def _attempt(self, lane: Lane, due: Due) -> None:
        receiver, body = self._receivers.get(lane.webhook_id), await self._webhooks.body(due.message_id)
        if receiver is None or not receiver.is_enabled or body is None:
            return  # removed, disabled or forgotten a moment ago
        began_s, wall_ms = monotonic_s(), self._clock.now().wall_ms
        self._crasher.come_to(NoticePoint.NOTICE_BEFORE_CALL)
        answer = await self._call(receiver, due.message_id, body.encode(), wall_ms)
        self._crasher.come_to(NoticePoint.NOTICE_AFTER_CALL)
        one = self._judged(due, answer, int((monotonic_s() - began_s) * 1_000))
        lane.is_unwell = one.state != DELIVERED
        is_settled = await self._webhooks.settle(one)
        self._crasher.come_to(NoticePoint.NOTICE_AFTER_NOTE)
        if one.state == PENDING:
            lane.look_at(one.due_wall_ms)
        elif is_settled and lane.webhook_id in self._receivers:
            self._backlog.add(lane.webhook_id, -1)
        await self._on_outcome(lane.webhook_id, one, answer)

    async def _call(
        self, receiver: Receiver, message_id: str, body: bytes, wall_ms: int
    ) -> Answered | Unanswered | BadTarget:
        headers = self._keyring.headers(receiver, message_id, wall_ms, body)
        headers["Content-Type"] = CONTENT_TYPE
        try:
            target = target_of(receiver.url, allow_private=self._allow_private)
            return await post(
                target, body, headers, allow_private=self._allow_private, kept_bytes=ANSWER_BYTES_MAX
            )
        except BadTarget as refused:
            return refused
        except Exception as error:  # whatever a stranger answers, it never ends the hub
            logger.exception("! a call has failed in a way that nobody foresaw")
            return Unanswered(type(error).__name__)

    def _judged(self, due: Due, answer: Answered | Unanswered | BadTarget, took_ms: int) -> Try:
        """What came of it. A receiver that is gone is not tried again."""
        wall_ms, tries = self._clock.now().wall_ms, due.tries + 1
        status = answer.status if isinstance(answer, Answered) else None
        state, due_ms, outcome = DELIVERED, 0, "delivered"
        if not (isinstance(answer, Answered) and answer.is_taken):
            asked_ms = answer.retry_after_ms if isinstance(answer, Answered) else 0
            pause_ms = None if patience.is_gone(answer) else patience.pause_ms(tries, self._roll(), asked_ms)
            state, outcome = (FAILED, "failed") if pause_ms is None else (PENDING, "retried")
            due_ms = 0 if pause_ms is None else wall_ms + pause_ms
        self._metrics.webhook_deliveries.labels(outcome).inc()
        return Try(
            number=due.number,
            wall_ms=wall_ms,
            took_ms=took_ms,
            status=status,
            error=error_of(answer),
            answer=beginning_of(answer),
            state=state,
            tries=tries,
            due_wall_ms=due_ms,
        )


def error_of(answer: Answered | Unanswered | BadTarget) -> str | None:
    """Why there is no status, or what a status means that is no yes."""
    match answer:
        case Answered():
            if 300 <= answer.status < 400:
                return "a redirect is not followed"
            return None if answer.is_taken else f"it answered {answer.status}"
        case Unanswered(reason=reason):
            return harmless(reason)[:ERROR_KEPT_MAX]
        case BadTarget():
            return harmless(f"refused: {answer}")[:ERROR_KEPT_MAX]


def beginning_of(answer: Answered | Unanswered | BadTarget) -> str:
    """What it said, as far as a person needs it to see what is wrong."""
    if not isinstance(answer, Answered):
        return ""
    return harmless(answer.beginning.decode("utf-8", "replace"))[:ANSWER_KEPT_MAX].replace("\x00", "")
