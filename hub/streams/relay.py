"""The outbox on its way to Redis: in order, each letter once, however often the hub or Redis dies.

Owns the loop that empties the outbox, what a letter is in the words of Redis, and the patience with a Redis
that is away or refuses. A letter is deleted after Redis has it; one that comes again is known there by its
key. Never decides what is told, and never holds up a commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from hub.crashpoints import StreamPoint
from hub.ports import StorageFull
from protocol.ids import TaskId
from streams.entries import Result
from streams.trouble import RedisAway, RedisTrouble

if TYPE_CHECKING:
    from hub.crashpoints import Crasher
    from hub.metrics import Metrics
    from hub.store.outbox import Letter, Outbox
    from streams.link import Streams
    from streams.writer import Writer

BATCH_LETTERS: Final = 50
"""Published before they are deleted together: a kill repeats so many at most, and none counts twice."""

SWEEP_S: Final = 1.0
"""How often the outbox is looked at although no bell rang."""

LISTENERS_BACK_S: Final = 2.0
"""After Redis was away: whoever listened on a channel has lost it too, and needs a moment to come back. What
nobody hears is lost to him, and only the API has it then."""

logger = logging.getLogger(__name__)


class Channels(Protocol):
    """Whoever tells progress on the channels: `streams.Progress`."""

    async def settle(self, task_id: TaskId) -> None:
        """Tell what waits to be told of this task; it has ended."""

    def forget(self, task_id: TaskId) -> None:
        """The last word is out."""


class Relay:
    """`run` belongs in a TaskGroup. `on_result` hears of every run whose result Redis has."""

    def __init__(
        self,
        outbox: Outbox,
        streams: Streams,
        writer: Writer,
        channels: Channels,
        *,
        metrics: Metrics,
        crasher: Crasher,
        on_result: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._outbox = outbox
        self._streams = streams
        self._writer = writer
        self._channels = channels
        self._metrics = metrics
        self._crasher = crasher
        self._on_result = on_result
        self._after = 0
        """Up to this number every letter was tried in this round; what is left of them was refused."""

    async def run(self) -> None:
        """Deliver for ever."""
        patience = self._streams.patience()
        while True:
            self._outbox.bell.clear()
            try:
                is_all = await self.deliver()
            except (RedisTrouble, StorageFull) as trouble:
                logger.debug("the outbox waits: %s", trouble)
                await patience.wait()
                if isinstance(trouble, RedisAway) and self._streams.is_up:
                    await self._streams.nap(LISTENERS_BACK_S)
                continue
            patience.reset()
            if is_all:
                await self._news()

    async def deliver(self) -> bool:
        """One batch; whether that was all. What was delivered is deleted, also when Redis goes away in the
        middle. Raises RedisAway, and RedisRefused when it took nothing of the batch.
        """
        letters = await self._outbox.next(BATCH_LETTERS, after=self._after)
        self._metrics.outbox_letters.set(await self._outbox.waiting())
        done: list[int] = []
        refused: RedisTrouble | None = None
        try:
            for letter in letters:
                trouble = await self._publish(letter)
                refused = trouble or refused
                if trouble is None:
                    done.append(letter.letter_id)
                self._after = letter.letter_id
        finally:
            await self._outbox.done(done)
        if done:
            self._crasher.come_to(StreamPoint.RELAY_AFTER_DELETE)
        elif refused is not None:
            raise refused
        return len(letters) < BATCH_LETTERS

    async def _publish(self, letter: Letter) -> RedisTrouble | None:
        """Why Redis refuses it, if it does: it stays then, and must not hold up the others."""
        self._crasher.come_to(StreamPoint.RELAY_BEFORE_PUBLISH)
        try:
            await self._hand_over(letter)
        except RedisAway:
            raise
        except RedisTrouble as refused:
            self._metrics.letters.labels("refused").inc()
            logger.warning("! Redis refuses a letter: %s", refused, extra={"task_id": letter.task_id})
            return refused
        self._metrics.letters.labels("delivered").inc()
        self._crasher.come_to(StreamPoint.RELAY_AFTER_PUBLISH)
        return None

    async def _hand_over(self, letter: Letter) -> None:
        if letter.kind == "final":
            task_id = TaskId(letter.task_id)
            await self._channels.settle(task_id)
            await self._writer.publish_final(letter.key, letter.target, bytes(letter.payload))
            self._channels.forget(task_id)
        else:
            await self._writer.answer(msgspec.json.decode(letter.payload, type=Result))
            self._on_result(letter.key)

    async def _news(self) -> None:
        """Until a commit has put a letter in, or it is time for a new round."""
        try:
            async with asyncio.timeout(SWEEP_S):
                await self._outbox.bell.wait()
        except TimeoutError:
            self._after = 0
