"""Everything the board knows, and the one way in which a task changes.

Owns the open tasks, the fleet, the queue, the deadlines, instances and their marks, and `apply`: ask the
table for the move, write down what it decides, and keep seats, queue and deadlines in step. Who may ask for
a move is decided by its callers (`facts.py`, `identify.py`, `requests.py`, `passage.py`, `v1.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from hub.core.deadlines import Deadlines
from hub.core.dependencies import Dependencies
from hub.core.draft import Draft
from hub.core.effects import AgentRecord, AgentSaved, Instance, TaskSaved, Tell
from hub.core.events import Sender
from hub.core.fleet import Fleet
from hub.core.happenings import Decision, Happening, Moment
from hub.core.lifecycle import move_of
from hub.core.matching import Effort
from hub.core.outgoing import letters_of
from hub.core.policy import Policy
from hub.core.rations import Rations
from hub.core.seats import Agent, Run, Seat, claim_of
from hub.core.shelf import Shelf
from hub.core.task import Holder, Now, State, Task, check_task, is_begun
from hub.core.timers import due_ms, loaded
from hub.core.v1_speech import for_v1
from hub.core.waiting import Waiting
from protocol.frames import HubFrame
from protocol.ids import AgentId, Generation, InstanceId, TaskId


class Office:
    """The state of one board. Its parts are read by the modules named above, and changed through its
    methods.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        epoch: str,
        generation_floor: int,
        tasks: Iterable[Task],
        instances: Iterable[Instance],
        agents: Iterable[AgentRecord],
        now: Now,
    ) -> None:
        self.policy = policy
        self.epoch = epoch
        self.generation_floor = generation_floor
        self.generation_top = 0
        self.is_draining = False
        self.is_history_known_lost = False
        self.tasks: dict[TaskId, Task] = {}
        self.by_key: dict[str, TaskId] = {}
        self.by_unique: dict[str, TaskId] = {}
        """Unique keys, and the open tasks that hold them."""
        self.shelf = Shelf()
        self.dependencies = Dependencies(self.tasks.__contains__, self.shelf.get)
        self.fleet = Fleet()
        self.instances: dict[InstanceId, Instance] = {one.instance_id: one for one in instances}
        # Where no instance is known nothing has ever begun, so no key can have been used before.
        self.rations = Rations(now.ms if self.instances else None)
        self.waiting = Waiting(self.rations, self.fleet.number_with, policy.ageing_ms)
        self.effort = Effort()
        self.declines: dict[TaskId, dict[AgentId, int]] = {}
        self.crashes: dict[TaskId, frozenset[AgentId]] = {}
        """Of open tasks, the agents on which they have crashed in this life of the hub."""
        self.pauses_written: dict[AgentId, bool] = {}
        """Of agents whose record this turn changes: whether the ledger has them as paused."""
        self.adrift: dict[TaskId, None] = {}
        """Held tasks that came back from a refused commit without a live link: recovering at the end of the
        turn.
        """
        self.counts: Counter[State] = Counter()
        self.rows: Counter[str] = Counter()
        """How often each row of the table was walked."""
        self.task_deadlines: Deadlines[TaskId] = Deadlines(self._task_due_ms)
        self.agent_deadlines: Deadlines[AgentId] = Deadlines(self._agent_due_ms)
        for record in agents:
            self.fleet.enter(record)
        for task in tasks:
            self.put(loaded(task, policy, now), now)
            self._keep_old_run(task, now)

    # --- reading -------------------------------------------------------------------------------------------

    def find(self, task_id: TaskId) -> Task | None:
        """On the board, or still on the shelf."""
        return self.tasks.get(task_id) or self.shelf.get(task_id)

    def find_key(self, key: str) -> Task | None:
        task_id = self.by_key.get(key)
        return self.shelf.by_key(key) if task_id is None else self.tasks[task_id]

    def live(self, sender: Sender) -> Agent | None:
        """The agent behind a link, if that link is the live one (invariant 25)."""
        return self.fleet.by_link.get(sender.link_id)

    def agent_of(self, holder: Holder | None) -> Agent | None:
        """The agent that can be reached as this holder."""
        agent = None if holder is None else self.fleet.get(holder.agent_id)
        if (
            agent is None
            or holder is None
            or not agent.is_connected
            or agent.instance_id != holder.instance_id
        ):
            return None
        return agent

    def _task_due_ms(self, task_id: TaskId) -> int | None:
        task = self.tasks.get(task_id)
        return None if task is None else due_ms(task, is_in_line=task_id in self.waiting)

    def _agent_due_ms(self, agent_id: AgentId) -> int | None:
        return self.fleet.agents[agent_id].due_ms()

    # --- saying --------------------------------------------------------------------------------------------

    def tell(self, agent: Agent, frame: HubFrame, draft: Draft, about: TaskId | None = None) -> None:
        """To its live link, in the words it knows."""
        said: HubFrame | None = frame
        if agent.is_v1:
            said = for_v1(frame, draft.now.wall_ms)
        if said is not None:
            draft.effects.append(Tell(agent.link_id, said, about))

    # --- one task ------------------------------------------------------------------------------------------

    def apply(self, task: Task, happening: Happening, draft: Draft) -> Decision | None:
        """What is not in the table changes nothing, and is None."""
        move = move_of(task.state, happening)
        if move is None:
            return None
        decision = move(task, happening, Moment(draft.now, self.policy, draft.roll(), self.generation_floor))
        after = decision.task
        if decision.is_saved:
            after = self._save(task, after, draft)
        if decision.row:
            self.rows[decision.row] += 1
        holder = after.holder or task.holder
        if decision.status == "rejected" and task.spec.concurrency_key is not None:
            self.rations.take_back(task.spec.concurrency_key, task.task_id)
        self._follow(task, after, draft.now, keeps_seat=decision.keeps_seat)
        if decision.event is not None:
            draft.log(
                decision.event,
                decision.payload,
                task_id=task.task_id,
                agent_id=holder.agent_id if holder is not None else None,
                generation=after.generation,
            )
        if decision.says:
            agent = self.agent_of(holder)
            for frame in decision.says if agent is not None else ():
                assert agent is not None
                self.tell(agent, frame, draft, task.task_id)
        return decision

    def _save(self, before: Task, after: Task, draft: Draft) -> Task:
        """The row as it is now, and with its end the letters that say so: in one answer, so in one commit.
        Nobody waits any more for the start of what has ever begun (L18).
        """
        after = replace(after, version=before.version + 1, updated_wall_ms=draft.now.wall_ms)
        if after.started_wall_ms is None and is_begun(after):
            after = replace(after, started_wall_ms=draft.now.wall_ms, start_by_ms=None)
        check_task(after)
        draft.changes.append(TaskSaved(after, before.version))
        if after.is_final and self.policy.has_streams:
            draft.changes += letters_of(after)
        return after

    def remember(self, task: Task) -> None:
        """What lives in memory until the next change is saved: progress, usage."""
        self.tasks[task.task_id] = task

    def create(self, task: Task, draft: Draft) -> Task:
        """T1: a new task, in the queue."""
        new = replace(task, version=1)
        check_task(new)
        draft.changes.append(TaskSaved(new, 0))
        self.rows["T1"] += 1
        self.put(new, draft.now)
        draft.log(
            "task_queued",
            {"priority": new.spec.priority.word, "by": new.spec.submitted_by, "retry_of": new.spec.retry_of},
            task_id=new.task_id,
            agent_id=new.spec.assign_to,
        )
        return new

    def put(self, task: Task, now: Now) -> None:
        """A row as it is: at the start, after a refused commit, or new."""
        self.generation_top = max(self.generation_top, task.generation)
        if task.is_final:
            self.shelf.put(task)
            return
        self.tasks[task.task_id] = task
        self.counts[task.state] += 1
        if task.spec.idempotency_key is not None:
            self.by_key[task.spec.idempotency_key] = task.task_id
        if task.spec.unique_key is not None:
            self.by_unique[task.spec.unique_key] = task.task_id
        if task.waits_for:
            self.dependencies.enter(task)
        if task.holder is not None:
            self._seat(task.holder, task)
        self.put_in_line(task, now)

    def take_off(self, task_id: TaskId, row: Task | None) -> None:
        """Forget it, because the ledger says that it is otherwise. What was never written has not begun."""
        self.shelf.drop(task_id)
        task = self.tasks.get(task_id)
        if task is not None:
            is_unwritten = row is None or row.generation < task.generation
            if is_unwritten and task.spec.concurrency_key is not None:
                self.rations.take_back(task.spec.concurrency_key, task_id)
            if task.holder is not None:
                self._unseat(task.holder, task, None)
            self._drop(task)

    def _follow(self, before: Task, after: Task, now: Now, *, keeps_seat: bool) -> None:
        """Seats, queue and deadlines in step with one change."""
        if before.state is not after.state:
            self.counts[before.state] -= 1
            if not after.is_final:
                self.counts[after.state] += 1
            if before.holder is not None and after.holder is None:
                until_ms = self._seat_kept_ms(before.holder, now) if keeps_seat else None
                self._unseat(before.holder, before, until_ms)
            elif before.holder is None and after.holder is not None:
                self._seat(after.holder, after)
        self.generation_top = max(self.generation_top, after.generation)
        if after.is_final:
            self._drop_open(before)
            self.shelf.put(after)
            self.dependencies.note_end(after)
            return
        self.tasks[after.task_id] = after
        self.put_in_line(after, now)

    def forget(self, task_ids: Iterable[TaskId]) -> None:
        """Of these the ledger has no row any more, so nothing here may be a copy of one."""
        for task_id in task_ids:
            self.shelf.drop(task_id)

    def put_in_line(self, task: Task, now: Now) -> None:
        """Its pause is over, or it is new: it waits for a seat from now on."""
        if task.state is State.QUEUED and task.not_before_ms <= now.ms and not task.waits_for:
            is_apart = self.fleet.is_declined(task.task_id)
            self.waiting.enter(task, now.ms, is_apart=is_apart)
        else:
            self.waiting.leave(task.task_id)
        self.task_deadlines.watch(task.task_id, self._task_due_ms(task.task_id))

    def _drop(self, task: Task) -> None:
        self.counts[task.state] -= 1
        self._drop_open(task)

    def _drop_open(self, task: Task) -> None:
        self.tasks.pop(task.task_id, None)
        self.task_deadlines.forget(task.task_id)
        self.waiting.leave(task.task_id)
        self.declines.pop(task.task_id, None)
        self.crashes.pop(task.task_id, None)
        if task.waits_for:
            self.dependencies.leave(task)
        if task.spec.idempotency_key is not None:
            self.by_key.pop(task.spec.idempotency_key, None)
        unique_key = task.spec.unique_key
        if unique_key is not None and self.by_unique.get(unique_key) == task.task_id:
            del self.by_unique[unique_key]

    # --- seats ---------------------------------------------------------------------------------------------

    def _seat(self, holder: Holder, task: Task) -> None:
        agent = self.fleet.get(holder.agent_id)
        if agent is None:  # a row outlived the record of its agent
            agent = self.fleet.enter(AgentRecord(agent_id=holder.agent_id, instance_id=holder.instance_id))
        agent.seat(task.task_id, Seat(task.generation, task.spec.slot))
        if task.spec.concurrency_key is not None:
            self.rations.hold(task.spec.concurrency_key, task.task_id)
        self.fleet.touch(agent)

    def _unseat(self, holder: Holder, task: Task, kept_until_ms: int | None) -> None:
        agent = self.fleet.agents[holder.agent_id]
        agent.unseat(task.task_id)
        if task.spec.concurrency_key is not None:
            self.rations.let_go(task.spec.concurrency_key, task.task_id)
        if kept_until_ms is not None:
            self.keep_seat(agent, task.task_id, task.generation, kept_until_ms)
            if not task.is_accepted:
                agent.unheard.add((task.task_id, task.generation))
        self.fleet.touch(agent)

    def _seat_kept_ms(self, holder: Holder, now: Now) -> int:
        """A v1 client never says that it has stopped: its seat is kept for the grace of a kill and no
        longer.
        """
        return now.ms + (self.policy.cancel_grace_ms if holder.is_v1 else self.policy.grace_ms)

    def keep_seat(self, agent: Agent, task_id: TaskId, generation: Generation, until_ms: int) -> None:
        """A revoked run takes its seat, and a part of its key, until it is known to be over."""
        run, claim = (task_id, generation), claim_of(self.find(task_id))
        if agent.keep(run, claim, until_ms) and claim.key is not None:
            self.rations.hold(claim.key, (agent.agent_id, run))
        self.agent_deadlines.watch(agent.agent_id, until_ms)
        self.fleet.touch(agent)

    def _keep_old_run(self, task: Task, now: Now) -> None:
        """After a start of the hub the last run of a queued task may still be alive: until its agent has said
        what it has in hand, that counts against the key.
        """
        has_key = task.spec.concurrency_key is not None
        if has_key and task.state is State.QUEUED and task.last_holder is not None:
            agent = self.fleet.get(task.last_holder.agent_id)
            if agent is not None:
                self.keep_seat(agent, task.task_id, task.generation, now.ms + self.policy.grace_ms)

    def free_seat(self, agent: Agent, task_id: TaskId, generation: Generation) -> bool:
        """The revoked run is over. True when there was one."""
        return self.free_seats(agent, ((task_id, generation),))

    def free_seats(self, agent: Agent, runs: Iterable[Run]) -> bool:
        """Revoked runs that are over, or that nobody waits for any more."""
        claims = [(run, agent.release(run)) for run in tuple(runs)]
        for run, claim in claims:
            if claim is not None and claim.key is not None:
                self.rations.let_go(claim.key, (agent.agent_id, run))
        is_any = any(claim is not None for _, claim in claims)
        if is_any:
            self.fleet.touch(agent)
        return is_any

    # --- declines ------------------------------------------------------------------------------------------

    def decline(self, agent: Agent, task: Task, until_ms: int, now: Now) -> None:
        """Until then this agent is not offered it. It stands apart, so that it is in nobody's way."""
        self.fleet.decline(agent, task.task_id, until_ms)
        self.agent_deadlines.watch(agent.agent_id, until_ms)
        self.waiting.leave(task.task_id)
        self.put_in_line(task, now)

    def forgive(self, agent: Agent, now: Now) -> None:
        """The declines of this agent that have lasted long enough."""
        for task_id in [task_id for task_id, until_ms in agent.declined.items() if until_ms <= now.ms]:
            self.fleet.forgive(agent, task_id)
            self.waiting.stir(task_id)

    # --- agents --------------------------------------------------------------------------------------------

    def save_agent(self, agent: Agent, record: AgentRecord, draft: Draft) -> None:
        self.pauses_written.setdefault(agent.agent_id, agent.record.is_paused)
        agent.record = record
        draft.changes.append(AgentSaved(record))
        self.fleet.touch(agent)
