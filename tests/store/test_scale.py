"""What must not grow with the work: statements a commit, threads, and the cost of a start above its rows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import apsw
from msgspec import Raw

from hub.core.effects import Change, MarkMoved, PassBy
from hub.store.database import open_database
from hub.store.ledger import SqliteLedger
from hub.store.passing import PassingKept
from protocol.ids import Generation, Seq, TaskId
from tests.store.workload import ADA, NOW, accepted, assigned, batch, joined, pushed, saved


async def statements_of(ledger: SqliteLedger, *changes: Change) -> int:
    """How many statements a batch costs: each is a hand-over of the interpreter's lock."""
    seen: list[str] = []

    def note(_cursor: object, sql: str, _parameters: object) -> bool:
        seen.append(sql)
        return True

    ledger.database.writer.exec_trace = note
    await ledger.commit(batch(*changes))
    ledger.database.writer.exec_trace = None
    return len(seen)


async def test_a_batch_costs_the_same_statements_whatever_its_size(ledger: SqliteLedger) -> None:
    """ADR 0003: set by set, or a busy loop beside the writer makes every row cost a turn of the lock."""
    await ledger.commit(batch(joined()))
    costs = []
    number = 0
    for size in (1, 200):
        tasks = [pushed(number + n) for n in range(1, size + 1)]
        number += size
        await ledger.commit(batch(*[change for task in tasks for change in saved(None, task, "task_queued")]))
        changes: list[Change] = []
        for task in tasks:
            changes += saved(task, accepted(assigned(task)), "task_accepted")
            changes.append(MarkMoved(ADA.instance_id, Seq(task.generation + 1), task.task_id))
        new = [pushed(number + n) for n in range(1, size + 1)]
        number += size
        changes += [change for task in new for change in saved(None, task, "task_queued")]
        costs.append(await statements_of(ledger, *changes))
    assert costs[0] == costs[1] <= 10


async def steps_of_a_start(path: Path, tasks_before: int, tasks: int) -> int:
    """How many steps SQLite takes to load so many open tasks: work counted, not timed."""
    ledger = SqliteLedger(open_database(path), free_bytes_min=0)
    for start in range(tasks_before, tasks, 500):
        more = [pushed(n + 1) for n in range(start, start + 500)]
        await ledger.commit(batch(*[change for task in more for change in saved(None, task, "task_queued")]))
    steps = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal steps
        steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    ledger.database.writer.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)
    assert len((await ledger.load(NOW)).tasks) == tasks
    ledger.database.writer.trace_v2(0)
    await ledger.close()
    return steps


async def test_a_start_costs_what_its_open_tasks_cost(path: Path) -> None:
    """100,000 load in seconds; a start that grows faster than its rows would not."""
    small = await steps_of_a_start(path, 0, 1_000)
    big = await steps_of_a_start(path, 1_000, 8_000)
    assert small > 1_000, "a start that reads nothing was not counted"
    assert big < small * 8 * 1.5, "eight times the tasks"


async def test_a_closed_ledger_leaves_no_thread_behind(path: Path) -> None:
    """L110."""
    before = threading.active_count()
    for _ in range(5):
        await SqliteLedger(open_database(path), free_bytes_min=0).close()
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("ledger") == 0
    assert threading.active_count() <= before + 1, "asyncio may keep one to wait with"


async def test_the_last_progress_of_a_run_is_there_after_a_restart(path: Path) -> None:
    ledger = SqliteLedger(open_database(path), free_bytes_min=0)
    task = pushed(1)
    await ledger.commit(batch(*saved(None, task)))
    await ledger.commit(batch(*saved(task, accepted(assigned(task)))))
    kept = PassingKept(ledger)
    for task_id, generation in ((task.task_id, 1), (TaskId("task-2"), 1)):
        kept.note(
            PassBy(
                event="task_progress",
                task_id=task_id,
                agent_id=ADA.agent_id,
                generation=Generation(generation),
                timestamp=NOW.wall_ms,
                payload=Raw(b'{"type":"task_progress","progress":30,"message":"reading"}'),
            )
        )
    await kept.flush()
    await ledger.close()
    ledger = SqliteLedger(open_database(path), free_bytes_min=0)
    (loaded,) = (await ledger.load(NOW)).tasks
    assert (loaded.progress, loaded.message) == (30, "reading")
    await ledger.close()
