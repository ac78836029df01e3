"""The loop over other surroundings: a runner that misbehaves, a disk that is full, a disk that lies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol import frames as f
from protocol.ids import Generation, RequestId
from sidecar import agent as agent_module
from sidecar.agent import Agent
from sidecar.clock import SidecarClock
from sidecar.connect import Sidecar, card_of
from sidecar.desk import Desk
from sidecar.errors import SidecarError
from sidecar.events import DeskEvent
from sidecar.journal import JournalBroken
from sidecar.line import Line, Place
from sidecar.redial import Window
from sidecar.runners.contract import (
    Answers,
    Asked,
    Finished,
    Order,
    Outcome,
    Progress,
    Rejection,
    Reporter,
    StepDone,
    Stopped,
    StopSignal,
)
from sidecar.runs import TALK_WAITING_MAX, Runs
from sidecar.settings import Settings
from tests.sidecar.dialogue import INSTANCE, MemoryDisk, open_book, raw, stopped, task
from tests.sidecar.hubdouble import HubDouble, hub_double
from tests.waiting import until


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


class Chatterbox:
    """A runner that says what it is told to, asks a question, and talks faster than anybody listens."""

    name = "chatterbox"

    def accepts(self, order: Order) -> Rejection | None:
        return None

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        if order.description == "break":
            raise RuntimeError("out of luck")
        if order.description == "ask":
            assert answers is not None
            report(Asked(request_id=RequestId("q1"), prompt="colour?"))
            return Finished(result=await answers.wait(RequestId("q1")))
        if order.description == "flood":
            for n in range(TALK_WAITING_MAX + 500):
                report(Progress(progress=n / 100))
            report(StepDone(index=0, output=b"1"))
            await asyncio.wait({asyncio.get_running_loop().run_in_executor(None, lambda: None)})
            report(Progress(progress=99))
            return Finished(result=b"1")
        await stop.wait()
        return Stopped(how="cooperative", proof=stopped().proof)


class Bench:
    """An agent over a disk in memory."""

    def __init__(self, hub: HubDouble, disk: MemoryDisk) -> None:
        self.disk = disk
        self.book, _ = open_book(disk)
        clock = SidecarClock()
        self.runs = Runs([Chatterbox()], self._post)
        settings = Settings(agent_id="a", slots=4)
        self.desk = Desk(card_of(settings, INSTANCE), self.book.memory, self.runs.accepts)
        self.agent = Agent(self.desk, self.book, clock, drain_ms=60_000)
        self.line = Line(
            Place(hub.url, "t"),
            clock,
            post=self.agent.post,
            has_room=self.agent.has_room,
            beat=self.desk.heartbeat,
            roll=lambda: 0.5,
            window=Window(1, 10, 20),
        )

    async def run(self) -> None:
        await self.agent.run(self.line, self.runs)

    def _post(self, event: DeskEvent) -> None:
        self.agent.post(event)


async def test_a_runner_that_breaks_fails_its_own_task_only(hub: HubDouble) -> None:
    bench = Bench(hub, MemoryDisk())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        await hub.caller()
        await hub.assign(1, description="break")
        fact = await hub.fact(f.TaskFailed, 1)
        assert isinstance(fact, f.TaskFailed)
        assert fact.error == "the runner broke: RuntimeError: out of luck"
        bench.agent.drain()
        await running


async def test_a_question_reaches_a_person_and_the_answer_the_run(hub: HubDouble) -> None:
    bench = Bench(hub, MemoryDisk())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        caller = await hub.caller()
        await hub.assign(1, description="ask")
        await hub.fact(f.InputRequired, 1)
        await caller.say(f.TaskInput(task_id=task(1), request_id=RequestId("q1"), value=raw('"red"')))
        fact = await hub.fact(f.TaskComplete, 1)
        assert isinstance(fact, f.TaskComplete)
        assert bytes(fact.result) == b'"red"'
        bench.agent.drain()
        await running


async def test_a_flood_of_talk_is_dropped_and_counted_and_no_fact_is(hub: HubDouble) -> None:
    """L7, L62"""
    bench = Bench(hub, MemoryDisk())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        caller = await hub.caller()
        await hub.assign(1, description="flood")
        await hub.fact(f.TaskDone, 1)
        await hub.fact(f.TaskComplete, 1)
        said = [frame for frame in caller.heard if isinstance(frame, f.TaskProgress)]
        assert len(said) <= 3
        assert sum(frame.dropped for frame in said) == TALK_WAITING_MAX + 501 - len(said)
        bench.agent.drain()
        await running


async def test_a_full_disk_takes_no_work_keeps_what_it_has_and_goes_on_when_there_is_room(
    hub: HubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "NO_ROOM_RETRY_MS", 20)
    bench = Bench(hub, MemoryDisk())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        caller = await hub.caller()
        await hub.assign(1)
        await hub.fact(f.TaskAccepted, 1)
        bench.disk.room = 0
        await hub.assign(2)
        await until(lambda: f.Draining() in caller.heard, "it says that it takes no work")
        assert bench.agent.is_full
        await caller.say(f.TaskCancel(task_id=task(1), generation=Generation(1), reason="asked", grace_ms=10))
        await until(
            lambda: "result_pending" in {held.state for held in bench.desk.holding()}, "the run was stopped"
        )
        assert [type(fact) for fact in hub.facts] == [f.TaskAccepted], "nothing unrecorded is said"
        bench.disk.room = None
        await hub.caller(2)
        await hub.fact(f.TaskStopped, 1)
        await hub.fact(f.TaskAccepted, 2)
        await hub.assign(3, description="break")
        await hub.fact(f.TaskFailed, 3)
        bench.agent.drain()
        bench.agent.drain()
        await running


async def test_beats_go_on_while_the_disk_stands_still(hub: HubDouble) -> None:
    """L20"""
    moves = threading.Event()

    class SlowDisk(MemoryDisk):
        def sync(self) -> None:
            moves.wait(20)
            super().sync()

    hub.heartbeat_ms = 20
    bench = Bench(hub, SlowDisk())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        caller = await hub.caller()
        await hub.assign(1, description="break")
        await until(lambda: bench.desk.runs_in_hand == 1, "the assignment is decided")
        beats = [len(caller.heard)]
        await until(lambda: len(caller.heard) > beats[0] + 6, "three more beats and pings are heard")
        assert hub.facts == [], "nothing is said that is not durable"
        moves.set()
        await hub.fact(f.TaskFailed, 1)
        bench.agent.drain()
        await running


async def test_a_journal_that_cannot_be_believed_ends_the_sidecar(hub: HubDouble, tmp_path: Path) -> None:
    class BrokenDisk(MemoryDisk):
        def sync(self) -> None:
            raise JournalBroken("the disk lied")

    bench = Bench(hub, BrokenDisk())
    async with asyncio.TaskGroup() as tasks:

        async def run() -> None:
            with pytest.raises(ExceptionGroup) as caught:
                await bench.run()
            assert caught.group_contains(JournalBroken)

        running = tasks.create_task(run())
        await hub.caller()
        await hub.assign(1)
        await running
    assert hub.facts == [], "nothing is said that was not recorded"
    sidecar = Sidecar(
        Settings(hub_url=hub.url, agent_id="a", token="t", state_dir=tmp_path / "x"), lambda _: None
    )
    with pytest.raises(SidecarError, match="cannot be used"):
        await sidecar.work()


async def test_a_link_is_not_read_while_the_inbox_is_full(
    hub: HubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "INBOX_LETTERS_MAX", 2)
    monkeypatch.setattr(agent_module, "TURN_LETTERS_MAX", 3)
    bench = Bench(hub, MemoryDisk())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        caller = await hub.caller()
        frames = [
            f.TaskAssign(task_id=task(n), generation=Generation(1), description="break") for n in range(20)
        ]
        await caller.say(*frames)
        await until(lambda: len({fact.task_id for fact in hub.facts}) == 20, "all were heard")
        bench.agent.drain()
        await running
