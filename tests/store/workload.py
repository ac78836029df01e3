"""Work for a ledger under test: batches as a hub would commit them, drawn from a seed.

Owns the tasks in hand and what was acknowledged of them. Never looks into a database: `expected` is what must
be in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from msgspec import Raw
from msgspec.structs import replace

from hub.core import task as core
from hub.core.effects import (
    AgentRecord,
    AgentSaved,
    Change,
    EventLogged,
    Instance,
    InstanceSaved,
    LetterPosted,
    MailKept,
    MarkMoved,
    StrayKept,
    TaskSaved,
)
from hub.core.task import Ending, Holder, Now, Spec, StepKept, Task, Timer, TimerKind
from hub.ports import Batch, Committed
from protocol.ids import AgentId, Generation, InstanceId, MessageId, Seq, TaskId

ADA = Holder(AgentId("ada"), InstanceId("ada-journal"))
NOW = Now(5_000, 1_800_000_000_000)


def pushed(number: int, **members: object) -> Task:
    """A queued task, as a push saves it."""
    spec = Spec(description=f"work {number}", submitted_by="tests", **members)  # type: ignore[arg-type]  # members of Spec by name
    return Task(task_id=TaskId(f"task-{number:016x}"), spec=spec, version=1, created_wall_ms=NOW.wall_ms)


def assigned(task: Task) -> Task:
    return replace(
        task,
        version=task.version + 1,
        state=core.State.ASSIGNED,
        generation=Generation(task.generation + 1),
        holder=ADA,
        timer=Timer(TimerKind.ACCEPT, NOW.ms + 10_000),
    )


def accepted(task: Task) -> Task:
    timer = Timer(TimerKind.LEASE, NOW.ms + 30_000)
    return replace(task, version=task.version + 1, state=core.State.RUNNING, is_accepted=True, timer=timer)


def completed(task: Task, result: bytes = b'{"ok":true}') -> Task:
    return replace(
        task,
        version=task.version + 1,
        state=core.State.COMPLETED,
        holder=None,
        last_holder=task.holder,
        timer=None,
        result=Raw(result),
        ending=Ending(how="completed"),
    )


def saved(before: Task | None, task: Task, event: str = "") -> tuple[Change, ...]:
    """The task as it is now, and the line of the log that says so."""
    save = TaskSaved(task, before.version if before is not None else 0)
    return (save, logged(task, event)) if event else (save,)


def logged(task: Task, event: str) -> EventLogged:
    holder = task.holder or task.last_holder
    return EventLogged(
        event=event,
        task_id=task.task_id,
        agent_id=holder.agent_id if holder is not None else None,
        generation=task.generation,
        timestamp=NOW.wall_ms,
        payload=Raw(b'{"state":"' + task.state.value.encode() + b'"}'),
    )


def batch(*changes: Change, now: Now = NOW) -> Batch:
    return Batch(changes, now)


def joined(instance: str = "ada-journal", agent: str = "ada", mark: int = 0) -> InstanceSaved:
    return InstanceSaved(
        Instance(instance_id=InstanceId(instance), agent_id=AgentId(agent), mark=Seq(mark), connection=1)
    )


@dataclass(frozen=True)
class State:
    """What a ledger holds of this work: rows, the log as event and task, and the mark of the one instance."""

    tasks: dict[TaskId, Task] = field(default_factory=dict)
    log: tuple[tuple[str, str | None], ...] = ()
    mark: int = 0
    letters: tuple[str, ...] = ()
    """The tasks whose ends lie in the outbox, in their order."""

    def after(self, done: Batch) -> State:
        tasks, log, mark = dict(self.tasks), list(self.log), self.mark
        letters = list(self.letters)
        for change in done.changes:
            match change:
                case TaskSaved(task=task):
                    tasks[task.task_id] = task
                case EventLogged():
                    log.append((change.event, change.task_id))
                case MarkMoved(seq=seq):
                    mark = seq
                case LetterPosted():
                    letters.append(change.task_id)
                case _:
                    pass
        return State(tasks, tuple(log), mark, tuple(letters))


class Workload:
    """Draws batches, and knows what was acknowledged and what hangs in the air."""

    def __init__(self, die: random.Random, pushed: int = 0) -> None:
        self.die = die
        self.now = State()
        """After every acknowledged batch."""
        self.history: list[State] = []
        """Before each of them."""
        self.in_flight: Batch | None = None
        self._pushed = pushed

    @property
    def named(self) -> frozenset[TaskId]:
        """Every task that was ever said to the ledger."""
        state = self.now.after(self.in_flight) if self.in_flight is not None else self.now
        return frozenset(state.tasks)

    def draw(self) -> Batch:
        """The next turn: pushes, and moves of what is open."""
        die, changes = self.die, list[Change]()
        if not self.history:
            ada = AgentRecord(agent_id=ADA.agent_id, instance_id=ADA.instance_id)
            changes += [joined(), AgentSaved(ada)]
        for _ in range(die.randint(1, 6)):
            self._pushed += 1
            changes += saved(None, self._new(self._pushed), "task_queued")
        mark = self.now.mark
        open_tasks = [task for task in self.now.tasks.values() if not task.is_final]
        for task in die.sample(open_tasks, min(len(open_tasks), die.randint(0, 8))):
            after, event = self._moved(task)
            changes += saved(task, after, event)
            if event != "task_assigned":
                mark += 1
                changes.append(MarkMoved(ADA.instance_id, Seq(mark), task.task_id))
            if after.is_final:
                changes.append(letter_of(after))
        if die.random() < 0.1:
            changes += extras(self._pushed)
        self.in_flight = batch(*changes)
        return self.in_flight

    def acknowledge(self, committed: Committed) -> None:
        assert self.in_flight is not None
        assert not committed.refused
        self.history.append(self.now)
        self.now = self.now.after(self.in_flight)
        self.in_flight = None

    def _new(self, number: int) -> Task:
        key = f"key-{number}" if self.die.random() < 0.3 else None
        size = self.die.choice((10, 200, 3_000))
        return pushed(number, idempotency_key=key, inputs=Raw(b'"' + b"x" * size + b'"'))

    def _moved(self, task: Task) -> tuple[Task, str]:
        if task.state is core.State.QUEUED:
            return assigned(task), "task_assigned"
        if task.state is core.State.ASSIGNED:
            return accepted(task), "task_accepted"
        if self.die.random() < 0.2:
            step = StepKept(index=len(task.done), output=Raw(b'"step"'))
            return replace(task, version=task.version + 1, done=(*task.done, step)), "task_done"
        return completed(task, b'"' + b"r" * self.die.choice((2, 500, 5_000)) + b'"'), "task_complete"


def extras(number: int) -> tuple[Change, ...]:
    """A stray fact and a message for somebody who is away."""
    return (
        StrayKept(
            agent_id=ADA.agent_id,
            instance_id=ADA.instance_id,
            task_id=TaskId("task-unknown"),
            generation=3,
            frame_type="task_complete",
            frame=Raw(b"{}"),
            wall_ms=NOW.wall_ms,
        ),
        mail_to("bob", number),
    )


def letter_of(task: Task) -> LetterPosted:
    """Somebody waits for the end of this task."""
    return LetterPosted(
        kind="final",
        key=task.task_id,
        target=f"channel of {task.task_id}",
        payload=Raw(b'{"complete":true}'),
        task_id=task.task_id,
    )


def mail_to(agent: str, number: int, wall_ms: int = NOW.wall_ms) -> MailKept:
    return MailKept(
        message_id=MessageId(f"{number:016x}"),
        to=AgentId(agent),
        sender="ada",
        message_type="chat",
        payload=Raw(b'{"n":%d}' % number),
        reply_to=None,
        wall_ms=wall_ms,
    )
