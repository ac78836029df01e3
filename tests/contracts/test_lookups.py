"""How tasks stand, as every ledger must answer it: one outcome for each that is asked about."""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.dependencies import Outcome
from hub.core.task import Ending, Fault, State, Task
from protocol.ids import TaskId
from tests.contracts.ledgers import Subject
from tests.store.workload import accepted, assigned, batch, completed, pushed, saved


async def move(subject: Subject, *steps: Task) -> Task:
    before = None
    for step in steps:
        committed = await subject.ledger.commit(batch(*saved(before, step, "")))
        assert not committed.refused
        before = step
    return steps[-1]


def failed(task: Task) -> Task:
    over = Ending(how="attempts", whose_fault=Fault.WORK)
    return replace(
        task,
        state=State.DEAD_LETTER,
        holder=None,
        timer=None,
        run_due_ms=None,
        ending=over,
        error="broken",
        version=task.version + 1,
    )


async def test_each_is_told_as_it_stands_and_those_that_are_nowhere_as_gone(subject: Subject) -> None:
    waiting = await move(subject, pushed(1))
    at_work = accepted(assigned(pushed(2)))
    running = await move(subject, pushed(2), assigned(pushed(2)), at_work)
    done = await move(subject, pushed(3), assigned(pushed(3)), completed(assigned(pushed(3))))
    dead = await move(subject, pushed(4), assigned(pushed(4)), failed(assigned(pushed(4))))
    nowhere = TaskId("task-nowhere")
    asked = frozenset({waiting.task_id, running.task_id, done.task_id, dead.task_id, nowhere})
    found = {one.task_id: one for one in await subject.ledger.look_up(asked)}
    assert found == {
        waiting.task_id: Outcome(task_id=waiting.task_id, state=State.QUEUED),
        running.task_id: Outcome(task_id=running.task_id, state=running.state),
        done.task_id: Outcome(task_id=done.task_id, state=State.COMPLETED, how="completed"),
        dead.task_id: Outcome(
            task_id=dead.task_id, state=State.DEAD_LETTER, how="attempts", whose_fault=Fault.WORK
        ),
        nowhere: Outcome(task_id=nowhere, state=None),
    }


async def test_looking_up_nothing_is_no_failure(subject: Subject) -> None:
    assert await subject.ledger.look_up(frozenset()) == ()
