"""An agent inside the hub: it identifies, takes orders, has them delivered, and reports their ends.

Owns what it has in hand. Its journal is the hub's own ledger: after a restart it lists what its instance had
accepted, and what it had not comes again by the board (T12). Like any agent it knows nothing of what a fact
does to a task, and counts on a fact only when the receipt is there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from msgspec import Raw

from hub.core.events import AgentIdentified, Event, FrameHeard, LinkLost, Sender
from hub.core.task import Task
from hub.inner.facts import Facts, Receipt
from hub.inner.job import Job, Undelivered, Work
from hub.inner.line import Line
from hub.ports import Clock
from protocol import limits
from protocol.frames import (
    V2_FEATURES,
    AckStatus,
    AgentFrame,
    FactFrame,
    Heartbeat,
    Held,
    Holding,
    HubFrame,
    Identified,
    TaskAccepted,
    TaskAck,
    TaskAssign,
    TaskCancel,
    TaskComplete,
    TaskFailed,
    TaskProgress,
    TaskRevoke,
    TaskStopped,
)
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId

REDIAL_MS: Final = 1_000
"""After the hub has hung up: a person has disconnected it, and wants to see that."""

ERROR_LENGTH_MAX: Final = 8 * 1024
"""Of what others say went wrong."""

TOO_BIG: Final = "result_too_big"

Run: TypeAlias = tuple[TaskId, Generation]

logger = logging.getLogger(__name__)


class Board(Protocol):
    """What it may look at."""

    def open_tasks(self) -> tuple[Task, ...]: ...
    def view_task(self, task_id: TaskId) -> Task | None: ...
    def mark_of(self, instance_id: InstanceId) -> Seq: ...


class Inbox(Protocol):
    """Where its letters go: the dispatcher."""

    def post(self, events: Sequence[Event]) -> bool: ...


class Lines(Protocol):
    """Who carries the board's words to it: the registry."""

    def number(self) -> int: ...
    def attach(self, line: Line) -> None: ...
    def detach(self, line: Line) -> None: ...


