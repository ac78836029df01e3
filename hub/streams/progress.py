"""How far a task is, for whoever waits on its channel and knows nothing else of it (contracts §4).

Owns the standard phases, that progress never goes backwards (also not after a restart of the hub, or in a
later attempt), and that talk is told as fast as Redis takes it and no faster. May lose talk, never the end:
that is the relay's. Nothing is told of a task that is over, here or in Redis itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from hub.core.task import State, Task
from protocol.ids import TaskId
from streams.trouble import RedisAway, RedisTrouble

if TYPE_CHECKING:
    from hub.core.effects import PassBy
    from streams.link import Streams
    from streams.writer import Writer

BEGUN: Final = ("Starting execution...", 10.0)
LOOP_OVER: Final = ("Agentic loop complete", 70.0)
PHASES: Final = frozenset(
    {
        BEGUN[0],
        "Container provisioned",
        "Starting agentic loop",
        LOOP_OVER[0],
        "Code pushed to GitHub",
        "Files uploaded to S3",
        "Deployment complete",
    }
)
"""Sentences of a program that says by itself where it stands; its percentages are told as they are."""

LOOP_FROM: Final = 30.0
LOOP_TO: Final = 70.0
"""Between these lies the work of a crew, whose own percentages go from 0 to 100."""

CREW: Final = "crew"
"""The kind of log line that says that a crew is at work."""

FLOOR: Final = "crewhub:progress:"
"""How far a task's channel has been told, in Redis: what another life of this hub goes on from."""

FLOOR_KEPT_S: Final = 7 * 86_400
"""As long as a run may take."""

WAITING_MAX: Final = 16
"""Messages of one task that wait; above it the newest replaces the one before it."""

MESSAGE_LENGTH_MAX: Final = 2_000
"""Characters of one message: a sentence, not a log."""

SETTLE_S: Final = 1.0
"""How long the last word waits for talk that is on its way: it may be lost, and the end may not be late."""

logger = logging.getLogger(__name__)


class Said(Struct, frozen=True):
    """What is read of a frame that passed by."""

    progress: float | None = None
    message: str | None = None
    kind: str | None = None


class Message(Struct, frozen=True):
    """What a channel hears, by exactly these names."""

    message: str
    progress: float


class Channel:
    """One task's channel: what waits to be told, and how far it was told."""

    def __init__(self, task: Task) -> None:
        assert task.spec.stream_id is not None
        self.name = task.spec.stream_id
        self.is_crew = task.spec.run is not None
        self.floor: float | None = None
        """None: Redis was not asked yet."""
        self.last = ""
        self.waiting: list[Message] = [Message(*BEGUN)]

    def say(self, said: Said) -> None:
        """Take in what a run has said of itself."""
        message = self.last if said.message is None else said.message[:MESSAGE_LENGTH_MAX]
        self.last = message
        progress = 0.0 if said.progress is None else float(said.progress)
        if self.is_crew and message not in PHASES and said.progress is not None:
            progress = LOOP_FROM + (LOOP_TO - LOOP_FROM) * min(100.0, progress) / 100.0
        self.put(Message(message, progress))

    def put(self, message: Message) -> None:
        before = self.waiting[-1].progress if self.waiting else 0.0
        message = Message(message.message, min(100.0, max(message.progress, before)))
        if len(self.waiting) >= WAITING_MAX or (self.waiting and self.waiting[-1].message not in PHASES):
            self.waiting.pop()
        self.waiting.append(message)

    def end(self) -> None:
        """The work is done and the result is on its way."""
        if self.is_crew:
            self.put(Message(*LOOP_OVER))


