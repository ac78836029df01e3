"""One run: the shipped board, desks, conversations and journals in a world that a seed has drawn.

Owns the cast, the planned moments of trouble, the moment after which there is none, and the end that
everything must come to by then. Only what is around the deciders is doubled (wire, disks, clocks, processes,
people); a house-like test holds that they are the shipped ones.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Final

from hub.core.task import Task
from protocol.ids import AgentId, RequestId, TaskId
from tests.simulation import bulk, clients, ending
from tests.simulation.coverage import Tally
from tests.simulation.faults import Fault, draw_later, draw_plan
from tests.simulation.hubside import WALL_ZERO_MS, Hub
from tests.simulation.invariants import Broken, Truth, demand, invariant
from tests.simulation.policies import policy_of
from tests.simulation.scheduler import Scheduler
from tests.simulation.sidecarside import Sidecar
from tests.simulation.troubles import TROUBLES
from tests.simulation.v1client import V1Client
from tests.simulation.wire import End, Wire
from tests.simulation.wishes import QueuePlan, draw_equipment, draw_queue

STEPS_MAX: Final = 200_000
"""A light run takes some thousand steps, a heavy one ten times that; at this bound something goes round in
circles."""

END_BY_MS: Final = 2 * 3_600_000
"""After the last fault: every timer of the policy, every strike and every backoff fit into this time."""

LOOK_EVERY_MS: Final = 2_000


class World:
    """Everything of one seed. `run` returns what was reached, or raises `Broken`."""

    def __init__(self, seed: int, *, heavy: bool = False, plain: bool = False) -> None:
        """`plain`: as it was before anything was asked of the queue."""
        self.seed = seed
        self.die = Random(f"{seed}/{heavy}")
        self.scheduler = Scheduler(self.die)
        self.plan = draw_later(draw_plan(self.die, heavy=heavy), Random(f"{seed}/{heavy}/later"))
        queue_die = Random(f"{seed}/{heavy}/queue")
        self.queue: QueuePlan | None = None
        if not plain:
            self.plan, self.queue = draw_queue(self.plan, queue_die, heavy=heavy)
        self.policy = policy_of(self.plan, self.die)
        self.truth = Truth(self.policy.strikes_max)
        self.tally = Tally()
        self.is_quiet = False
        self.wires: list[Wire] = []
        self.names = tuple(AgentId(f"agent-{n}") for n in range(self.plan.sidecars))
        self.equipment = {} if self.queue is None else draw_equipment(queue_die, self.names)
        self.hub = Hub(self)
        self.sidecars = [Sidecar(self, name) for name in self.names]
        self.v1_clients = [V1Client(self, n) for n in range(2 if Fault.V1_AGENT in self.plan.habits else 0)]
        self.watchers = [clients.Watcher(self)]
        self._kills: dict[TaskId, int] = {}
        self._asked: set[tuple[TaskId, str]] = set()
        self._task_ids = 0
        self.open_requests = self.plan.tasks
        """Pushes that have not been answered yet."""

    # --- one run -------------------------------------------------------------------------------------------

    def run(self) -> Tally:
        """Until everything has ended that has to, with every invariant held on the way."""
        self._begin()
        steps = 0
        while not self._is_settled:
            steps += 1
            steps_are_bounded(steps)
            if not self.scheduler.step():
                raise Broken(31, "nothing is left that could happen, and not everything has ended")
        ending.judge(self)
        self.tally.runs += 1
        self.tally.events += steps
        self.tally.virtual_ms += self.scheduler.now_ms
        return self.tally

    def _begin(self) -> None:
        self._is_settled = False
        after = self.scheduler.after
        self.hub.start()
        for sidecar in self.sidecars:
            after(self.die.random() * 2_000, sidecar.start)
        for client in self.v1_clients:
            after(self.die.random() * 2_000, client.start)
        for watcher in self.watchers:
            after(10, watcher.connect)
        for n in range(self.plan.tasks):
            after(self.die.uniform(0, self._push_ms), clients.Pusher(self, n).push)
        for moment in self.plan.moments:
            after(moment.at_ms, partial(self._trouble, moment.fault))
        after(self.plan.quiet_ms, self._grow_quiet)
        after(LOOK_EVERY_MS, self._look)

    @property
    def _push_ms(self) -> float:
        return self.plan.quiet_ms * 0.7 if self.queue is None else self.queue.push_ms

    def _trouble(self, fault: Fault) -> None:
        if not self.is_quiet and TROUBLES[fault](self):
            self.note("world", "trouble", fault.value)
            self.hit(fault)

    def _grow_quiet(self) -> None:
        """From here on nothing goes wrong any more."""
        self.note("world", "quiet", "no more faults")
        self.is_quiet = True
        self.hub.grow_quiet()
        for sidecar in self.sidecars:
            sidecar.grow_quiet()
        for agent_id in self.names:
            clients.unpause(self, agent_id)
        self._asked.clear()
        for row in list(self.truth.rows.values()):
            self.row_saved(row)

    def _look(self) -> None:
        """From time to time, and more closely once it is quiet."""
        ending.look(self)
        if self.is_quiet:
            ending.everything_ends(self, self.scheduler.now_ms - self.plan.quiet_ms, END_BY_MS)
            self._is_settled = ending.is_settled(self)
        self.scheduler.after(LOOK_EVERY_MS, self._look)

    def forget_asked(self, task_id: TaskId, request_id: RequestId) -> None:
        """Nobody could answer it when somebody did: asked again, it is answered again."""
        self._asked.discard((task_id, request_id))

    # --- what the cast asks of the world -------------------------------------------------------------------

    def dial(self, client: End, subprotocol: str | None) -> Wire | None:
        """A new wire to the hub; None when nobody listens."""
        if not self.hub.is_up:
            return None
        self.wires = [wire for wire in self.wires if wire.is_open != [False, False]]
        latency_ms = self.plan.latency_ms * self.die.uniform(0.5, 1.5)
        wire = Wire(self.scheduler, client, self.hub.accept(subprotocol), latency_ms)
        self.wires.append(wire)
        return wire

    def has_habit(self, fault: Fault, chance: float) -> bool:
        """Whether a habit of this run shows now; after the quiet nothing bad is a habit any more."""
        return not self.is_quiet and fault in self.plan.habits and self.die.random() < chance

    def wants_deadlines(self) -> bool:
        """Whether a push names a time by the wall; with a clock that jumps nobody could say what it means."""
        is_sane = not self.plan.is_hub_only and not self.has_planned(Fault.WALL_JUMP)
        return is_sane and self.die.random() < 0.1

    def has_planned(self, fault: Fault) -> bool:
        return any(moment.fault is fault for moment in self.plan.moments)

    def may_kill(self, task_id: TaskId, at_most: int) -> bool:
        """Whether a run of this task may still kill its sidecar; if so it is counted."""
        kills = self._kills.get(task_id, 0)
        self._kills[task_id] = kills + (kills < at_most)
        return kills < at_most

    def new_task_id(self) -> TaskId:
        self._task_ids += 1
        return TaskId(f"task-{self._task_ids:016x}")

    def http_ms(self) -> float:
        return self.die.expovariate(1 / 20)

    def wall_ms(self) -> int:
        return WALL_ZERO_MS + self.scheduler.now_ms

    def hit(self, fault: Fault) -> None:
        self.tally.hit(fault.value)

    def note(self, who: str, what: str, about: object = "") -> None:
        self.scheduler.note(who, what, about)

    def row_saved(self, row: Task) -> None:
        """People look at the page: they answer questions, and do not accept every ending."""
        question = row.question
        if question is not None and question.answer is None:
            key = (row.task_id, question.request_id)
            if key not in self._asked:
                self._asked.add(key)
                clients.answer_question(self, row.task_id, question)
        is_regretted = row.is_final and row.state != "completed" and row.spec.retry_of is None
        if is_regretted and self.has_habit(Fault.RETRY_BY_HAND, 0.5):
            bulk.retry_by_hand(self, row.task_id)


@invariant(31)
def steps_are_bounded(steps: int) -> None:
    """Steps are bounded (no livelock)."""
    demand(31, steps < STEPS_MAX, f"{steps} steps, and no end")