class InnerAgent:
    """`run` belongs in the hub's TaskGroup; the rest is called by whoever hears how jobs end."""

    def __init__(
        self,
        agent_id: AgentId,
        work: Work,
        *,
        board: Board,
        inbox: Inbox,
        lines: Lines,
        clock: Clock,
        heartbeat_ms: int,
        slots: int,
        plugins: tuple[str, ...] = (),
    ) -> None:
        assert 0 < slots <= limits.SLOTS_MAX
        self.agent_id = agent_id
        self.instance_id = InstanceId(agent_id)
        self.jobs: dict[TaskId, Job] = {}
        """In hand: ordered, and not yet over."""
        self._work = work
        self._board = board
        self._inbox = inbox
        self._lines = lines
        self._clock = clock
        self._heartbeat_ms = heartbeat_ms
        self._slots = slots
        self._plugins = plugins
        self._boot_id = secrets.token_hex(8)
        self._dials = 0
        self._facts = Facts(board.mark_of(self.instance_id))
        self._accepted: set[TaskId] = set()
        self._deliveries: dict[TaskId, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._sender: Sender | None = None
        """Once the board has taken this line in."""
        self._take_up()

    def _take_up(self) -> None:
        """What this instance had accepted in an earlier life of the hub."""
        for task in self._board.open_tasks():
            if task.holder is not None and task.holder.instance_id == self.instance_id and task.is_accepted:
                self.jobs[task.task_id] = Job(task=task)
                self._accepted.add(task.task_id)

    @property
    def is_running(self) -> bool:
        """Whether what it says can be heard."""
        return self._group is not None

    # --- its life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take orders until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._beat())
                while True:
                    await self._be_connected()
                    await self._clock.sleep_until(self._clock.now().ms + REDIAL_MS)
        finally:
            self._group = None

    async def _be_connected(self) -> None:
        line = Line(self._lines.number())
        self._lines.attach(line)
        try:
            self._identify(line)
            while (frame := await line.hear()) is not None:
                self._hear(line, frame)
        finally:
            self._sender = None
            self._lines.detach(line)
            self._inbox.post([LinkLost(link_id=line.link_id, reason=line.reason)])

    def _identify(self, line: Line) -> None:
        self._dials += 1
        runs = self.in_hand()
        pending = set(self._facts.endings())
        holding = tuple(
            Holding(
                task_id=task_id,
                generation=generation,
                state="result_pending" if (task_id, generation) in pending else "running",
            )
            for task_id, generation in runs
            if task_id in self._accepted or (task_id, generation) in pending
        )
        self._inbox.post(
            [
                AgentIdentified(
                    sender=self._sender_on(line),
                    name=self.agent_id,
                    plugins=self._plugins,
                    features=V2_FEATURES,
                    client_type="hub",
                    slots=self._slots,
                    boot_id=self._boot_id,
                    connection=self._dials,
                    seq_next=self._facts.first,
                    holding=holding,
                    session_id=secrets.token_hex(8),
                )
            ]
        )

    def _sender_on(self, line: Line) -> Sender:
        return Sender(line.link_id, self.agent_id, self.instance_id, 2)

    async def _beat(self) -> None:
        """Its leases live as long as the hub does."""
        while True:
            await self._clock.sleep_until(self._clock.now().ms + self._heartbeat_ms)
            held = tuple(Held(task_id=task_id, generation=number) for task_id, number in self.in_hand())
            self._post(Heartbeat(as_of_seq=self._facts.last, tasks=held))

    def accepted(self) -> tuple[Job, ...]:
        """Jobs that are out."""
        return tuple(self.jobs[task_id] for task_id in self._accepted)

    def in_hand(self) -> tuple[Run, ...]:
        """Jobs, and runs whose end has no receipt yet."""
        jobs = ((job.task_id, job.generation) for job in self.jobs.values())
        return tuple(dict.fromkeys((*jobs, *self._facts.endings())))

    # --- what the hub says -----------------------------------------------------------------------------

    def _hear(self, line: Line, frame: HubFrame) -> None:
        match frame:
            case Identified():
                self._welcomed(line, frame)
            case TaskAck():
                self._facts.receipted(frame)
            case TaskAssign():
                self._ordered(frame)
            case TaskRevoke() | TaskCancel():
                self._stop(frame.task_id, frame.generation)
            case _:
                logger.debug("< %s", type(frame).__name__, extra={"agent_id": self.agent_id})

    def _welcomed(self, line: Line, frame: Identified) -> None:
        self._sender = self._sender_on(line)
        self._facts.are_in(frame.seq_received or Seq(0))
        for held in frame.drop or ():
            self._let_go(held.task_id, held.generation)
        for fact in self._facts.unreceipted():
            self._post(fact)

    def _ordered(self, frame: TaskAssign) -> None:
        task = self._board.view_task(frame.task_id)
        if task is None or not task.is_held or task.generation != frame.generation:
            return  # it has moved on since this was said
        known = self.jobs.get(task.task_id)
        if known is not None and known.generation == task.generation:
            return  # being delivered, or its acceptance is on its way (T12)
        if known is not None:
            self._let_go(known.task_id, known.generation)
        job = self.jobs[task.task_id] = Job(task=task)
        assert self._group is not None, "nobody is ordered before it runs"
        self._deliveries[job.task_id] = self._group.create_task(self._deliver(job))

    async def _deliver(self, job: Job) -> None:
        try:
            failure = await self._work.deliver(job)
        except Exception:  # the edge of one job: its bug may fail it, and nothing else
            logger.exception("! a job could not be delivered", extra={"task_id": job.task_id})
            failure = Undelivered(error="the hub could not hand it out: its log says why", is_retryable=False)
        if self.jobs.get(job.task_id) is not job:
            return  # over before it was out: somebody was quick
        self._deliveries.pop(job.task_id, None)
        if failure is None:
            self._accepted.add(job.task_id)
            self._say(TaskAccepted(task_id=job.task_id, generation=job.generation))
            return
        self._say_failed(job.task_id, job.generation, failure)

    def _stop(self, task_id: TaskId, generation: Generation) -> None:
        """What is outside cannot be stopped from here: its late end is refused by the board."""
        if (task_id, generation) in self._facts.endings():
            return
        self._let_go(task_id, generation)
        self._say(TaskStopped(task_id=task_id, generation=generation, how="was_not_running"))

    def _let_go(self, task_id: TaskId, generation: Generation) -> None:
        job = self.jobs.get(task_id)
        if job is None or job.generation != generation:
            return
        del self.jobs[task_id]
        self._accepted.discard(task_id)
        delivery = self._deliveries.pop(task_id, None)
        if delivery is not None:
            delivery.cancel()
        self._work.forget(job)

    # --- what it says ----------------------------------------------------------------------------------

    async def complete(self, task_id: TaskId, generation: Generation, result: Raw) -> AckStatus:
        """The end of a run, once it is durable; `stale` when the run was over before."""
        if len(bytes(result)) > limits.RESULT_BYTES_MAX:
            return await self.fail(task_id, generation, Undelivered(error=TOO_BIG, is_retryable=False))
        self._let_go(task_id, generation)
        return await self._say(TaskComplete(task_id=task_id, generation=generation, result=result))

    async def fail(self, task_id: TaskId, generation: Generation, failure: Undelivered) -> AckStatus:
        return await self._say_failed(task_id, generation, failure)

    def progress(self, job: Job, progress: float | None, message: str | None) -> None:
        """How far it is. May be lost."""
        said = TaskProgress(
            task_id=job.task_id, generation=job.generation, progress=progress, message=message
        )
        self._post(said)

    def _say_failed(self, task_id: TaskId, generation: Generation, failure: Undelivered) -> Receipt:
        self._let_go(task_id, generation)
        return self._say(
            TaskFailed(
                task_id=task_id,
                generation=generation,
                error=failure.error[:ERROR_LENGTH_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}"),
                retryable=failure.is_retryable,
                retry_after_ms=failure.retry_after_ms or None,
            )
        )

    def _say(self, fact: FactFrame) -> Receipt:
        numbered, receipt = self._facts.number(fact)
        self._post(numbered)
        return receipt

    def _post(self, frame: AgentFrame) -> None:
        """To the board; a fact that finds no line goes out with the next welcome."""
        if self._sender is not None:
            self._inbox.post([FrameHeard(sender=self._sender, frame=frame)])
