"""A sidecar of the simulated world: the shipped desk, journal book and conversation, with doubles of disk and
loop.

Owns crashes, power cuts, wiped and corrupt journals, dialling, and the runs in hand. Everything that is
decided is decided by `sidecar.desk`; the loop is gather, decide, record, act, as in `sidecar/agent.py`. Never
decides about work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from protocol import limits
from protocol.badframe import BadFrame
from protocol.close import Comeback, close_rule
from protocol.conversation import AgentConversation, Phase
from protocol.errors import RemoteProtocolError
from protocol.frames import AgentFrame, ErrorFrame, HubFrame, Identified, Identify, TaskAck
from protocol.ids import AgentId, InstanceId, RequestId, Seq, TaskId
from sidecar.desk import UNRECEIPTED_MAX, Desk
from sidecar.effects import Effect, GiveAnswer, HangUp, Leave, Remark, Say, StartRun, StopRun
from sidecar.events import DeskEvent, HubSaid, LinkLost, LinkOpened, Now, Restarted, RunEnded, TimePassed
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
from tests.simulation.runs import KILL_MS, Run, declined
from tests.simulation.scheduler import US
from tests.simulation.wire import CLIENT, Message, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

REDIAL_MS: Final = 30_000
"""Full jitter up to here (reliability §2.2)."""

DOWN_MS: Final = (500.0, 5_000.0, 40_000.0, 150_000.0)
SYNC_MS: Final = (0.1, 2.0, 8.0)
SUBPROTOCOLS: Final = (None, "hub.v2.json", "hub.v2.msgpack")


class Sidecar:
    """One machine's sidecar through all its boots."""

    def __init__(self, world: World, agent_id: AgentId, *, is_second: bool = False) -> None:
        self.world = world
        self.agent_id = agent_id
        self.name = f"{agent_id}{'-twin' if is_second else ''}"
        self.is_second = is_second
        self.slots = world.die.randint(1, world.plan.slots_max)
        self.disk = Disk()
        self.boot = 0
        self.is_up = False
        self.is_retired = False
        """Taken away for good: nobody waits for its journal."""
        self.runs: dict[TaskId, Run] = {}
        self.wire: Wire | None = None
        self._subprotocol = world.die.choice(SUBPROTOCOLS)
        self._instances = 0
        self._last_said: Message | None = None
        self._spoils = False

    # --- life and death ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the journal, or begin a new one, and dial."""
        if self.is_up or self.is_retired:
            return
        self.boot += 1
        self.is_up = True
        self._inbox: deque[DeskEvent] = deque()
        self._is_busy = False
        self._link_id = 0
        self._beat_ms: int | None = None
        self._wake_us = -1
        self._receipts: set[Seq] = set()
        self._mark = Seq(0)
        self._retry_ms: int | None = None
        self._is_refused = False
        self._zero_ms = self.world.die.randint(0, 10_000_000)
        self._book, notices = JournalBook.open(self.disk, self._new_instance)
        self._card = Identify(
            agent_id=self.agent_id,
            protocol_version=2,
            instance_id=self._book.instance_id,
            boot_id=f"boot-{self.boot}",
            slots=self.slots,
        )
        self.desk = Desk(self._card, self._book.memory, partial(declined, self.world))
        self.world.note(self.name, "starts", f"boot {self.boot} as {self._book.instance_id} {notices}")
        self.post(Restarted())
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
        self._spoils = False
        self.disk.cut_next = False
        if self.is_second:
            self.retire()

    # --- the link ------------------------------------------------------------------------------------------

    def _dial(self, boot: int) -> None:
        if boot != self.boot:
            return
        self.wire = self.world.dial(self, self._subprotocol)
        if self.wire is None:
            self._redial()
            return
        self._link_id += 1
        self._talk = AgentConversation(self._subprotocol)
        self.post(LinkOpened(self._link_id))
        self._later(limits.IDENTIFY_TIMEOUT_MS, partial(self._must_be_open, self._link_id))

    def _redial(self) -> None:
        """Full jitter, or when the hub said when."""
        wait_ms = self._retry_ms if self._retry_ms is not None else self.world.die.uniform(500, REDIAL_MS)
        self._retry_ms = None
        self._later(wait_ms, partial(self._dial, self.boot))

    def _must_be_open(self, link_id: int) -> None:
        if link_id == self._link_id and self.wire is not None and self._talk.phase is not Phase.OPEN:
            self._hang_up("no `identified` in time")

    def _hang_up(self, reason: str) -> None:
        if self.wire is not None:
            self.wire.close(CLIENT, 1000, reason)
            self.wire = None
            self.post(LinkLost(self._link_id))
            self._redial()

    def hung_up(self, wire: Wire, code: int, reason: str) -> None:
        """The close table says whether to come back; an operator who sees `never` starts it again some
        day."""
        if wire is not self.wire:
            return
        self.world.note(self.name, "link closed", f"{code} {reason}")
        self.wire = None
        self.post(LinkLost(self._link_id))
        if close_rule(code).comeback is Comeback.NEVER:
            self._retry_ms = int(self.world.die.uniform(1_000, REDIAL_MS))
        self._redial()

    def heard(self, wire: Wire, message: Message) -> None:
        """Bytes to frames to letters."""
        if wire is not self.wire:
            return
        try:
            items = self._talk.receive(message)
        except RemoteProtocolError as error:
            self.world.note(self.name, "hangs up", error)
            self._hang_up(str(error))
            return
        for item in items:
            assert not isinstance(item, BadFrame), f"{self.name} cannot read the hub: {item}"
            self._take(item)

    def _take(self, frame: HubFrame) -> None:
        self.world.note(self.name, "hears", frame)
        match frame:
            case Identified():
                self._mark = max(self._mark, frame.seq_received or Seq(0))
                if self._beat_ms is None:
                    self._beat_ms = frame.heartbeat_ms or limits.HEARTBEAT_MS
                    self._later(self._beat_ms, self._say_heartbeat)
            case TaskAck(seq=seq) if seq is not None:
                self._receipts.add(seq)
            case ErrorFrame(retry_after_ms=retry_ms):
                self._retry_ms = retry_ms
            case _:
                pass
        self.post(HubSaid(self._link_id, frame))

    def _say_heartbeat(self) -> None:
        """From a part of the sidecar that neither work nor journal can block."""
        assert self._beat_ms is not None
        if self._talk.phase is Phase.OPEN:
            self._say(self.desk.heartbeat())
        self._later(self._beat_ms, self._say_heartbeat)

    def _say(self, frame: AgentFrame, link_id: int | None = None) -> None:
        if self.wire is None or link_id not in (None, self._link_id):
            return
        for message in self._talk.say(frame):
            self.world.note(self.name, "says", frame)
            self._last_said = message
            self.wire.send(CLIENT, self._perhaps_spoiled(message))

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

    def _later(self, delay_ms: float, act: Callable[[], None]) -> None:
        """In this boot, or not at all."""
        self.world.scheduler.after(delay_ms, partial(self._in_boot, self.boot, act))

    def _in_boot(self, boot: int, act: Callable[[], None]) -> None:
        if boot == self.boot:
            act()

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
        slots_are_truth(self.name, len(self.runs), self.slots)

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
    def is_settled(self) -> bool:
        return self.why_unsettled is None

    @property
    def facts_pending(self) -> int:
        return len(self._book.memory.facts) if self.is_up else 0

    facts_max = UNRECEIPTED_MAX + limits.SLOTS_MAX

    def _check_receipts(self, before: set[Seq]) -> None:
        for seq in before.difference(self._book.memory.facts):
            a_dropped_fact_has_its_receipt(self.name, seq, self._mark, seq in self._receipts)

    def repeat_last(self) -> bool:
        """The last message goes out twice."""
        if self.wire is None or self._last_said is None or self._talk.phase is not Phase.OPEN:
            return False
        self.wire.send(CLIENT, self._last_said)
        return True

    def spoil_next_fact(self) -> bool:
        """A bug of some client: the next numbered fact has a body that cannot be read."""
        self._spoils = self._subprotocol != SUBPROTOCOLS[-1]
        return self._spoils

    def _perhaps_spoiled(self, message: Message) -> Message:
        if self._spoils and isinstance(message, str) and '"seq":' in message:
            self._spoils = False
            return message.replace('"generation":', '"generation":-1')
        return message
