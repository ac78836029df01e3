"""The loop of the hub: gather letters, decide, record, tell.

Owns the inbox and its bounds, the order of things (nobody is told before the commit), what happens when the
ledger refuses, is full or breaks, and the alarm for the board's deadlines. While one turn is being
committed the next one gathers. Never decides about a task (`core/` does) and never writes a byte to a
socket (links do).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from hub.clock import ABSENCE_MS, Alarm, HubClock, monotonic_s
from hub.core.board import NOTHING, Board
from hub.core.dependencies import Outcome
from hub.core.effects import Reply, Wants
from hub.core.events import Event, TasksForgotten, TaskSubmitted, TimePassed
from hub.core.task import Task
from hub.core.turn import LetterBroke, Turn
from hub.errors import Closing, Overloaded
from hub.ports import Batch, Committed, Ledger, StorageFull
from protocol.ids import TaskId

if TYPE_CHECKING:
    from hub.crashpoints import Crasher
    from hub.link import Link
    from hub.metrics import Metrics
    from hub.poison import Poison
    from hub.telling import Teller
    from hub.turns import TurnsKept

FULL_RETRY_MS: Final = 500
"""Between two tries to commit while the disk is full."""

ROOM_SHARE: Final = 2
"""Links that were paused for a full inbox are read again when it is down to this fraction of its bound."""

NOTHING_COMMITTED: Final = Committed()

logger = logging.getLogger(__name__)


class Asker:
    """Somebody who waits for the replies to letters that belong together."""

    __slots__ = ("_left", "future", "replies")

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self.replies: list[Reply] = [None] * count
        self._left = count

    def answer(self, place: int, reply: Reply) -> None:
        self.replies[place] = reply
        self._left -= 1
        if self._left == 0 and not self.future.done():
            self.future.set_result(self.replies)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Letter(NamedTuple):
    event: Event
    asker: Asker | None = None
    place: int = 0


class Dispatcher:
    """Implements `registry.Inbox`."""

    def __init__(
        self,
        board: Board,
        ledger: Ledger,
        clock: HubClock,
        teller: Teller,
        *,
        metrics: Metrics,
        roll: Callable[[], float],
        crasher: Crasher,
        turns: TurnsKept | None,
        poison: Poison,
        inbox_letters_max: int,
        turn_letters_max: int,
    ) -> None:
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self._teller = teller
        self._metrics = metrics
        self._roll = roll
        self._crasher = crasher
        self._turns = turns
        self._poison = poison
        self._inbox_letters_max = inbox_letters_max
        self._turn_letters_max = turn_letters_max
        self._inbox: deque[list[Letter]] = deque()
        """list[Letter] that arrived together stay together: one turn, one commit."""
        self._in_hand: list[Letter] = []
        """The letters of the turn that is being decided or committed."""
        self._waiting = 0
        """list[Letter] in the inbox."""
        self._has_news = asyncio.Event()
        self._paused: list[Link] = []
        self._alarm = Alarm(clock, self._ring)
        self._is_time_said = False
        """A deadline's letter is on its way to the board."""
        self.is_storage_full = False
        self._is_waiting_for_room = False
        self.is_closing = False
        """The hub is on its way out: not ready for new work, still deciding what is heard."""
        self._is_closed = False

    # --- letters in ------------------------------------------------------------------------------------

    async def ask(self, event: Event) -> Reply:
        """Decide this, and say what came of it once that is durable."""
        return (await self.ask_all((event,)))[0]

    async def ask_all(self, events: Sequence[Event]) -> list[Reply]:
        """The same for many that belong together: decided in one turn, in one commit, answered in order.

        Raises Overloaded, Closing, or StorageFull for pushes while the disk is full.
        """
        if self._is_closed:
            raise Closing("the hub is ending")
        if self._waiting + len(events) > self._inbox_letters_max:
            self._metrics.overloads.inc()
            raise Overloaded(f"{self._waiting} letters are waiting")
        if self.is_storage_full and any(isinstance(event, TaskSubmitted) for event in events):
            raise StorageFull("the disk is full")
        asker = Asker(len(events))
        self._take_in([Letter(event, asker, place) for place, event in enumerate(events)])
        return await asker.future

    def post(self, events: Sequence[Event]) -> bool:
        """From links and from the clock: always taken; whether there is room for more."""
        if not self._is_closed:
            self._take_in([Letter(event) for event in events])
        return self._waiting < self._inbox_letters_max

    def forget(self, task_ids: Sequence[TaskId]) -> None:
        """The ledger has forgotten these. What was read of them before is decided before this letter, and
        whoever asks later finds nothing.
        """
        self.post((TasksForgotten(tuple(task_ids)),))

    def when_room(self, link: Link) -> None:
        self._paused.append(link)

    def _take_in(self, letters: list[Letter]) -> None:
        self._inbox.append(letters)
        self._waiting += len(letters)
        self._has_news.set()

    def _ring(self) -> None:
        """A deadline has come. Its letter queues behind all that was heard before: life first, lateness
        after."""
        self._is_time_said = True
        self._take_in([Letter(TimePassed())])

    # --- the loop --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Dispatch until cancelled. A ledger that cannot be trusted ends the hub."""
        try:
            while True:
                letters = await self._gather()  # the first letters, or the next deadline
                turn = await self._decide(letters)  # pure
                committed = await self._record(turn, letters)  # durable, once for the batch
                if committed is not None:
                    self._tell(letters, turn, committed)  # effects, then receipts
        finally:
            self._close()

    async def _gather(self) -> list[Letter]:
        if not self._is_time_said:
            self._alarm.set(self._board.next_deadline())
        if not self._inbox:
            self._has_news.clear()
            await self._has_news.wait()
        letters = self._inbox.popleft()
        if self._inbox:
            letters = [*letters]
            while self._inbox and len(letters) + len(self._inbox[0]) <= self._turn_letters_max:
                letters += self._inbox.popleft()
        self._waiting -= len(letters)
        self._in_hand = letters
        self._metrics.turn_letters.observe(len(letters))
        self._metrics.inbox_letters.set(self._waiting)
        if self._paused and self._waiting * ROOM_SHARE <= self._inbox_letters_max:
            paused, self._paused = self._paused, []
            for link in paused:
                link.resume("inbox")
        return letters

    async def _decide(self, letters: list[Letter]) -> Turn:
        """Read what the board lacks, then let it decide in one breath."""
        events = [self._poison.defused(letter.event) for letter in letters]
        wants = [want for event in events if (want := self._board.wants(event)) is not NOTHING]
        learned: tuple[Task, ...] = ()
        outcomes: tuple[Outcome, ...] = ()
        if wants:
            learned, outcomes = await self._read(wants)
            self._board.learn(learned, outcomes)
        now = self._clock.now()
        rolls = [self._roll() for _ in range(len(events) + 1)]
        if self._turns is not None:
            self._turns.keep(events, now, rolls, learned, outcomes)
        if self._is_time_said and any(isinstance(event, TimePassed) for event in events):
            self._is_time_said = False
        try:
            return Turn(self._board, events, now, rolls)
        except LetterBroke as broke:
            self._poison.note(broke.letter, str(broke))
            raise

    async def _read(self, wants: Sequence[Wants]) -> tuple[tuple[Task, ...], tuple[Outcome, ...]]:
        """Rows, and of others only how they stand."""
        tasks = frozenset[TaskId]().union(*(want.tasks for want in wants))
        keys = frozenset[str]().union(*(want.keys for want in wants))
        outcomes = frozenset[TaskId]().union(*(want.outcomes for want in wants))
        learned = (await self._ledger.find(tasks, keys)).tasks if tasks or keys else ()
        return learned, await self._ledger.look_up(outcomes) if outcomes else ()

    async def _record(self, turn: Turn, letters: list[Letter]) -> Committed | None:
        """Commit; None when there was no room, and everything is as if the turn had not been."""
        if not turn.changes:
            return NOTHING_COMMITTED
        self._crash("before_commit", letters)
        begun_ms, begun_s = self._clock.now_ms(), monotonic_s()
        try:
            committed = await self._ledger.commit(Batch(turn.changes, turn.now))
        except StorageFull as error:
            await self._wait_for_room(turn, letters, error)
            return None
        finally:
            waited_ms = self._clock.now_ms() - begun_ms
            if waited_ms > ABSENCE_MS:
                self._clock.forgive(waited_ms)
        self._metrics.commit_seconds.observe(monotonic_s() - begun_s)
        self._is_waiting_for_room = False
        self._crash("after_commit", letters)
        return committed

    def _tell(self, letters: list[Letter], turn: Turn, committed: Committed) -> None:
        settled = turn.settle(committed.refused, committed.found)
        if committed.refused and self._turns is not None:
            self._turns.keep_refused(committed.refused, committed.found, is_abandoned=False)
        self._teller.tell(turn, settled, committed, self._board.epoch)
        for number, reply in settled.replies:
            letter = letters[number]
            if letter.asker is not None:
                self._teller.promise(letter.event, reply)
                letter.asker.answer(letter.place, reply)
        if settled.again:
            self._ask_again([letters[number] for number in settled.again])
        self._teller.end_turn()
        self._crash("after_tell", letters)

    def _ask_again(self, letters: list[Letter]) -> None:
        """These go first in the next turn, in their order."""
        self._inbox.appendleft(letters)
        self._waiting += len(letters)
        self._has_news.set()

    # --- when there is no room, and the end --------------------------------------------------------

    async def _wait_for_room(self, turn: Turn, letters: list[Letter], full: StorageFull) -> None:
        """Nothing was written: askers are told so, and whatever links have said is asked again, later."""
        self._is_waiting_for_room = True
        self._mark_storage(is_full=True)
        found = await self._ledger.find(turn.touched, frozenset())
        settled = turn.abandon(found.tasks)
        if self._turns is not None:
            self._turns.keep_refused(turn.touched, found.tasks, is_abandoned=True)
        again = [letters[number] for number in settled.again]
        for letter in again:
            if letter.asker is not None:
                letter.asker.fail(full)
        # The time comes again by itself; kept, its letters would grow in number for as long as this lasts.
        kept = [one for one in again if one.asker is None and not isinstance(one.event, TimePassed)]
        if kept:
            self._ask_again(kept)
        # With nothing to try again no commit would ever say that there is room: the next look does.
        self._is_waiting_for_room = bool(kept)
        if not full.is_for_pushes_only:
            begun_ms = self._clock.now_ms()
            await self._clock.sleep_until(begun_ms + FULL_RETRY_MS)
            self._clock.forgive(self._clock.now_ms() - begun_ms)

    def note_room(self, *, has_room: bool) -> None:
        """The disk was looked at; what a commit has found out is undone by the next that succeeds."""
        if not has_room or not self._is_waiting_for_room:
            self._mark_storage(is_full=not has_room)

    def _mark_storage(self, *, is_full: bool) -> None:
        if is_full != self.is_storage_full:
            self.is_storage_full = is_full
            self._metrics.storage_full.set(int(is_full))
            logger.warning("! the disk is full" if is_full else "= the disk has room again")

    def _crash(self, moment: str, letters: list[Letter]) -> None:
        if self._crasher.is_armed:
            self._crasher.reach(moment, (letter.event for letter in letters))

    def _close(self) -> None:
        """Whoever still waits is told that nothing will come."""
        self._is_closed = self.is_closing = True
        self._alarm.cancel()
        for letters in (self._in_hand, *self._inbox):
            for letter in letters:
                if letter.asker is not None:
                    letter.asker.fail(Closing("the hub is ending"))
        self._inbox.clear()
