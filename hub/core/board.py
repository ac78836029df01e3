"""The board: every live task, every present agent, every deadline, and what follows from each letter.

Owns the four verbs of the core: tell it what happened (`handle`), let it fill free seats (`match`, at the
end of a turn), ask when time itself is a letter (`next_deadline`), and bring it in step with the ledger
(`learn`, `reload`). It answers with values: record the changes first, tell the effects after. Never waits,
never reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from hub.core import explaining, letters, matching, passage, views
from hub.core.aftermath import LOOKUPS_A_TURN_MAX, pass_on_ends
from hub.core.dependencies import Outcome
from hub.core.draft import Draft
from hub.core.effects import AgentRecord, Answer, Instance, Wants
from hub.core.events import (
    AgentIdentified,
    CancelRequested,
    Event,
    FrameHeard,
    HubStarted,
    InputAnswered,
    RetryRequested,
    TaskSubmitted,
    TimePassed,
)
from hub.core.explaining import Explanation, FleetExplanation
from hub.core.happenings import HolderGivenUp, HolderLost, Matched
from hub.core.office import Office
from hub.core.policy import Policy
from hub.core.task import Now, Spec, State, Task
from hub.core.timers import reloaded
from hub.core.views import Counts, SeatView
from protocol.frames import Fact
from protocol.ids import AgentId, InstanceId, Seq, TaskId

NOTHING = Wants()


class Board:
    """What one hub decides. Everything it knows comes in through these methods, and leaves as an Answer."""

    def __init__(
        self,
        policy: Policy,
        *,
        epoch: str,
        generation_floor: int = 0,
        tasks: Iterable[Task] = (),
        instances: Iterable[Instance] = (),
        agents: Iterable[AgentRecord] = (),
        now: Now,
    ) -> None:
        self._office = Office(
            policy,
            epoch=epoch,
            generation_floor=generation_floor,
            tasks=tasks,
            instances=instances,
            agents=agents,
            now=now,
        )

    # --- the verbs -----------------------------------------------------------------------------------------

    def wants(self, event: Event) -> Wants:
        """Rows that this event may be decided with and that are not here: read them, and `learn` them
        first.
        """
        match event:
            case TaskSubmitted():
                return self._wants_to_submit(event.spec)
            case TimePassed() | HubStarted() if self._office.dependencies.has_news:
                outcomes = self._office.dependencies.wanted(LOOKUPS_A_TURN_MAX)
                return Wants(outcomes=outcomes) if outcomes else NOTHING
            case FrameHeard(frame=Fact() as fact):
                return self._wants_tasks((fact.task_id,))
            case CancelRequested() | RetryRequested() | InputAnswered():
                return self._wants_tasks((event.task_id,))
            case AgentIdentified():
                return self._wants_tasks(one.task_id for one in event.holding or ())
            case _:
                return NOTHING

    def _wants_to_submit(self, spec: Spec) -> Wants:
        """Who had its key before, and how the tasks that it depends on stand."""
        key, find = spec.idempotency_key, self._office.find
        keys = () if key is None or self._office.find_key(key) is not None else (key,)
        outcomes = [task_id for task_id in spec.depends_on if find(task_id) is None]
        return Wants(keys=frozenset(keys), outcomes=frozenset(outcomes)) if keys or outcomes else NOTHING

    def _wants_tasks(self, task_ids: Iterable[TaskId]) -> Wants:
        missing = frozenset(task_id for task_id in task_ids if self._office.find(task_id) is None)
        return Wants(tasks=missing) if missing else NOTHING

    def learn(self, tasks: Iterable[Task], outcomes: Iterable[Outcome] = ()) -> None:
        """Rows read for `wants`, and how others stand: one outcome for each id that was wanted. What is on
        the board is newer than any row, and stays.
        """
        for task in tasks:
            if task.task_id not in self._office.tasks and task.is_final:
                self._office.shelf.put(task)
        self._office.dependencies.learn(outcomes)

    def settle(self, refused: Iterable[TaskId] = ()) -> None:
        """What was decided is durable, but for the refused: whoever waited for an end is told in the next
        turn.
        """
        self._office.dependencies.settle(refused)
        self._office.pauses_written.clear()

    def handle(self, event: Event, now: Now, roll: float) -> Answer:
        """All that follows from one letter."""
        draft = Draft(now, roll)
        letters.read(self._office, event, draft)
        return draft.answer()

    def match(self, now: Now, roll: float) -> Answer:
        """The end of a turn: waiting tasks take the free seats, and drained agents whose hands are empty
        leave.
        """
        office, draft = self._office, Draft(now, roll)
        self._set_adrift(draft)
        pass_on_ends(office, draft)
        for agent in office.fleet.touched.values():
            if agent.drain_due_ms is not None and not agent.held:
                agent.drain_due_ms = None
                passage.send_away(office, agent, draft)
        for task_id, agent in matching.pairs(
            office.waiting,
            office.fleet,
            now.ms,
            is_hub_draining=office.is_draining,
            effort=office.effort,
        ):
            agent.last_dispatch_wall_ms = now.wall_ms
            decision = office.apply(office.tasks[task_id], Matched(agent.holder), draft)
            assert decision is not None, f"{task_id} waits and cannot be assigned"
        return draft.answer()

    def next_deadline(self) -> int | None:
        """The monotonic moment at which `TimePassed` must come, if nothing else does before."""
        office = self._office
        if office.adrift or office.dependencies.has_news:
            return 0
        pass_ms = matching.next_ms(office.waiting, office.fleet, is_hub_draining=office.is_draining)
        dues = (office.task_deadlines.next_ms(), office.agent_deadlines.next_ms(), pass_ms)
        return min((due_ms for due_ms in dues if due_ms is not None), default=None)

    def reload(
        self,
        refused: Iterable[TaskId],
        found: Iterable[Task],
        now: Now,
        marks: Mapping[InstanceId, Seq] | None = None,
    ) -> None:
        """The ledger refused these: take its rows for true, and fall back to the marks that are durable."""
        office = self._office
        rows = {task.task_id: task for task in found}
        for task_id in dict.fromkeys((*refused, *rows)):
            office.take_off(task_id, rows.get(task_id))
        for task in rows.values():
            office.put(task if task.is_final else reloaded(task, office.policy, now), now)
            if task.is_held and office.agent_of(task.holder) is None:
                office.adrift[task.task_id] = None
        for instance_id, mark in (marks or {}).items():
            office.instances[instance_id] = replace(office.instances[instance_id], mark=mark)

    def forget_renewal(self, epoch: str, generation_floor: int) -> None:
        """The batch that renewed the epoch was not written: who showed the loss will show it again."""
        office = self._office
        office.epoch, office.generation_floor = epoch, generation_floor
        office.is_history_known_lost = False

    def forget_pauses(self) -> None:
        """Nothing of this turn was written: whoever was paused or unpaused in it is asked for again."""
        for agent_id, is_paused in self._office.pauses_written.items():
            agent = self._office.fleet.agents[agent_id]
            agent.record = replace(agent.record, is_paused=is_paused)
            self._office.fleet.touch(agent)

    def _set_adrift(self, draft: Draft) -> None:
        """What came back from a refused commit as held by a link that is gone meanwhile, or by an instance
        whose name was given to another one in the same turn (T13).
        """
        office = self._office
        adrift, office.adrift = office.adrift, {}
        for task_id in adrift:
            task = office.tasks.get(task_id)
            if task is None or task.holder is None or office.agent_of(task.holder) is not None:
                continue
            if task.state is not State.RECOVERING:
                office.apply(task, HolderLost(), draft)
            agent = office.fleet.get(task.holder.agent_id)
            if agent is not None and agent.record.instance_id != task.holder.instance_id:
                office.apply(office.tasks[task_id], HolderGivenUp("rebound"), draft)

    # --- looking -------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        return self._office.epoch

    @property
    def generation_floor(self) -> int:
        return self._office.generation_floor

    @property
    def is_draining(self) -> bool:
        return self._office.is_draining

    def explain(self, task_id: TaskId, now: Now) -> Explanation | None:
        """Why a task is not running; None for one that is neither on the board nor on the shelf."""
        task = self._office.find(task_id)
        if task is None:
            return None
        office = self._office
        return explaining.explain(
            task, office.waiting, office.fleet, now.ms, is_hub_draining=office.is_draining
        )

    def explain_fleet(self, now: Now, agent_id: AgentId | None = None) -> FleetExplanation | None:
        """Why agents with a free slot idle: all of them, or this one; None for one that is not known."""
        office = self._office
        known = office.fleet.agents
        if agent_id is not None and agent_id not in known:
            return None
        agents = known.values() if agent_id is None else (known[agent_id],)
        return explaining.explain_fleet(
            agents, office.waiting, now.ms, views.count_waiting(office), is_hub_draining=office.is_draining
        )

    def waited_for(self) -> frozenset[TaskId]:
        """Tasks that must not be forgotten, because open ones depend on them."""
        return self._office.dependencies.waited_for()

    def view_task(self, task_id: TaskId) -> Task | None:
        """As it is now, with progress that is not written yet."""
        return self._office.find(task_id)

    def open_tasks(self) -> tuple[Task, ...]:
        return tuple(self._office.tasks.values())

    def view_agents(self, now: Now) -> tuple[SeatView, ...]:
        return tuple(views.view_agent(agent, now.ms) for agent in self._office.fleet.agents.values())

    def is_connected(self, agent_id: AgentId | None) -> bool:
        agent = None if agent_id is None else self._office.fleet.get(agent_id)
        return agent is not None and agent.is_connected

    def mark_of(self, instance_id: InstanceId) -> Seq:
        """The highest fact of this instance that was applied."""
        instance = self._office.instances.get(instance_id)
        return Seq(0) if instance is None else instance.mark

    def count(self) -> Counts:
        return views.count(self._office)