class Progress:
    """Implements `telling.Ear` and `relay.Channels`. `run` belongs in a TaskGroup."""

    def __init__(self, streams: Streams, writer: Writer, find: Callable[[TaskId], Task | None]) -> None:
        self._streams = streams
        self._writer = writer
        self._find = find
        self._channels: dict[TaskId, Channel] = {}
        self._turn = asyncio.Lock()
        self._has_news = asyncio.Event()
        self._news: dict[TaskId, None] = {}

    def __len__(self) -> int:
        return len(self._channels)

    # --- what the teller calls ---

    def hear(self, effect: PassBy) -> None:
        """Progress, and the first line of a crew's log, of a task that somebody waits for."""
        if effect.task_id is None or effect.event not in {"task_progress", "task_log"}:
            return
        task = self._find(effect.task_id)
        if task is None or task.is_final or task.spec.stream_id is None:
            return
        said = msgspec.json.decode(effect.payload, type=Said)
        channel = self._open(task)
        if effect.event == "task_log":
            channel.is_crew = channel.is_crew or said.kind == CREW
        elif said.progress is not None or said.message is not None:
            channel.say(said)
            self._wake(task.task_id)

    def see(self, task: Task) -> None:
        """A task has begun, or is over."""
        if task.spec.stream_id is None:
            return
        if task.is_final:
            channel = self._channels.get(task.task_id)
            if channel is not None and task.state is State.COMPLETED:
                channel.end()
        elif task.state is State.RUNNING:
            self._open(task)

    def _open(self, task: Task) -> Channel:
        channel = self._channels.get(task.task_id)
        if channel is None:
            channel = self._channels[task.task_id] = Channel(task)
            self._wake(task.task_id)
        return channel

    def _wake(self, task_id: TaskId) -> None:
        self._news[task_id] = None
        self._has_news.set()

    # --- what the relay calls ---

    async def settle(self, task_id: TaskId) -> None:
        """Tell what waits, before the last word; not longer than a moment."""
        channel = self._channels.get(task_id)
        if channel is None:
            return
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._tell(task_id, channel)
        except (TimeoutError, RedisTrouble):
            return  # the marker of the last word keeps late talk away

    def forget(self, task_id: TaskId) -> None:
        self._channels.pop(task_id, None)

    # --- the loop ---

    async def run(self) -> None:
        """Tell for ever."""
        patience = self._streams.patience()
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            news, self._news = self._news, {}
            try:
                await self._round(news)
            except RedisAway as away:
                logger.debug("progress waits: %s", away)
                self._news = news | self._news
                self._has_news.set()
                await patience.wait()
            else:
                patience.reset()

    async def _round(self, news: dict[TaskId, None]) -> None:
        for task_id in tuple(news):
            channel = self._channels.get(task_id)
            if channel is None:
                continue
            try:
                await self._tell(task_id, channel)
            except RedisAway:
                raise
            except RedisTrouble as refused:
                channel.waiting.clear()
                logger.warning("! Redis refuses progress: %s", refused, extra={"task_id": task_id})

    async def _tell(self, task_id: TaskId, channel: Channel) -> None:
        async with self._turn:
            if channel.floor is None:
                await self._resume(task_id, channel)
            while channel.waiting and task_id in self._channels:
                message = channel.waiting[0]
                told = Message(message.message, max(message.progress, channel.floor or 0.0))
                await self._publish(task_id, channel, told)
                if channel.waiting and channel.waiting[0] is message:
                    channel.waiting.pop(0)

    async def _resume(self, task_id: TaskId, channel: Channel) -> None:
        """Where another life of the hub has left off, which also has told that the work began."""
        found = await self._streams.publishing.command("GET", FLOOR + task_id)
        if found is None:
            channel.floor = 0.0
            return
        channel.floor = float(found)
        channel.waiting = [one for one in channel.waiting if one.message != BEGUN[0]]

    async def _publish(self, task_id: TaskId, channel: Channel, told: Message) -> None:
        """The floor first: dying in between leaves it too high, and nothing goes backwards."""
        if channel.floor is None or told.progress > channel.floor:
            place = (FLOOR + task_id, str(told.progress), "EX", FLOOR_KEPT_S)
            await self._streams.publishing.command("SET", *place)
            channel.floor = told.progress
        await self._writer.publish_progress(task_id, channel.name, msgspec.json.encode(told))
