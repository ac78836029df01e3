"""The people and programs around the hub: they push, cancel, retry, answer and watch, over HTTP that may be
cut.

Owns their habits: an answer may be lost, so a push is repeated with its key until it is answered, and
sometimes after. What they are told is what the hub has promised; `Truth` remembers it. Never looks into the
hub.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Raw
from msgspec.structs import replace

from hub.core.effects import Granted, Refusal, RefusalKind, Reply
from hub.core.events import (
    AgentUnpaused,
    Event,
    InputAnswered,
    TaskSubmitted,
)
from hub.core.task import Priority, Question, RunSpec, Spec, Task
from hub.ports import CommittedEvent
from protocol.ids import AgentId, TaskId
from tests.simulation.faults import Fault
from tests.simulation.invariants import Broken, demand, invariant
from tests.simulation.queueing import a_refusal_names_the_holder, a_refusal_names_what_is_missing
from tests.simulation.scheduler import US
from tests.simulation.sometimes import Sometimes
from tests.simulation.wishes import draw_wishes

if TYPE_CHECKING:
    from tests.simulation.world import World

ANSWER_MS: Final = 5_000
"""How long a client waits for an answer before it takes it for lost."""

Heard = Callable[[Reply], None]
Make = Callable[[], Event]


def ask(world: World, make: Make, heard: Heard, *, again: bool = True) -> None:
    """Ask the hub over a connection that may be cut before or after; without an answer ask again, if so
    wished."""
    call = Call(world, heard)
    if not call.is_cut or world.die.random() < 0.5:
        world.scheduler.after(world.http_ms(), lambda: world.hub.ask(make(), call.answer))
    if again:
        world.scheduler.after(ANSWER_MS, lambda: ask(world, make, heard) if call.give_up() else None)


class Call:
    """One request that waits for its answer."""

    __slots__ = ("_heard", "_is_waiting", "_world", "is_cut")

    def __init__(self, world: World, heard: Heard) -> None:
        self._world = world
        self._heard = heard
        self._is_waiting = True
        self.is_cut = world.has_habit(Fault.PUSH_CUT_OFF, 0.3)
        if self.is_cut:
            world.hit(Fault.PUSH_CUT_OFF)

    def answer(self, reply: Reply) -> None:
        """The hub has answered; whether that arrives is another question."""
        if not self.is_cut:
            era = self._world.truth.era
            self._world.scheduler.after(self._world.http_ms(), partial(self._arrive, era, reply))

    def give_up(self) -> bool:
        """Wait no longer. True when nothing has come."""
        was_waiting, self._is_waiting = self._is_waiting, False
        return was_waiting

    def _arrive(self, era: int, reply: Reply) -> None:
        """What a hub said before its file was put back is lost on the way: nobody can rely on it any more."""
        if era == self._world.truth.era and self.give_up():
            self._heard(reply)


class Pusher:
    """Pushes one task until it is answered. With a key it may say so more than once."""

    __slots__ = ("_has_wished", "_is_picky", "_number", "_spec", "first_id", "key", "world")

    def __init__(self, world: World, number: int) -> None:
        die = world.die
        self.world = world
        self.key = f"key-{number}"
        self._number = number
        self.first_id: TaskId | None = None
        agent = die.choice(world.names) if die.random() < 0.3 else None
        self._is_picky = agent is not None and die.random() < 0.3
        self._has_wished = world.queue is None
        wall_ms = world.wall_ms()
        self._spec = Spec(
            description=f"work {number}",
            metadata=Raw(b'{"n":%d}' % number),
            priority=die.choice(tuple(Priority)),
            assign_to=agent,
            attempts_max=die.choice((1, 2, 3, 3)) if not world.plan.is_hub_only else 3,
            timeout_ms=die.choice((20_000, 60_000)) if not world.plan.is_hub_only else None,
            start_by_wall_ms=wall_ms + die.randint(1_000, 90_000) if world.wants_deadlines() else None,
            run_at_wall_ms=wall_ms + die.randint(1_000, 30_000) if world.wants_deadlines() else None,
            stream_id=f"stream-{number}" if number % 3 else None,
            run=RunSpec(plugin_run_id=f"run-{number}", user_id=7, origin="stream") if number % 2 else None,
            idempotency_key=self.key,
            fingerprint=f"body {number}",
            submitted_by="simulation",
            submitted_wall_ms=wall_ms,
        )

    def push(self) -> None:
        """Ask until there is an answer. What it asks of the queue depends on what is there by then."""
        if self.world.queue is not None and not self._has_wished:
            self._has_wished = True
            wishes = draw_wishes(self.world, self.world.queue, self._number, self._spec.assign_to)
            self._spec = replace(self._spec, **wishes)
            self._is_picky = self._is_picky and self._spec.assign_to is not None
        ask(self.world, self._submit, self._heard)

    def _submit(self) -> Event:
        return TaskSubmitted(
            task_id=self.world.new_task_id(), spec=self._spec, must_be_connected=self._is_picky
        )

    def _heard(self, reply: Reply) -> None:
        world = self.world
        match reply:
            case Granted(task=Task() as task):
                self._check_same(task.task_id)
                world.truth.pushed[task.task_id] = self.key
                if world.has_habit(Fault.PUSH_REPEATED, 0.3):
                    world.hit(Fault.PUSH_REPEATED)
                    world.scheduler.after(world.die.uniform(0, 60_000), self.push)
                if world.has_habit(Fault.KEY_REUSED, 0.3):
                    self._reuse_key()
            case Refusal(kind=RefusalKind.AGENT_NOT_CONNECTED):
                self._is_picky = False
                world.scheduler.after(1_000, self.push)
            case Refusal(kind=RefusalKind.OVERLOADED):
                world.scheduler.after(2_000, self.push)
            case Refusal(kind=RefusalKind.UNIQUE_KEY_HELD):
                a_refusal_names_the_holder(world.truth.rows, self._spec, reply.task_id)
                self._give_way()
            case Refusal(kind=RefusalKind.DEPENDENCY_NOT_FOUND):
                a_refusal_names_what_is_missing(world.truth.rows, self._spec, reply.task_id)
                self._spec = replace(self._spec, depends_on=())
                world.scheduler.after(1_000, self.push)
            case _:
                raise Broken(7, f"a push was answered {reply}")

    def _give_way(self) -> None:
        """Somebody else has the unique key: wait for it, or let it be."""
        self.world.tally.hit(Sometimes.UNIQUE_HELD.value)
        if self.world.die.random() < 0.5 and not self.world.is_quiet:
            self.world.scheduler.after(self.world.die.uniform(1_000, 20_000), self.push)
        elif self.first_id is None:
            self.world.open_requests -= 1

    def _check_same(self, task_id: TaskId) -> None:
        """A push after the answer may be a push of a hub that has lost the first one with a restored
        backup."""
        if self.first_id is None:
            self.world.open_requests -= 1
        elif self.first_id in self.world.truth.pushed:
            a_repeated_push_is_one_task(self.key, self.first_id, task_id)
        self.first_id = task_id

    def _reuse_key(self) -> None:
        """Another body under the same key is refused, as long as the hub has not lost the first."""
        world = self.world
        world.hit(Fault.KEY_REUSED)
        other = replace(self._spec, description="something else", fingerprint="another body")
        era = world.truth.era

        def heard(reply: Reply) -> None:
            is_refused = isinstance(reply, Refusal) and reply.kind in (
                RefusalKind.KEY_REUSED,
                RefusalKind.OVERLOADED,
            )
            demand(8, is_refused or world.truth.era != era, f"{self.key} with another body: {reply}")

        if not world.has_planned(Fault.BACKUP_RESTORED):
            ask(world, lambda: TaskSubmitted(task_id=world.new_task_id(), spec=other), heard)


@invariant(19)
def a_repeated_push_is_one_task(key: str, first: TaskId, again: TaskId) -> None:
    """A retried push returns the same id."""
    demand(19, first == again, f"{key} was answered {first}, then {again}")


def answer_question(world: World, task_id: TaskId, question: Question) -> None:
    """A person answers, sometimes twice, sometimes two persons do, sometimes nobody."""
    value = Raw(b'{"choice":%d}' % world.die.randint(1, 9))

    def heard(reply: Reply) -> None:
        if isinstance(reply, Refusal) and reply.kind is RefusalKind.OVERLOADED:
            world.scheduler.after(2_000, say)
        elif isinstance(reply, Refusal):
            world.forget_asked(task_id, question.request_id)

    def say() -> None:
        ask(
            world,
            lambda: InputAnswered(
                task_id=task_id, request_id=question.request_id, value=value, by="a person"
            ),
            heard,
        )

    if world.is_quiet or world.plan.is_hub_only or world.die.random() < 0.85:
        world.scheduler.after(world.die.expovariate(1 / 10_000), say)
    if not world.is_quiet and world.die.random() < 0.1:
        world.scheduler.after(world.die.expovariate(1 / 10_000), say)


def unpause(world: World, agent_id: AgentId) -> None:
    """Somebody lets a paused agent work again, and asks until the hub has heard."""

    def heard(reply: Reply) -> None:
        if isinstance(reply, Refusal):  # only an agent that is there can be steered
            world.scheduler.after(5_000, lambda: unpause(world, agent_id))

    ask(world, lambda: AgentUnpaused(agent_id=agent_id, by="a person"), heard)


class Watcher:
    """Reads the feed, is cut off now and then, and comes back with its cursor."""

    __slots__ = ("_clear_us", "_epoch", "_n", "is_connected", "seen", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = 0
        self.is_connected = False
        self._clear_us = 0
        self._epoch = ""
        self._n = 0

    def connect(self) -> None:
        """With a cursor of this epoch: everything after it. Of another epoch: `reset`, and from now on."""
        hub = self.world.hub
        if not hub.is_up:
            self.world.scheduler.after(1_000, self.connect)
            return
        self._n += 1
        self.is_connected = True
        if self._epoch != hub.epoch:
            self._epoch, self.seen = hub.epoch, hub.last_offset
        self._arrive(self._n, self._epoch, hub.read_log(self.seen))

    def cut(self) -> None:
        """What was under way is lost; the cursor is not."""
        self._n += 1
        self.is_connected = False
        self.world.scheduler.after(self.world.die.uniform(10, 5_000), self.connect)

    def forget(self) -> None:
        """A file was copied back by hand: until a sidecar shows the hub what it has lost (and the epoch is
        renewed), not even the hub could say `reset`, so whoever copied it has to (§3.6).
        """
        self._epoch = ""

    def publish(self, epoch: str, events: tuple[CommittedEvent, ...]) -> None:
        """The hub has committed events."""
        if self.is_connected:
            scheduler = self.world.scheduler
            self._clear_us = max(self._clear_us + 1, scheduler.now_us + int(self.world.http_ms() * US))
            scheduler.at_us(self._clear_us, partial(self._arrive, self._n, epoch, events))

    def _arrive(self, n: int, epoch: str, events: tuple[CommittedEvent, ...]) -> None:
        if n != self._n or epoch != self._epoch:
            return
        for event in events:
            if event.offset > self.seen:
                a_watcher_sees_everything_once(self.world.truth.log, self.seen, event)
                self.seen = event.offset


@invariant(26)
def a_watcher_sees_everything_once(log: list[CommittedEvent], seen: int, event: CommittedEvent) -> None:
    """Every event seen by a watcher is in the log, in order, exactly once, or a `reset` lies between."""
    demand(26, event.offset == seen + 1, f"a watcher saw {event.offset} after {seen}")
    demand(26, log[event.offset - 1] == event, f"a watcher saw {event}, the log has {log[event.offset - 1]}")
