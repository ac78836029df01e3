"""The hub of the simulated world: the shipped board and turn, with a double of the loop around them.

Owns crashes, slow and failing commits, the restored backup, the hub's clocks and the tail of its log.
Everything that is decided is decided by `hub.core`; what is said and heard over links is in `hublink.py`.
Never decides about a task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from hub.clock import ABSENCE_MS
from hub.core.dependencies import Outcome
from hub.core.effects import (
    Effect,
    HangUp,
    PassBy,
    RaiseAlert,
    Refusal,
    RefusalKind,
    Reply,
    Tell,
    TellOthers,
)
from hub.core.events import Event, HubDrained, HubStarted, TaskSubmitted, TimePassed
from hub.core.task import Now, Task
from hub.core.turn import Settled, Turn
from hub.dispatcher import FULL_RETRY_MS
from hub.ports import Batch, Committed, CommittedEvent
from hub.turns import TurnsKept
from protocol.frames import HubFrame
from tests.simulation.faults import Fault
from tests.simulation.hublink import HubLink
from tests.simulation.ledgerdouble import MemoryLedger
from tests.simulation.scheduler import US
from tests.simulation.wire import SERVER
from tests.simulation.witness import WatchedBoard, Witness

if TYPE_CHECKING:
    from tests.simulation.world import World

Replied = Callable[[Reply], None]
"""What a client does with its answer. Never called when the hub dies first."""

Letter = tuple[Event, Replied | None]

WALL_ZERO_MS: Final = 1_800_000_000_000
LETTERS_A_TURN_MAX: Final = 256
DOWN_MS: Final = (300.0, 2_000.0, 20_000.0)
BACKUP_AGE_MS: Final = (100.0, 5_000.0, 30_000.0)


class Hub:
    """The hub through all its lives. The ledger is what a disk keeps; the rest dies in a crash."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.witness = Witness(world)
        self.ledger = MemoryLedger("epoch-of-the-beginning")
        self.life = 0
        self.is_up = False
        self.links: dict[int, HubLink] = {}
        self.wall_skew_ms = 0
        self.full_until_ms = 0
        self.slow_until_ms = 0
        self.refuse_next = False
        self.crash_next: Fault | None = None
        self.turns: TurnsKept | None = None
        """Where turns are kept, if somebody wants to replay them."""
        self._backup: MemoryLedger | None = None
        self._link_ids = 0
        self._inbox: deque[Letter] = deque()

    # --- life and death ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load what is durable and take letters."""
        if self.is_up:
            return
        world = self.world
        self.life += 1
        self.is_up = True
        self._ahead_ms = world.die.randint(0, 10_000_000)
        self._inbox.clear()
        self._is_busy = False
        self._wake_us = -1
        self._turned_ms = world.scheduler.now_ms
        now = self.now()
        loaded = self.ledger.load(now)
        world.truth.rows.update(self.ledger.rows)
        self.epoch = loaded.epoch
        self.board = WatchedBoard(
            world.policy,
            epoch=loaded.epoch,
            generation_floor=loaded.generation_floor,
            tasks=loaded.tasks,
            instances=loaded.instances,
            agents=loaded.agents,
            now=now,
        )
        self.board.watch(world)
        self.witness.begin_life()
        if self.turns is not None:
            self.turns.keep_start(world.policy, loaded, now)
        world.note("hub", "starts", f"life {self.life}, {self.epoch}, {len(loaded.tasks)} open tasks")
        self.post(HubStarted())

    def crash(self) -> None:
        """Everything volatile is gone; sockets are reset by the system, or, when it was the power, by
        nobody."""
        if not self.is_up:
            return
        self.world.note("hub", "crashes", f"life {self.life}")
        self.is_up = False
        self.life += 1
        for watcher in self.world.watchers:
            watcher.cut()
        links, self.links = self.links, {}
        for link in links.values():
            if link.wire is not None:
                link.wire.vanish(SERVER, with_goodbye=self.world.die.random() < 0.8)
        down_ms = self.world.die.choice(DOWN_MS) * self.world.die.random()
        self.world.scheduler.after(down_ms, self.start)

    def drain(self) -> bool:
        """The operator stops this hub and starts it again: nothing new is assigned meanwhile."""
        if self.is_up:
            self.post(HubDrained())
            self.world.scheduler.after(self.world.die.uniform(100, 20_000), self.crash)
        return self.is_up

    def restore_later(self) -> bool:
        """Take a backup now; some time later the hub dies, and comes back with it."""
        if self._backup is not None:
            return False
        self._backup = self.ledger.copy()
        self.world.scheduler.after(self.world.die.choice(BACKUP_AGE_MS), self._restore)
        return True

    def _restore(self) -> None:
        if self.world.is_quiet:
            return
        self.crash()
        assert self._backup is not None
        self.world.note(
            "hub", "is restored", f"{len(self._backup.log)} of {len(self.ledger.log)} events are left"
        )
        self.ledger, self._backup = self._backup, None
        self.witness.saw_restore(self.ledger)
        for watcher in self.world.watchers:
            watcher.forget()

    def grow_quiet(self) -> None:
        """Nothing goes wrong any more; the wall clock is put right, and with it what was kept against it."""
        self.full_until_ms = self.slow_until_ms = 0
        self.refuse_next = False
        self.crash_next = None
        self.wall_skew_ms = 0

    # --- clocks --------------------------------------------------------------------------------------------

    def now(self) -> Now:
        """A monotonic clock that begins anew with each life and stands still while the hub is away, as
        `hub/clock.py` has it, and a wall clock that may have jumped.
        """
        ms = self.world.scheduler.now_ms
        return Now(ms=ms + self._ahead_ms, wall_ms=WALL_ZERO_MS + ms + self.wall_skew_ms)

    # --- letters -------------------------------------------------------------------------------------------

    def ask(self, event: Event, replied: Replied) -> None:
        """Over HTTP: refused at once when there is no hub or no room, answered after the commit otherwise."""
        if not self.is_up:
            return
        if self.full_until_ms > self.world.scheduler.now_ms and isinstance(event, TaskSubmitted):
            replied(Refusal(kind=RefusalKind.OVERLOADED, reason="storage_full"))
            return
        self._inbox.append((event, replied))
        self._turn_soon()

    def post(self, event: Event) -> None:
        """From a link, or from the clock."""
        if self.is_up:
            self._inbox.append((event, None))
            self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self.world.scheduler.after(self.world.die.random() * 0.2, partial(self._turn, self.life))

    def _wake_at_deadline(self) -> None:
        """One wake-up at a time, for the earliest deadline."""
        due_ms = self.board.next_deadline()
        if due_ms is None:
            return
        wake_us = max((due_ms - self._ahead_ms) * US, self.world.scheduler.now_us)
        if self._wake_us < self.world.scheduler.now_us or wake_us < self._wake_us:
            self._wake_us = wake_us
            self.world.scheduler.at_us(wake_us, partial(self._wake, self.life, wake_us))

    def _wake(self, life: int, wake_us: int) -> None:
        if life == self.life and wake_us == self._wake_us:
            self._wake_us = -1
            self._turn_soon()

    # --- one turn: gather, decide, record, tell ------------------------------------------------------------

    def _turn(self, life: int) -> None:
        if life != self.life:
            return
        self._turned_ms = self.world.scheduler.now_ms
        letters = [self._inbox.popleft() for _ in range(min(len(self._inbox), LETTERS_A_TURN_MAX))]
        now = self.now()
        due_ms = self.board.next_deadline()
        if due_ms is not None and due_ms <= now.ms:
            letters.append((TimePassed(), None))
        if not letters:
            self._is_busy = False
            self._wake_at_deadline()
            return
        self._decide(letters, now)

    def _decide(self, letters: list[Letter], now: Now) -> None:
        events = [event for event, _ in letters]
        learned: list[Task] = []
        outcomes: list[Outcome] = []
        for event in events:
            wants = self.board.wants(event)
            if wants.tasks or wants.keys:
                learned += self.ledger.find(wants.tasks, wants.keys).tasks
            outcomes += self.ledger.look_up(wants.outcomes)
        self.board.learn(learned, outcomes)
        die = self.world.die
        rolls = [die.random() for _ in range(len(events) + 1)]
        if self.turns is not None:
            self.turns.keep(events, now, rolls, learned, outcomes)
        turn = Turn(self.board, events, now, rolls)
        delay_ms = self.world.plan.commit_ms * die.random() * 2 if turn.changes else 0.0
        delay_ms = max(delay_ms, self.slow_until_ms - self.world.scheduler.now_ms)
        self.world.scheduler.after(delay_ms, partial(self._commit, self.life, turn, letters))

    def _commit(self, life: int, turn: Turn, letters: list[Letter]) -> None:
        """As the dispatcher has it: a long wait for the disk is no time in which anybody could have been
        late."""
        if life != self.life or self._crashes(Fault.HUB_CRASH_BEFORE_COMMIT, turn):
            return
        waited_ms = self.now().ms - turn.now.ms
        if waited_ms > ABSENCE_MS:
            self._ahead_ms -= waited_ms
        if self.full_until_ms > self.world.scheduler.now_ms and turn.changes:
            self._abandon(turn, letters)
            return
        self._meddle(turn)
        batch = Batch(turn.changes, turn.now)
        committed = self.ledger.commit(batch)
        self.world.tally.commits += 1
        self.witness.saw_commit(self.ledger, batch, committed)
        self._publish(committed)
        if self._crashes(Fault.HUB_CRASH_AFTER_COMMIT, turn):
            return
        if committed.refused and self.turns is not None:
            self.turns.keep_refused(committed.refused, committed.found, is_abandoned=False)
        self._settle(turn.settle(committed.refused, committed.found), letters)
        self._is_busy = False
        self._turn_soon()

    def _abandon(self, turn: Turn, letters: list[Letter]) -> None:
        """No room: who asked is told so, what links have said is asked again when there is room."""
        found = self.ledger.find(turn.touched, frozenset()).tasks
        if self.turns is not None:
            self.turns.keep_refused(turn.touched, found, is_abandoned=True)
        again = turn.abandon(found).again
        for number in again:
            replied = letters[number][1]
            if replied is not None:
                replied(Refusal(kind=RefusalKind.OVERLOADED, reason="storage_full"))
        kept = [letters[number] for number in again if letters[number][1] is None]
        self._inbox.extendleft(letter for letter in reversed(kept) if not isinstance(letter[0], TimePassed))
        self._ahead_ms -= FULL_RETRY_MS
        self.world.scheduler.after(FULL_RETRY_MS, partial(self._turn, self.life))

    def _crashes(self, fault: Fault, turn: Turn) -> bool:
        """At this named point, when that is planned and something hangs on it."""
        if self.crash_next is not fault or not turn.changes:
            return False
        self.crash_next = None
        self.world.hit(fault)
        self.crash()
        return True

    def _meddle(self, turn: Turn) -> None:
        """Somebody else writes to a row that this batch wants to write."""
        present = sorted(task_id for task_id in turn.touched if task_id in self.ledger.rows)
        if self.refuse_next and present:
            self.refuse_next = False
            self.world.hit(Fault.COMMIT_REFUSED)
            self.ledger.touch(self.world.die.choice(present))

    def _settle(self, settled: Settled, letters: list[Letter]) -> None:
        """Only now may anybody hear of it; what was refused is asked again, before anything newer."""
        for number, reply in settled.replies:
            event, replied = letters[number]
            self.witness.saw_reply(event, reply)
            if replied is not None:
                replied(reply)
        for effect in settled.effects:
            self._perform(effect)
        self._inbox.extendleft(letters[number] for number in reversed(settled.again))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Tell(link_id, frame):
                self._tell(link_id, frame)
            case TellOthers(link_id, frame):
                for other in [one for one in self.links.values() if one.link_id != link_id and one.is_open]:
                    other.say(frame)
            case HangUp(link_id, code, reason, hold):
                if link_id in self.links:
                    self.links[link_id].close(code, reason, hold=hold)
            case PassBy() | RaiseAlert():
                pass  # for the eyes of watchers of the moment
            case _:
                assert_never(effect)

    def _tell(self, link_id: int, frame: HubFrame) -> None:
        link = self.links.get(link_id)
        if link is not None:
            self.witness.saw_tell(link.sender.instance_id if link.sender is not None else None, frame)
            link.say(frame)

    def _publish(self, committed: Committed) -> None:
        for watcher in self.world.watchers:
            watcher.publish(self.ledger.epoch, committed.events)

    # --- links and watchers --------------------------------------------------------------------------------

    def accept(self, subprotocol: str | None) -> HubLink:
        """A socket was opened."""
        self._link_ids += 1
        link = HubLink(self, self._link_ids, subprotocol)
        self.links[self._link_ids] = link
        return link

    def read_log(self, after: int) -> tuple[CommittedEvent, ...]:
        """The tail of the log, for a watcher that comes back."""
        return tuple(self.ledger.log[after:])

    @property
    def last_offset(self) -> int:
        return len(self.ledger.log)

    @property
    def turned_ms(self) -> int:
        """When the turn began that is decided or written now, by the time of the world."""
        return self._turned_ms

    @property
    def is_able(self) -> bool:
        """It is there, and its disk takes what it writes."""
        return self.is_up and max(self.full_until_ms, self.slow_until_ms) <= self.world.scheduler.now_ms

    @property
    def inbox_length(self) -> int:
        return len(self._inbox)

    def overdue_ms(self) -> int:
        """How long ago the board wanted to be woken, and has not been. A hub that cannot write is excused."""
        now_ms = self.world.scheduler.now_ms
        due_ms = self.board.next_deadline() if self.is_able else None
        return 0 if due_ms is None else min(self.now().ms - due_ms, now_ms - self._turned_ms)
