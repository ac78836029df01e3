"""Who looks on: every answer of the board, every commit and every word that leaves the hub is judged as it
goes by.

Owns bringing `Truth` up to date and calling the invariants on what is new (only touched tasks). Changes
nothing that is watched: `WatchedBoard` returns exactly what the shipped board answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from hub.core.board import Board
from hub.core.effects import AgentSaved, Answer, Granted, InstanceSaved, MarkMoved, Reply, TaskSaved, Tell
from hub.core.events import (
    AgentIdentified,
    CancelRequested,
    Event,
    FrameHeard,
    InputAnswered,
    LinkLost,
    TimePassed,
)
from hub.core.task import Now, Task
from hub.ports import Batch, Committed, CommittedEvent
from protocol.frames import HubFrame, Identified, InputRequired, TaskAck, TaskAssign
from protocol.ids import AgentId, InstanceId, Seq, TaskId
from tests.simulation import letters, passes
from tests.simulation.answers import (
    after_restore,
    an_answer_is_kept,
    judge_answers,
    the_open_question_is_the_one_asked,
)
from tests.simulation.coverage import transitions
from tests.simulation.fairness import Fairness
from tests.simulation.invariants import (
    Spent,
    a_ghost_changes_nothing,
    a_holder_is_the_bound_instance,
    an_ack_is_a_receipt,
    an_assign_is_durable,
    an_assign_is_within_its_attempts,
    facts_are_applied_in_order,
    judge_event,
    judge_row,
    spending_is_counted,
)
from tests.simulation.ledgerdouble import MemoryLedger
from tests.simulation.queueing import decode_requeued
from tests.simulation.queuewatch import QueueWatch

if TYPE_CHECKING:
    from tests.simulation.world import World


FINAL_EVENTS: Final = frozenset({"task_complete", "task_failed", "task_cancelled"})
"""The feed's words that close a task's story."""


class WatchedBoard(Board):
    """The shipped board, with somebody looking over its shoulder."""

    world: World

    def watch(self, world: World) -> None:
        """From now on."""
        self.world = world
        self.known: dict[TaskId, Task] = dict(world.truth.rows)
        self.live: dict[AgentId, int] = {}

    def handle(self, event: Event, now: Now, roll: float) -> Answer:
        answer = super().handle(event, now, roll)
        self._look(event, answer)
        return answer

    def match(self, now: Now, roll: float) -> Answer:
        answer = super().match(now, roll)
        for name in transitions(TimePassed(), answer, self.known):
            self.world.tally.hit(name)
        passes.judge_pass(self, self.world, answer, now)
        return answer

    def reload(
        self,
        refused: Iterable[TaskId],
        found: Iterable[Task],
        now: Now,
        marks: Mapping[InstanceId, Seq] | None = None,
    ) -> None:
        refused, found = list(refused), list(found)
        super().reload(refused, found, now, marks)
        for task_id in (*refused, *(task.task_id for task in found)):
            self.world.hub.witness.fairness.forget(task_id)

    def _look(self, event: Event, answer: Answer) -> None:
        for name in transitions(event, answer, self.known):
            self.world.tally.hit(name)
        self.world.hub.witness.queue.heard(event, answer)
        match event:
            case FrameHeard(sender=sender):
                is_live = self.live.get(sender.agent_id) == sender.link_id
                a_ghost_changes_nothing(is_live, len(answer.changes), event.frame)
                if isinstance(event.frame, InputRequired):
                    the_open_question_is_the_one_asked(event.frame, answer)
            case AgentIdentified(sender=sender):
                if any(
                    isinstance(effect, Tell)
                    and effect.link_id == sender.link_id
                    and isinstance(effect.frame, Identified)
                    for effect in answer.effects
                ):
                    self.live[sender.agent_id] = sender.link_id
            case LinkLost(link_id=link_id):
                self.live = {agent: link for agent, link in self.live.items() if link != link_id}
            case _:
                pass


class Witness:
    """Of one world, through all lives of its hub."""

    __slots__ = ("fairness", "queue", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue = QueueWatch(world)
        self.fairness = Fairness(world)

    def begin_life(self) -> None:
        """A hub has started."""
        self.queue.begin_life()
        self.fairness.begin_life()

    def saw_commit(self, ledger: MemoryLedger, batch: Batch, committed: Committed) -> None:
        """A batch has become durable: rows first, then the lines about them."""
        truth = self.world.truth
        rows = [
            change.task
            for change in batch.changes
            if isinstance(change, TaskSaved) and change.task.task_id not in committed.refused
        ]
        before = dict(truth.rows)
        rebound = self._note_bindings(batch)
        letters.an_end_has_its_letters(truth, rows, ledger.letters[len(ledger.letters) - committed.letters :])
        for row in rows:
            letters.a_status_is_never_set_back(truth.rows.get(row.task_id), row)
            judge_row(truth, truth.rows.get(row.task_id), row, ledger.generation_floor)
            judge_answers(truth, row)
            truth.rows[row.task_id] = row
            truth.refused.discard(row.task_id)
        truth.refused |= committed.refused
        self.queue.saw_rows(before, truth.rows, rows, batch.now.ms)
        self._judge_holders(rows, rebound)
        self._judge_marks(ledger, batch)
        for event in committed.events:
            judge_event(truth, event, is_final=event.event in FINAL_EVENTS)
            truth.log.append(event)
            if event.event == "task_requeued":
                self._note_spending(event)
                self.queue.saw_requeue(event)
        for row in rows:
            self.world.row_saved(row)

    def _note_spending(self, event: CommittedEvent) -> None:
        task_id = TaskId(event.task_id or "")
        spent = self.world.truth.spent.setdefault(task_id, Spent())
        match decode_requeued(event.payload).cause:
            case "failed" | "run_timeout" | "no_progress":
                spent.attempts += 1
            case "rejected" | "not_accepted":
                pass  # the first costs nothing, and the second only if the agent is not to blame
            case _:
                spent.strikes += 1
        spending_is_counted(self.world.truth.rows[task_id], spent)

    def _note_bindings(self, batch: Batch) -> bool:
        """Which instance each name belongs to. True when a name has changed hands."""
        bound, is_rebound = self.world.truth.bound, False
        for change in batch.changes:
            if isinstance(change, AgentSaved) and change.agent.instance_id is not None:
                is_rebound |= bound.get(change.agent.agent_id) != change.agent.instance_id
                bound[change.agent.agent_id] = change.agent.instance_id
        return is_rebound

    def _judge_holders(self, rows: list[Task], is_rebound: bool) -> None:
        truth = self.world.truth
        for row in truth.rows.values() if is_rebound else rows:
            if row.task_id not in truth.refused:
                a_holder_is_the_bound_instance(truth, row)

    def _judge_marks(self, ledger: MemoryLedger, batch: Batch) -> None:
        """What moved, against what the batch said it would move; after lost history the mark is set anew
        (§3.6)."""
        truth = self.world.truth
        moves: Counter[InstanceId] = Counter()
        anew: set[InstanceId] = set()
        for change in batch.changes:
            if isinstance(change, MarkMoved) and change.seq <= ledger.instances[change.instance_id].mark:
                moves[change.instance_id] += 1
            elif isinstance(change, InstanceSaved) and change.instance.mark > truth.marks.get(
                change.instance.instance_id, Seq(0)
            ):
                anew.add(change.instance.instance_id)
        for instance_id in moves.keys() | anew:
            before, after = truth.marks.get(instance_id, Seq(0)), ledger.instances[instance_id].mark
            if instance_id not in anew:
                facts_are_applied_in_order(instance_id, before, after, moves[instance_id])
            truth.marks[instance_id] = after
            truth.applied[instance_id] = truth.applied.get(instance_id, 0) + moves[instance_id]

    def saw_reply(self, event: Event, reply: Reply) -> None:
        """An answer leaves the hub: from an accepted cancel on nothing may be assigned (17), and what a
        person has answered is kept (35)."""
        if isinstance(event, CancelRequested) and isinstance(reply, Granted):
            truth = self.world.truth
            truth.cancelled_at.setdefault(event.task_id, truth.rows[event.task_id].generation)
        elif isinstance(event, InputAnswered) and isinstance(reply, Granted):
            truth = self.world.truth
            truth.answered.setdefault(event.task_id, set()).add(event.request_id)
            an_answer_is_kept(truth, truth.rows[event.task_id])

    def saw_tell(self, instance: InstanceId | None, frame: HubFrame) -> None:
        """A frame leaves the hub."""
        truth = self.world.truth
        match frame:
            case TaskAck() if instance is not None:
                an_ack_is_a_receipt(truth, instance, frame)
            case TaskAssign():
                an_assign_is_within_its_attempts(frame)
                an_assign_is_durable(truth, frame)
            case _:
                pass

    def saw_restore(self, ledger: MemoryLedger) -> None:
        """Yesterday's file is the truth now; what it never knew is lost, and nobody can be blamed for it
        (§3.6)."""
        truth = self.world.truth
        truth.era += 1
        truth.rows = dict(ledger.rows)
        truth.log = list(ledger.log)
        truth.last_offset = len(ledger.log)
        truth.marks = {instance.instance_id: instance.mark for instance in ledger.instances.values()}
        truth.applied = dict(truth.marks)
        truth.bound = {
            agent.agent_id: agent.instance_id
            for agent in ledger.agents.values()
            if agent.instance_id is not None
        }
        truth.keys = dict(ledger.keys)
        after_restore(truth)
        letters.after_restore(truth, ledger.letters)
        truth.spent.clear()
        self.queue.saw_restore(truth.rows)
        truth.refused.clear()
        truth.pushed = {task_id: key for task_id, key in truth.pushed.items() if task_id in truth.rows}
        truth.finals_logged = {
            TaskId(event.task_id): event.offset
            for event in ledger.log
            if event.event in FINAL_EVENTS and event.task_id is not None
        }
        truth.cancelled_at = {
            task_id: at
            for task_id, at in truth.cancelled_at.items()
            if task_id in truth.rows and truth.rows[task_id].cancel_reason is not None
        }
