"""The sidecar's one loop: gather what happened, let the desk decide, record it, act.

Owns the order of these four and the law in it: no effect leaves before the records that caused it are
durable. Also what happens when the journal finds no room: work in hand goes on, nothing new is taken, nothing
unrecorded is said. Never decides about tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from protocol.frames import AgentFrame, Fact
from sidecar.clock import SidecarClock
from sidecar.desk import Desk
from sidecar.effects import Effect, GiveAnswer, HangUp, Leave, Remark, Say, StartRun, StopRun
from sidecar.events import (
    DeskEvent,
    DrainRequested,
    Restarted,
    StopRequested,
    StorageFilled,
    StorageFreed,
    TimePassed,
)
from sidecar.history import History
from sidecar.journal import JournalBook, JournalFull, must_sync
from sidecar.line import Line
from sidecar.memory import Record
from sidecar.redial import GiveUp
from sidecar.runs import Runs

TURN_LETTERS_MAX: Final = 1_024
"""Letters decided and recorded together: one sync for all of them."""

INBOX_LETTERS_MAX: Final = 4_096
"""Above it the link is not read, which the hub's own socket feels; runs' talk has its own bound."""

NO_ROOM_RETRY_MS: Final = 2_000

log = logging.getLogger("sidecar")


class Agent:
    """One sidecar process. `run` returns when it may end."""

    def __init__(
        self,
        desk: Desk,
        book: JournalBook,
        clock: SidecarClock,
        *,
        drain_ms: int,
        changed: Callable[[], None] = lambda: None,
        history: History | None = None,
    ) -> None:
        self._desk = desk
        self._book = book
        self._clock = clock
        self._drain_ms = drain_ms
        self._changed = changed
        self._history = history or History(None, "sidecar")
        self._inbox: deque[DeskEvent] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._left = asyncio.Event()
        self._unwritten: list[Record] = []
        """Decided while the journal had no room."""
        self._untold: list[Effect] = []
        self._retry_at_ms: int | None = None
        self._drain_asked = False
        self._drain_until_ms: int | None = None
        self.gave_up: GiveUp | None = None

    def post(self, event: DeskEvent) -> None:
        """A letter for the next turn."""
        self._inbox.append(event)
        self._wake.set()
        if len(self._inbox) > INBOX_LETTERS_MAX:
            self._room.clear()

    async def has_room(self) -> None:
        """For the link: return when more may be read."""
        await self._room.wait()

    def drain(self) -> bool:
        """Somebody wants us to go: finish first (True). Asked a second time: stop the runs (False)."""
        if self._drain_asked:
            self.post(StopRequested())
            return False
        self._drain_asked = True
        self._drain_until_ms = self._clock.now().mono_ms + self._drain_ms
        self.post(DrainRequested())
        return True

    @property
    def is_full(self) -> bool:
        """The journal has no room."""
        return self._retry_at_ms is not None

    async def run(self, line: Line, runs: Runs) -> None:
        """Work until there is a reason to leave. A journal that cannot be believed ends it with its
        exception."""
        self.post(Restarted())
        with ThreadPoolExecutor(1, thread_name_prefix="journal") as journal_thread:
            async with asyncio.TaskGroup() as tasks:
                turns = tasks.create_task(self._turns(line, runs, tasks, journal_thread), name="turns")
                dialling = tasks.create_task(self._dial(line), name="line")
                await self._left.wait()
                await line.hang_up(line.dials, "leaving")
                turns.cancel()
                dialling.cancel()

    # --- the loop -------------------------------------------------------------------------------------------

    async def _turns(
        self, line: Line, runs: Runs, tasks: asyncio.TaskGroup, journal_thread: ThreadPoolExecutor
    ) -> None:
        while True:
            letters = await self._gather(runs)
            records, effects = self._decide(letters)
            self._history.note_heard(letters)
            effects = await self._record(records, effects, journal_thread)
            self._history.note_decided(effects)
            self._act(effects, line, runs, tasks)

    async def _gather(self, runs: Runs) -> list[DeskEvent]:
        """The letters that are here, or that come before the next deadline."""
        if not self._inbox:
            await self._clock.wait(self._wake, self._next_deadline())
        self._wake.clear()
        runs.listened()
        letters = [self._inbox.popleft() for _ in range(min(len(self._inbox), TURN_LETTERS_MAX))]
        self._room.set()
        if self._inbox:
            self._wake.set()
        now_ms = self._clock.now().mono_ms
        due_ms = self._desk.next_deadline()
        if due_ms is not None and due_ms <= now_ms:
            letters.append(TimePassed())
        if self._drain_until_ms is not None and self._drain_until_ms <= now_ms:
            self._drain_until_ms = None
            letters.append(StopRequested())
        return letters

    def _next_deadline(self) -> int | None:
        times = (self._desk.next_deadline(), self._retry_at_ms, self._drain_until_ms)
        return min((time for time in times if time is not None), default=None)

    def _decide(self, letters: Sequence[DeskEvent]) -> tuple[list[Record], list[Effect]]:
        now = self._clock.now()
        records: list[Record] = []
        effects: list[Effect] = []
        for letter in letters:
            answer = self._desk.handle(letter, now)
            records += answer.records
            effects += answer.effects
        return records, effects

    async def _record(
        self, records: list[Record], effects: list[Effect], journal_thread: ThreadPoolExecutor
    ) -> list[Effect]:
        """Make the turn durable; the effects that may be acted on now."""
        if not self.is_full and not records:
            return effects
        self._unwritten += records
        if self._retry_at_ms is not None and self._clock.now().mono_ms < self._retry_at_ms:
            return self._withheld(effects)
        try:
            if must_sync(self._unwritten) or self._book.is_long:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(journal_thread, self._book.commit, self._unwritten)
            elif self._unwritten:
                self._book.commit(self._unwritten)
        except JournalFull as error:
            return self._filled(str(error), effects)
        self._unwritten = []
        if not self.is_full:
            return effects
        self._retry_at_ms = None
        log.warning("the journal has room again")
        _, freed = self._decide([StorageFreed()])
        told, self._untold = self._untold, []
        return [*told, *freed, *self._without_facts(effects)]

    def _filled(self, reason: str, effects: list[Effect]) -> list[Effect]:
        if not self.is_full:
            log.error("no room for the journal: no new work is taken", extra={"reason": reason})
            _, filled = self._decide([StorageFilled()])
            effects = [*effects, *filled]
        self._retry_at_ms = self._clock.now().mono_ms + NO_ROOM_RETRY_MS
        return self._withheld(effects)

    def _withheld(self, effects: list[Effect]) -> list[Effect]:
        """While nothing can be recorded no fact is said (the next link replays it) and no run starts."""
        self._untold += [effect for effect in effects if isinstance(effect, StartRun | GiveAnswer)]
        return [
            effect for effect in self._without_facts(effects) if not isinstance(effect, StartRun | GiveAnswer)
        ]

    @staticmethod
    def _without_facts(effects: list[Effect]) -> list[Effect]:
        return [one for one in effects if not (isinstance(one, Say) and isinstance(one.frame, Fact))]

    def _act(  # noqa: C901  a flat table, checked by its type
        self, effects: Sequence[Effect], line: Line, runs: Runs, tasks: asyncio.TaskGroup
    ) -> None:
        frames: list[AgentFrame] = []
        link_id = 0
        for effect in effects:
            match effect:
                case Say():
                    if effect.link_id != link_id:
                        _say(line, link_id, frames)
                        frames, link_id = [], effect.link_id
                    frames.append(effect.frame)
                case StartRun():
                    runs.start(effect.order, tasks)
                case StopRun():
                    runs.stop(effect.task_id, effect.generation, effect.reason, effect.grace_ms)
                case GiveAnswer():
                    runs.give(effect.task_id, effect.generation, effect.request_id, effect.value)
                case HangUp():
                    _say(line, link_id, frames)
                    frames = []
                    tasks.create_task(line.hang_up(effect.link_id, effect.reason, effect.retry_in_ms))
                case Leave():
                    self._left.set()
                case Remark():
                    _log(effect)
        _say(line, link_id, frames)
        self._changed()

    async def _dial(self, line: Line) -> None:
        """When the hub will not have us back, the runs are stopped and the process ends."""
        self.gave_up = await line.run()
        log.error("the hub does not want us back", extra={"reason": self.gave_up.sentence})
        self.post(StopRequested())


def _say(line: Line, link_id: int, frames: list[AgentFrame]) -> None:
    if frames:
        line.say(link_id, frames)


def _log(remark: Remark) -> None:
    extra = {"task_id": remark.task_id, "generation": remark.generation, "detail": remark.detail}
    log.info(remark.event, extra={name: value for name, value in extra.items() if value})
