"""The loop: nobody is told before the commit; what happens when the ledger is full, stalls or breaks."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.auth import Authority
from hub.census import Cap, Trusted
from hub.clock import HubClock, monotonic_ms
from hub.core.board import Board
from hub.core.dependencies import Outcome
from hub.core.effects import Granted, PassBy
from hub.core.events import (
    AgentIdentified,
    CancelRequested,
    FrameHeard,
    RetryRequested,
    Sender,
    TaskSubmitted,
    TimePassed,
)
from hub.core.policy import Policy
from hub.core.task import Now, Spec, State
from hub.crashpoints import Crasher
from hub.dispatcher import Dispatcher
from hub.errors import Closing, Overloaded
from hub.feed import Feed
from hub.history import History
from hub.metrics import Metrics
from hub.poison import Poison
from hub.ports import Batch, Committed, CommittedEvent, Found, Loaded, StorageBroken, StorageFull
from hub.registry import Registry
from hub.settings import Settings
from hub.telling import Teller
from protocol.frames import TaskComplete
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId
from tests.hub.test_clock import Hand
from tests.simulation.ledgerdouble import MemoryLedger
from tests.waiting import until

SENDER = Sender(1, AgentId("ada"), InstanceId("i"), 2)


class SlowLedger:
    """The memory double behind a gate: a commit waits, fails or passes as the test says."""

    def __init__(self) -> None:
        self.inner = MemoryLedger("e1")
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.commits = 0
        self.waiting = 0

    async def load(self, now: Now) -> Loaded:
        return self.inner.load(now)

    async def find(self, tasks: frozenset[TaskId], keys: frozenset[str]) -> Found:
        return self.inner.find(tasks, keys)

    async def look_up(self, tasks: frozenset[TaskId]) -> tuple[Outcome, ...]:
        return self.inner.look_up(tasks)

    async def commit(self, batch: Batch) -> Committed:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.failures:
            raise self.failures.pop(0)
        self.commits += 1
        return self.inner.commit(batch)


class NoLog:
    """Nothing older than the ring is asked for here."""

    async def events_after(self, offset: int, limit: int) -> Sequence[CommittedEvent]:
        return ()


class Unkept:
    """Keeps nothing of what passes by."""

    def note(self, effect: PassBy) -> None:
        """Forgotten."""


class Loop:
    """A running dispatcher on the memory double, with everything it tells within reach."""

    def __init__(
        self,
        *,
        inbox_letters_max: int = 100,
        turn_letters_max: int = 50,
        monotonic: Callable[[], int] = monotonic_ms,
        poison: Poison | None = None,
        board: type[Board] = Board,
    ) -> None:
        settings = Settings(port=0)
        self.ledger = SlowLedger()
        self.clock = HubClock(monotonic)
        self.metrics = Metrics()
        self.board = board(Policy(), epoch="e1", now=self.clock.now())
        authority = Authority(b"p" * 32, lambda: 0)
        strangers = Cap("strangers", most=1, most_per_address=1, trusted=Trusted(), metrics=self.metrics)
        self.registry = Registry(
            settings=settings,
            clock=self.clock,
            metrics=self.metrics,
            authority=authority,
            strangers=strangers,
        )
        self.feed = Feed(
            NoLog(),
            epoch="e1",
            last_offset=0,
            clock=self.clock,
            metrics=self.metrics,
            snapshot=lambda: Raw(b"{}"),
            ring_events=1_000,
            watchers_max=1,
            watchers_per_token_max=1,
        )
        self.dispatcher = Dispatcher(
            self.board,
            self.ledger,
            self.clock,
            Teller(self.registry, self.feed, Unkept(), self.metrics, History(None)),
            metrics=self.metrics,
            roll=random.Random(1).random,
            crasher=Crasher(),
            turns=None,
            poison=Poison(Path("no such folder/poison")) if poison is None else poison,
            inbox_letters_max=inbox_letters_max,
            turn_letters_max=turn_letters_max,
        )
        self.registry.bind(self.dispatcher)

    def push(self, n: int, key: str | None = None) -> TaskSubmitted:
        return TaskSubmitted(task_id=TaskId(f"task-{n:016x}"), spec=Spec(idempotency_key=key))


@asynccontextmanager
async def turning(monotonic: Callable[[], int] = monotonic_ms, **limits: int) -> AsyncIterator[Loop]:
    loop = Loop(
        monotonic=monotonic,
        inbox_letters_max=limits.get("inbox_letters_max", 100),
        turn_letters_max=limits.get("turn_letters_max", 50),
    )
    async with asyncio.TaskGroup() as group:
        run = group.create_task(loop.dispatcher.run())
        yield loop
        run.cancel()


def identified() -> AgentIdentified:
    return AgentIdentified(sender=SENDER, name="ada", slots=10, connection=1, boot_id="b", holding=())


async def test_nobody_is_answered_before_the_commit() -> None:
    async with turning() as loop, asyncio.TaskGroup() as group:
        loop.ledger.gate.clear()
        asked = group.create_task(loop.dispatcher.ask(loop.push(1)))
        await until(lambda: loop.ledger.waiting == 1, "the commit waits")
        assert not asked.done()
        assert loop.feed.last_offset == 0
        loop.ledger.gate.set()
        reply = await asked
        assert isinstance(reply, Granted)
        assert loop.feed.last_offset > 0


async def test_while_one_turn_commits_the_next_one_gathers() -> None:
    async with turning() as loop, asyncio.TaskGroup() as group:
        loop.ledger.gate.clear()
        asked = [group.create_task(loop.dispatcher.ask(loop.push(1)))]
        await until(lambda: loop.ledger.waiting == 1, "the first commit waits")
        asked += [group.create_task(loop.dispatcher.ask(loop.push(n))) for n in range(2, 30)]
        await loop.clock.breathe()
        loop.ledger.gate.set()
        await asyncio.gather(*asked)
        assert loop.ledger.commits == 2


async def test_letters_that_belong_together_are_one_commit_even_above_the_bound_of_a_turn() -> None:
    async with turning(turn_letters_max=5) as loop:
        replies = await loop.dispatcher.ask_all([loop.push(n) for n in range(20)])
        assert all(isinstance(reply, Granted) for reply in replies)
        assert loop.ledger.commits == 1


async def test_a_full_inbox_says_so_and_forgets_nothing() -> None:
    async with turning(inbox_letters_max=10) as loop, asyncio.TaskGroup() as group:
        loop.ledger.gate.clear()
        asked = [group.create_task(loop.dispatcher.ask(loop.push(0)))]
        await until(lambda: loop.ledger.waiting == 1, "the first commit waits")
        asked += [group.create_task(loop.dispatcher.ask(loop.push(n))) for n in range(1, 11)]
        await loop.clock.breathe()
        with pytest.raises(Overloaded):
            await loop.dispatcher.ask(loop.push(11))
        assert not loop.dispatcher.post([TimePassed()]), "links are told that there is no room"
        loop.ledger.gate.set()
        assert all(isinstance(reply, Granted) for reply in await asyncio.gather(*asked))
        assert loop.metrics.registry.get_sample_value("hub_overloads_total") == 1


async def test_the_same_key_twice_in_one_turn_is_one_task() -> None:
    async with turning() as loop:
        first, second = await loop.dispatcher.ask_all([loop.push(1, "k"), loop.push(2, "k")])
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert first.task is not None
        assert second.task is not None
        assert first.task.task_id == second.task.task_id
        assert second.is_repeat


async def test_a_full_disk_answers_pushes_and_keeps_what_links_have_said() -> None:
    """Pushes get 503 and leave no trace; facts wait, and are written when there is room again."""
    async with turning() as loop:
        await loop.dispatcher.ask(identified())
        reply = await loop.dispatcher.ask(replace(loop.push(1), spec=Spec(assign_to=AgentId("ada"))))
        assert isinstance(reply, Granted)
        loop.ledger.failures = [StorageFull(), StorageFull()]
        done = TaskComplete(
            task_id=TaskId(f"task-{1:016x}"), generation=Generation(1), seq=Seq(1), result=Raw(b"7")
        )
        loop.dispatcher.post([FrameHeard(sender=SENDER, frame=done)])
        with pytest.raises(StorageFull):
            await loop.dispatcher.ask(loop.push(2))
        assert loop.dispatcher.is_storage_full
        with pytest.raises(StorageFull):
            await loop.dispatcher.ask(loop.push(3))
        rows = loop.ledger.inner.rows
        await until(lambda: rows[done.task_id].state is State.COMPLETED, "the fact is written")
        assert TaskId(f"task-{2:016x}") not in rows
        assert loop.board.view_task(TaskId(f"task-{2:016x}")) is None
        loop.dispatcher.note_room(has_room=True)
        assert isinstance(await loop.dispatcher.ask(loop.push(4)), Granted)


@pytest.mark.parametrize("full", [StorageFull(), StorageFull(is_for_pushes_only=True)])
async def test_a_refused_retry_does_not_leave_the_hub_full_for_ever(full: StorageFull) -> None:
    """Nothing waits to be tried again, so no commit would say that there is room: the next look at the disk
    does. Pushes were refused until somebody happened to say a fact."""
    async with turning() as loop:
        assert isinstance(await loop.dispatcher.ask(loop.push(1)), Granted)
        first = TaskId(f"task-{1:016x}")
        assert isinstance(await loop.dispatcher.ask(CancelRequested(task_id=first, by="eve")), Granted)
        loop.ledger.failures = [full]
        with pytest.raises(StorageFull):
            await loop.dispatcher.ask(
                RetryRequested(task_id=first, new_task_id=TaskId("task-again"), by="eve")
            )
        assert loop.dispatcher.is_storage_full
        loop.dispatcher.note_room(has_room=True)
        assert loop.metrics.registry.get_sample_value("hub_storage_full") == 0
        assert isinstance(await loop.dispatcher.ask(loop.push(2)), Granted)


async def test_deadlines_do_not_pile_up_while_the_disk_is_full() -> None:
    """Each try used to keep its letter of the time and to ring for another."""
    async with turning() as loop:
        await loop.dispatcher.ask(identified())
        loop.ledger.failures = [StorageFull() for _ in range(3)]
        done = TaskComplete(task_id=TaskId("task-unknown"), generation=Generation(1), seq=Seq(1))
        loop.dispatcher.post([FrameHeard(sender=SENDER, frame=done), *(TimePassed() for _ in range(50))])
        await until(lambda: len(loop.ledger.failures) < 3, "the disk was full once")
        await until(lambda: not loop.ledger.failures, "the disk has room again")
        decided = loop.metrics.registry.get_sample_value("hub_turn_letters_sum")
        assert decided is not None
        assert decided < 2 * 50, "the letters of the time were decided once, not at each try"


async def test_a_broken_disk_ends_the_loop_and_leaves_nobody_waiting() -> None:
    loop = Loop()
    loop.ledger.failures = [StorageBroken("sync failed")]
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.dispatcher.run())
            with contextlib.suppress(Closing):
                await loop.dispatcher.ask(loop.push(1))
    assert ended.group_contains(StorageBroken)
    with pytest.raises(Closing):
        await loop.dispatcher.ask(loop.push(2))


async def test_a_commit_that_takes_long_is_no_time_for_deadlines() -> None:
    """L20: block the database for ten seconds, and nothing is requeued."""
    hand = Hand()
    async with turning(hand) as loop, asyncio.TaskGroup() as group:
        before = loop.clock.now_ms()
        loop.ledger.gate.clear()
        asked = group.create_task(loop.dispatcher.ask(loop.push(1)))
        await until(lambda: loop.ledger.waiting == 1, "the commit waits")
        for _ in range(40):
            hand.ms += 250
            loop.clock.now_ms()
        loop.ledger.gate.set()
        await asked
        assert loop.clock.now_ms() - before < 500
