"""A sidecar of the simulated world: the shipped desk, journal book and conversation, with doubles of disk and
loop.

Owns crashes, power cuts, wiped and corrupt journals, and the runs in hand; it talks in `sidecarlink.py`. All
that is decided is decided by `sidecar.desk`; the loop is gather, decide, record, act, as in
`sidecar/agent.py`. Never decides about work.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from protocol import limits
from protocol.conversation import Phase
from protocol.frames import (
    Identify,
)
from protocol.ids import AgentId, InstanceId, RequestId, Seq, TaskId
from sidecar.desk import UNRECEIPTED_MAX, Desk
from sidecar.effects import Effect, GiveAnswer, HangUp, Leave, Remark, Say, StartRun, StopRun
from sidecar.events import DeskEvent, Now, Restarted, RunEnded, TimePassed
from sidecar.journal import JournalBook
from sidecar.memory import Record
from sidecar.runners.contract import Finished, Order, Outcome
from tests.simulation.answers import a_run_is_told_what_it_asked
from tests.simulation.disk import Disk, PowerCut
from tests.simulation.invariants import (
    a_dropped_fact_has_its_receipt,
    a_generation_is_started_once,
    a_revoked_run_dies_in_time,
    no_sidecar_is_ahead,
    slots_are_truth,
)
from tests.simulation.queueing import kinds_are_truth
from tests.simulation.runs import KILL_MS, Run, declined
from tests.simulation.scheduler import US
from tests.simulation.sidecarlink import SidecarLink
from tests.simulation.wire import CLIENT
from tests.simulation.wishes import NOTHING

if TYPE_CHECKING:
    from tests.simulation.world import World

DOWN_MS: Final = (500.0, 5_000.0, 40_000.0, 150_000.0)
SYNC_MS: Final = (0.1, 2.0, 8.0)


class Sidecar(SidecarLink):
    """One machine's sidecar through all its boots."""

    def __init__(self, world: World, agent_id: AgentId, *, is_second: bool = False) -> None:
        self.agent_id = agent_id
        self.is_second = is_second
        self.slots = world.die.randint(1, world.plan.slots_max)
        self.disk = Disk()
        self.is_retired = False
        """Taken away for good: nobody waits for its journal."""
        self.runs: dict[TaskId, Run] = {}
        self.equipment = world.equipment.get(agent_id, NOTHING)
        super().__init__(world, f"{agent_id}{'-twin' if is_second else ''}")
        self._instances = 0

    # --- life and death ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the journal, or begin a new one, and dial."""
        if self.is_up or self.is_retired:
            return
        self.boot += 1
        self.is_up = True
        self._inbox: deque[DeskEvent] = deque()
        self._is_busy = False
        self._wake_us = -1
        self._begin_link()
        self._zero_ms = self.world.die.randint(0, 10_000_000)
        self._book, notices = JournalBook.open(self.disk, self._new_instance)
        self._card = Identify(
            agent_id=self.agent_id,
            protocol_version=2,
            instance_id=self._book.instance_id,
            boot_id=f"boot-{self.boot}",
            slots=self.slots,
            slot_kinds=self.equipment.kinds,
            labels=self.equipment.labels,
        )
        self.desk = Desk(self._card, self._book.memory, partial(declined, self.world))
        self.world.note(self.name, "starts", f"boot {self.boot} as {self._book.instance_id} {notices}")
        self.post(Restarted())
        if self.pause is not None:
            self.rest(self.pause)
        self._dial(self.boot)

    def crash(self, *, power: bool = False) -> None:
        """Gone in the middle of whatever it did. Runs die with it."""
        if not self.is_up:
            return
        self.world.note(self.name, "crashes", "power" if power else "killed")
        self._die(with_goodbye=not power)
        if power:
            self.disk.lose_power(self.world.die.random())
        down_ms = self.world.die.choice(DOWN_MS) * self.world.die.random()
        self.world.scheduler.after(down_ms, self.start)

    def retire(self) -> None:
        """Somebody has found the second process and taken it away."""
        self.is_retired = True
        if self.is_up:
            self._die(with_goodbye=True)

    def _die(self, *, with_goodbye: bool) -> None:
        self.is_up = False
        self.boot += 1
        self.runs.clear()
        if self.wire is not None:
            self.wire.vanish(CLIENT, with_goodbye=with_goodbye)
            self.wire = None

    def _new_instance(self) -> InstanceId:
        self._instances += 1
        return InstanceId(f"{self.name}/{self._instances}")

    def grow_quiet(self) -> None:
        """Second instances are taken away; whatever is planned for this one is forgotten."""
        self.voice.spoils = False
        self.disk.cut_next = False
        self.rest(None)
        if self.is_second:
            self.retire()

    # --- the loop: gather, decide, record, act -------------------------------------------------------------

    def post(self, event: DeskEvent) -> None:
        """A letter for the desk."""
        if self.is_up:
            self._inbox.append(event)
            self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._later(self.world.die.random() * 0.2, self._turn)

    def _turn(self) -> None:
        now = Now(self.world.scheduler.now_ms + self._zero_ms, self.world.wall_ms())
        due_ms = self.desk.next_deadline()
        if due_ms is not None and due_ms <= now.mono_ms:
            self._inbox.append(TimePassed())
        records: list[Record] = []
        effects: list[Effect] = []
        before = set(self._book.memory.facts)
        while self._inbox:
            answer = self.desk.handle(self._inbox.popleft(), now)
            records += answer.records
            effects += answer.effects
        self._check_receipts(before)
        self._later(
            self.world.die.choice(SYNC_MS) if records else 0.0, partial(self._record, records, effects)
        )

    def _record(self, records: list[Record], effects: list[Effect]) -> None:
        if records:
            try:
                self._book.commit(records)
            except PowerCut:
                self.crash(power=True)
                return
        boot = self.boot
        for effect in effects:
            self._act(effect)
            if boot != self.boot:
                return
        self._is_busy = False
        if self._inbox:
            self._turn_soon()
        else:
            self._wake_at_deadline()

    def _wake_at_deadline(self) -> None:
        due_ms = self.desk.next_deadline()
        if due_ms is not None:
            now_us = self.world.scheduler.now_us
            wake_us = max((due_ms - self._zero_ms) * US, now_us)
            if self._wake_us < now_us or wake_us < self._wake_us:
                self._wake_us = wake_us
                self._later((wake_us - now_us) / US, self._turn_soon)

    def _act(self, effect: Effect) -> None:
        match effect:
            case Say(link_id, frame):
                self._say(frame, link_id)
            case StartRun(order):
                self._start_run(order)
            case StopRun(task_id, generation, reason, grace_ms):
                self._stop_run(task_id, generation, grace_ms)
            case GiveAnswer(task_id, _, request_id, value):
                self._answer(task_id, request_id, value)
            case HangUp(link_id, reason, retry_in_ms):
                self._hang_up_over(link_id, reason, retry_in_ms)
            case Leave():
                self._leave(effect.reason)
            case Remark():
                self.world.note(self.name, "remarks", effect)
            case _:
                assert_never(effect)

    def _hang_up_over(self, link_id: int, reason: str, retry_in_ms: int | None) -> None:
        if link_id == self._link_id:
            self._retry_ms = retry_in_ms
            self._hang_up(reason)

    def _leave(self, reason: str) -> None:
        """The process ends, and its supervisor starts another one."""
        self.world.note(self.name, "leaves", reason)
        self._die(with_goodbye=True)
        self.world.scheduler.after(self.world.die.uniform(500, 20_000), self.start)

    # --- runs ----------------------------------------------------------------------------------------------

    def _start_run(self, order: Order) -> None:
        truth, key = self.world.truth, (order.task_id, order.generation)
        a_generation_is_started_once(truth, *key, self._book.instance_id)
        no_sidecar_is_ahead(truth, *key)
        truth.started[key] = self._book.instance_id
        self.world.tally.starts += 1
        self.runs[order.task_id] = Run(self, order)
        slots_are_truth(self.name, self._runs_on(""), self.slots)
        kinds_are_truth(self.name, self._runs_on, self.equipment.kinds)

    def _stop_run(self, task_id: TaskId, generation: int, grace_ms: int) -> None:
        run = self.runs.get(task_id)
        if run is not None and run.order.generation == generation:
            run.stop(grace_ms)
            over_ms = None if run.dies_at_ms is None else run.dies_at_ms - self.world.scheduler.now_ms
            a_revoked_run_dies_in_time(self.name, task_id, over_ms, limits.CANCEL_GRACE_MS + KILL_MS)

    def _answer(self, task_id: TaskId, request_id: RequestId, value: bytes) -> None:
        run = self.runs.get(task_id)
        if run is not None:
            a_run_is_told_what_it_asked(self.world.truth, task_id, run.asked, request_id, value)
            run.answer(request_id)

    def run_over(self, run: Run, outcome: Outcome) -> None:
        """Nothing of a run is left."""
        if isinstance(outcome, Finished):
            self.world.truth.results[(run.order.task_id, run.order.generation)] = outcome.result
        del self.runs[run.order.task_id]
        self.post(RunEnded(run.order.task_id, run.order.generation, outcome))

    # --- what is looked at, and vices ----------------------------------------------------------------------

    @property
    def why_unsettled(self) -> str | None:
        """What this sidecar has not finished."""
        if self.is_retired:
            return None
        if not self.is_up:
            return "it is down"
        if self.wire is None or self._talk.phase is not Phase.OPEN:
            return "it has no link"
        if self.desk.runs_in_hand:
            return f"it has {self.desk.runs_in_hand} runs in hand"
        return f"{len(self._book.memory.facts)} facts have no receipt" if self._book.memory.facts else None

    @property
    def is_bound(self) -> bool:
        """Whether its name is its journal's, as far as the hub has written down."""
        return self.world.truth.bound.get(self.agent_id) == self._book.instance_id

    @property
    def is_settled(self) -> bool:
        return self.why_unsettled is None

    def _runs_on(self, kind: str) -> int:
        """By what the hub has promised to whoever asked: the order is not asked what it takes."""
        rows = self.world.truth.rows
        return sum(rows[task_id].spec.slot == kind for task_id in self.runs if task_id in rows)

    @property
    def facts_pending(self) -> int:
        return len(self._book.memory.facts) if self.is_up else 0

    facts_max = UNRECEIPTED_MAX + limits.SLOTS_MAX

    def _check_receipts(self, before: set[Seq]) -> None:
        for seq in before.difference(self._book.memory.facts):
            a_dropped_fact_has_its_receipt(self.name, seq, self._mark, seq in self._receipts)

    def repeat_last(self) -> bool:
        """The last message goes out twice."""
        if self.wire is None or self.voice.last is None or self._talk.phase is not Phase.OPEN:
            return False
        self.wire.send(CLIENT, self.voice.last)
        return True
