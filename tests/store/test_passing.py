"""Passing talk: kept as far as that costs nothing."""

from __future__ import annotations

import asyncio
import threading

from msgspec import Raw
from msgspec.json import encode

from hub.core.effects import PassBy
from hub.store import passing
from hub.store.ledger import SqliteLedger
from hub.store.passing import LOG_BYTES_MAX, LOG_LINES_MAX, PassingKept, pieces
from hub.store.queries import Queries
from protocol.frames import TaskLog, TaskProgress
from protocol.ids import Generation, TaskId
from protocol.limits import KIB
from tests.store.workload import ADA, NOW
from tests.waiting import until

TASK = TaskId("task-1")


def said(frame: TaskLog | TaskProgress, event: str) -> PassBy:
    return PassBy(
        event=event,
        task_id=frame.task_id,
        agent_id=ADA.agent_id,
        generation=frame.generation,
        timestamp=NOW.wall_ms,
        payload=Raw(encode(frame)),
    )


def line(n: int, text: str = "hello", task_id: TaskId = TASK) -> PassBy:
    frame = TaskLog(task_id=task_id, generation=Generation(1), n=n, text=text, data=Raw(b'{"a":null}'))
    return said(frame, "task_log")


def progress(
    percent: float | None = None, message: str | None = None, *, generation: int = 1, task_id: TaskId = TASK
) -> PassBy:
    frame = TaskProgress(
        task_id=task_id, generation=Generation(generation), progress=percent, message=message
    )
    return said(frame, "task_progress")


async def test_the_log_of_a_task_is_kept_in_order(ledger: SqliteLedger, queries: Queries) -> None:
    kept = PassingKept(ledger)
    for n in range(300):
        kept.note(line(n))
    kept.note(line(0, "somebody else's", TaskId("task-2")))
    await kept.flush()
    lines = await queries.task_log(TASK)
    assert [one.n for one in lines] == list(range(300))
    assert (lines[0].text, lines[0].data, lines[0].generation) == ("hello", Raw(b'{"a":null}'), 1)
    assert [one.n for one in await queries.task_log(TASK, after=lines[9].line_id, limit=2)] == [10, 11]


async def test_the_last_progress_is_kept(ledger: SqliteLedger, queries: Queries) -> None:
    kept = PassingKept(ledger)
    for step in (progress(10, "starting"), progress(40), progress(message="thinking")):
        kept.note(step)
    await kept.flush()
    last = await queries.progress(TASK)
    assert last is not None
    assert (last.progress, last.message, last.generation) == (40, "thinking", 1)
    kept.note(progress(5, generation=2))
    await kept.flush()
    last = await queries.progress(TASK)
    assert last is not None
    assert (last.progress, last.message, last.generation) == (5, None, 2)


async def test_a_log_is_capped_in_lines_and_keeps_the_newest(ledger: SqliteLedger, queries: Queries) -> None:
    """L110: a chatty run does not fill the disk."""
    kept = PassingKept(ledger)
    for n in range(3 * LOG_LINES_MAX):
        kept.note(line(n))
        if n % 500 == 499:
            await kept.flush()
    count, newest = await ledger.look(
        lambda c: c.execute("SELECT count(*), max(line_id) FROM logs").fetchall()[0]
    )
    assert LOG_LINES_MAX <= int(str(count)) <= LOG_LINES_MAX * passing.SLACK
    last = await queries.task_log(TASK, after=int(str(newest)) - 1)
    assert [one.n for one in last] == [3 * LOG_LINES_MAX - 1]


async def test_a_log_is_capped_in_bytes(ledger: SqliteLedger) -> None:
    kept = PassingKept(ledger)
    for n in range(100):
        kept.note(line(n, "x" * 32 * KIB))
    await kept.flush()
    size = await ledger.look(lambda c: c.execute("SELECT sum(length(line)) FROM logs").fetchall()[0][0])
    assert int(str(size)) <= LOG_BYTES_MAX * passing.SLACK + passing.PIECE_BYTES


async def test_what_waits_is_bounded_and_what_is_dropped_is_counted(ledger: SqliteLedger) -> None:
    kept = PassingKept(ledger)
    for n in range(passing.LINES_WAITING_MAX + 7):
        kept.note(line(n))
    assert kept.dropped == 7
    big = PassingKept(ledger)
    for n in range(200):
        big.note(line(n, "x" * 60 * KIB))
    assert big.dropped > 0


def test_a_piece_is_small_enough_that_a_fact_never_waits_long() -> None:
    small = [("task-1", 1, 0, "{}")] * 300
    assert [len(piece) for piece in pieces(small)] == [128, 128, 44]
    huge = [("task-1", 1, 0, "x" * passing.PIECE_BYTES)] * 3
    assert [len(piece) for piece in pieces(huge)] == [1, 1, 1]
    assert list(pieces([])) == []


async def test_lines_on_their_way_to_the_disk_can_be_read(ledger: SqliteLedger, queries: Queries) -> None:
    kept, gate = PassingKept(ledger), threading.Event()
    for n in (1, 2, 3):
        kept.note(line(n))
        kept.note(line(n, task_id=TaskId("task-2")))
    assert [(one.n, one.text) for one in kept.waiting(TASK, 2)] == [(1, "hello"), (2, "hello")]
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.write_passing(lambda _: gate.wait(60)))
        group.create_task(kept.flush())
        await until(lambda: not kept._lines, "the lines wait for the disk")
        kept.note(line(4))
        assert [one.n for one in kept.waiting(TASK, 10)] == [1, 2, 3, 4]
        assert await queries.task_log(TASK) == ()
        gate.set()
    assert [one.n for one in await queries.task_log(TASK)] == [1, 2, 3]
    assert [one.n for one in kept.waiting(TASK, 10)] == [4]
    assert kept.waiting(TASK, -1) == ()


async def test_facts_go_before_passing_talk(ledger: SqliteLedger) -> None:
    """Design §4: kept by a low-priority writer that never delays a fact."""
    order: list[str] = []
    gate = threading.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.write(lambda _: gate.wait(20)))
        group.create_task(ledger.write_passing(lambda _: order.append("passing")))
        group.create_task(ledger.write(lambda _: order.append("fact")))
        await until(lambda: ledger.waiting == 2, "both are in the queue")
        gate.set()
    assert order == ["fact", "passing"]


async def test_talk_about_no_task_is_not_kept(ledger: SqliteLedger) -> None:
    kept = PassingKept(ledger)
    kept.note(
        PassBy(
            event="task_log", task_id=None, agent_id=None, generation=None, timestamp=0, payload=Raw(b"{}")
        )
    )
    await kept.flush()
    assert await ledger.look(lambda c: c.execute("SELECT count(*) FROM logs").fetchall()) == [(0,)]
