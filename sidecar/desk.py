"""The desk: the runs in hand, what to start, stop and say. It is to the sidecar what the board is to the hub.

Owns every rule of the sidecar's half of the life of a task: recorded before said, never started twice, one
ending a generation, lower generations ignored, a cancel remembered for work not seen yet. It answers with
records for the journal and effects for afterwards. Never awaits, reads a clock, logs, or touches a file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from msgspec.structs import replace

from protocol import frames, limits
from protocol.frames import HubFrame
from protocol.ids import Generation, Seq, TaskId
from sidecar import events
from sidecar.draft import Draft
from sidecar.effects import DeskAnswer, GiveAnswer, HangUp, Leave, Say, StartRun, StopRun
from sidecar.endings import (
    answered_facts,
    asked_fact,
    died_with_the_sidecar,
    ending_fact,
    never_ran,
    order_of,
    step_fact,
)
from sidecar.events import DeskEvent, Gossip, Now
from sidecar.hands import Hand, Run, held_of, holding_of, seats_of, why_no_seat
from sidecar.house import House
from sidecar.leaving import Leaving
from sidecar.memory import TOMBSTONES_MAX, EpochHeard, MarkHeard, Memory, Receipted, Renumbered
from sidecar.passing import Talk
from sidecar.runners.contract import Asked, Order, Rejection, StepDone, StopReason
from sidecar.wording import line_of

UNRECEIPTED_MAX: Final = 2 * limits.SLOTS_MAX
"""Facts without a receipt. A hub that goes on assigning and gives no receipts is hung up on."""

assert UNRECEIPTED_MAX + limits.SLOTS_MAX <= limits.HOLDING_MAX, "an instance can list all that it holds"
assert UNRECEIPTED_MAX < TOMBSTONES_MAX, "what has no receipt is not forgotten"


class Desk:
    """Every run in hand of one process. `accepts` must be as pure as the desk: it looks into a dict."""

    def __init__(
        self,
        card: frames.Identify,
        memory: Memory,
        accepts: Callable[[Order], Rejection | None],
        *,
        once: bool = False,
        house: House | None = None,
    ) -> None:
        self._card = card
        self._house = house or House()
        self._memory = memory
        self._accepts = accepts
        self._leaving = Leaving(once=once)
        self._hands: dict[TaskId, Hand] = {}
        self._talk = Talk()
        self._bills: list[frames.PassingFrame] = []
        """What runs used that ended while the hub was away: said before the facts that end them."""
        self._draft = Draft(memory)
        self._has_link = False
        self._is_storage_full = False
        self._result_bytes_max = limits.RESULT_BYTES_MAX

    # --- the verbs ----------------------------------------------------------------------------------------

    def handle(self, event: DeskEvent, now: Now) -> DeskAnswer:
        """Decide what follows. Make the records durable, and only then perform the effects, in order."""
        self._draft.begin(now)
        self._house.look(now)
        self._take_in(event)
        self._house.look(now)
        if self._draft.is_open and self._house.has_news:
            self._draft.say(self.heartbeat())
        if self._leaving.is_time(
            has_runs=bool(self._hands), has_facts=bool(self._memory.facts), has_link=self._has_link
        ):
            self._draft.effect(Leave("nothing is left to do"))
        return self._draft.answer()

    def _take_in(self, event: DeskEvent) -> None:  # noqa: C901, PLR0912  a flat table
        match event:
            case events.HubSaid():
                self._hear(event.link_id, event.frame)
            case events.RunEnded():
                self._end_run(event)
            case events.RunReported():
                self._hear_run(event)
            case events.TalkDropped():
                self._lose_talk(event)
            case events.LinkOpened():
                self._has_link = True
                self._draft.link_id, self._draft.is_open = event.link_id, False
                self._draft.effect(Say(event.link_id, self.identify()))
            case events.LinkLost():
                self._has_link = self._has_link and event.link_id != self._draft.link_id
                self._draft.is_open = self._draft.is_open and self._has_link
            case events.TimePassed():
                self._draft.say(*self._talk.say(self._draft.now.mono_ms))
            case events.Restarted():
                for fact in died_with_the_sidecar(self._memory.live):
                    self._draft.note(fact)
            case events.DrainRequested():
                self._drain()
            case events.StopRequested():
                self._stop_all()
            case events.StorageFilled():
                self._is_storage_full = True
                self._draft.say(frames.Draining())
            case events.StorageFreed():
                self._is_storage_full = False
                self._redial("the journal has room again")
            case events.PluginsChanged():
                self._card = event.on(self._card)
                self._redial("the plugins have changed", retry_in_ms=0)
            case events.OwnerLooked():
                self._house.hear(event.pause, event.load)
            case _:
                assert_never(event)

    def next_deadline(self) -> int | None:
        """The monotonic time at which `TimePassed` has something to do."""
        talk_ms = self._talk.due_ms() if self._draft.is_open else None
        return min((due for due in (talk_ms, self._house.due_ms()) if due is not None), default=None)

    def identify(self) -> frames.Identify:
        """The first frame of the newest link."""
        return replace(
            self._card,
            connection=self._draft.link_id,
            seq_next=self._memory.seq_oldest,
            hub_epoch=self._memory.hub_epoch,
            resting=self._house.said(),
            holding=self.holding(),
        )

    def holding(self) -> tuple[frames.Holding, ...]:
        """Every generation with a live run or a fact without receipt."""
        return holding_of(self._hands.values(), self._memory)

    def heartbeat(self) -> frames.Heartbeat:
        """A snapshot of everything in hand, for the beat that user work cannot block."""
        return frames.Heartbeat(
            as_of_seq=Seq(self._memory.seq_next - 1),
            tasks=held_of(self.holding()),
            load=len(self._hands) / seats_of(self._card),
            resting=self._house.said(),
        )

    @property
    def runs_in_hand(self) -> int:
        return sum(len(hand.runs()) for hand in self._hands.values())

    @property
    def is_taking_work(self) -> bool:
        return self._draft.is_open and not (self._leaving.is_draining or self._is_storage_full)

    # --- what the hub says --------------------------------------------------------------------------------

    def _hear(self, link_id: int, frame: HubFrame) -> None:  # noqa: C901, PLR0912  a flat table
        if link_id != self._draft.link_id:
            return  # a ghost of an older link
        if not self._draft.is_open and not isinstance(frame, frames.Identified | frames.ErrorFrame):
            self._draft.remark("said_before_identified")
            return
        if isinstance(frame, Gossip):
            return
        match frame:
            case frames.TaskAck():
                if frame.seq is not None:
                    self._take_receipt(frame, frame.seq)
            case frames.TaskAssign():
                self._consider(frame)
            case frames.TaskCancel():
                self._withdraw(frame.task_id, frame.generation, "cancel", frame.grace_ms)
            case frames.TaskRevoke():
                self._withdraw(frame.task_id, frame.generation, "revoke", limits.CANCEL_GRACE_MS)
            case frames.TaskInput():
                self._hand_over(frame)
            case frames.Identified():
                self._resume(frame)
            case frames.Goaway():
                self._draft.effect(HangUp(link_id, f"goaway: {frame.reason}", frame.retry_in_ms))
            case frames.ErrorFrame():
                self._draft.remark(
                    "hub_error", frame.task_id, detail=f"{frame.error} {frame.message_type or ''}"
                )
            case (
                frames.TaskCancelled()
                | frames.TaskReassign()
                | frames.TaskContinue()
                | frames.StateReportAck()
            ):
                self._draft.remark("v1_frame_ignored", frame.task_id)
            case frames.MessageDelivered():
                self._draft.remark("message", detail=line_of(frame))
            case _:
                assert_never(frame)

    def _resume(self, identified: frames.Identified) -> None:
        """The hub has said what it knows: drop what it has, replay the rest, stop what it gave away."""
        memory = self._memory
        self._draft.is_open = True
        if identified.hub_epoch is not None and identified.hub_epoch != memory.hub_epoch:
            self._draft.record(EpochHeard(identified.hub_epoch))
        if identified.frame_bytes_max is not None:
            # Room for the other members of the frame around a result.
            self._result_bytes_max = min(limits.RESULT_BYTES_MAX, identified.frame_bytes_max - 8 * limits.KIB)
        mark = identified.seq_received or Seq(0)
        if memory.seq_oldest <= mark < memory.seq_next:
            self._draft.record(MarkHeard(mark))
        if memory.seq_oldest != mark + 1:
            # An old copy of this journal came back, or a hub lost history and did not say so: number anew,
            # so that no fact is taken for one that the hub has.
            self._draft.remark("renumbered", detail=f"from {memory.seq_oldest} to {mark + 1}")
            self._draft.record(Renumbered(Seq(mark + 1)))
        self._draft.say(*self._bills)
        self._bills.clear()
        for fact in memory.facts.values():
            self._draft.say(fact.frame)
        for held in identified.drop or ():
            self._withdraw(held.task_id, held.generation, "revoke", limits.CANCEL_GRACE_MS)
        if self._leaving.is_draining or self._is_storage_full:
            self._draft.say(frames.Draining())

    def _take_receipt(self, ack: frames.TaskAck, seq: Seq) -> None:
        if seq not in self._memory.facts:
            return
        if ack.status == "refused":
            self._draft.remark("fact_refused", ack.task_id, ack.generation, f"seq {seq}")
        self._draft.record(Receipted(seq))

    def _consider(self, assign: frames.TaskAssign) -> None:
        """Accept, decline, or answer from the journal: the same generation is never started twice (L76)."""
        task_id, generation = assign.task_id, assign.generation
        if generation is None or self._is_storage_full:
            self._draft.remark(
                "assign_ignored", task_id, generation, "no generation, or no room in the journal"
            )
            return
        top = self._memory.tops.get(task_id)
        if top is not None and generation <= top.generation:
            # Every fact about it that has no receipt was said on this link already.
            self._draft.remark("order_repeated", task_id, generation)
            return
        if len(self._memory.facts) >= UNRECEIPTED_MAX:
            self._draft.effect(HangUp(self._draft.link_id, "receipts are overdue"))
            return
        self._supersede(task_id)
        order = self._house.bounded(order_of(assign, generation))
        why_not = self._why_not(order)
        if why_not is not None:
            self._draft.note(frames.TaskRejected(task_id=task_id, generation=generation, reason=why_not))
            return
        self._draft.note(frames.TaskAccepted(task_id=task_id, generation=generation))
        self._house.note_start(self._draft.now.wall_ms)
        self._take(Run(order))

    def _why_not(self, order: Order) -> str | None:
        if self._leaving.is_draining:
            return "draining"
        if self._house.resting is not None:
            return "policy"
        no_seat = why_no_seat(order, self._hands, self._card)
        if no_seat is not None:
            return no_seat
        rejection = self._accepts(order)
        return None if rejection is None else rejection.reason

    def _take(self, run: Run) -> None:
        """Start it, or, while an older run of the task is being stopped, as soon as that one is gone."""
        hand = self._hands.get(run.task_id)
        if hand is None:
            self._hands[run.task_id] = Hand(run)
            self._start(run)
        else:
            hand.waiting = run
        if self._leaving.once:
            self._drain()

    def _start(self, run: Run) -> None:
        run.is_started = True
        self._draft.effect(StartRun(run.order))

    def _supersede(self, task_id: TaskId) -> None:
        """A higher generation was heard of: whatever is in hand of this task is nobody's work any more."""
        hand = self._hands.get(task_id)
        if hand is not None:
            self._drop_waiting(hand)
            self._stop(hand.running, "revoke", limits.CANCEL_GRACE_MS)

    def _drop_waiting(self, hand: Hand) -> None:
        if hand.waiting is not None:
            self._draft.note(never_ran(hand.waiting.task_id, hand.waiting.generation))
            hand.waiting = None

    def _withdraw(self, task_id: TaskId, generation: Generation, reason: StopReason, grace_ms: int) -> None:
        """Stop this generation and prove it. One that was never seen is remembered as over."""
        top = self._memory.tops.get(task_id)
        if top is None or generation > top.generation:
            if self._is_storage_full:
                self._draft.remark("stop_ignored", task_id, generation, "no room in the journal")
                return
            self._supersede(task_id)
            self._draft.note(never_ran(task_id, generation))
            return
        hand = self._hands.get(task_id)
        if hand is not None and hand.running.generation == generation:
            self._stop(hand.running, reason, grace_ms)
        elif hand is not None and hand.waiting is not None and hand.waiting.generation == generation:
            self._drop_waiting(hand)
        elif reason == "cancel" and generation == top.generation and self._is_free_to_say(task_id):
            # Its ending has its receipt, and the hub does not have it: it has refused it, or lost it.
            self._draft.note(never_ran(task_id, generation))

    def _is_free_to_say(self, task_id: TaskId) -> bool:
        return not self._is_storage_full and not self._memory.awaits_receipt(task_id)

    def _stop(self, run: Run, reason: StopReason, grace_ms: int) -> None:
        if run.stop_reason is None or reason == "cancel":
            run.stop_reason = reason
        self._draft.effect(StopRun(run.task_id, run.generation, reason, grace_ms))

    def _hand_over(self, given: frames.TaskInput) -> None:
        hand = self._hands.get(given.task_id)
        if hand is None or not (facts := answered_facts(hand.running, given)):
            return
        for fact in facts:
            self._draft.note(fact)
        generation = hand.running.generation
        self._draft.effect(GiveAnswer(given.task_id, generation, given.request_id, bytes(given.value)))

    # --- what the runs say --------------------------------------------------------------------------------

    def _hear_run(self, said: events.RunReported) -> None:
        hand = self._hands.get(said.task_id)
        if hand is None or hand.running.generation != said.generation:
            return  # its end was told before
        run, report = hand.running, said.report
        if isinstance(report, Asked):
            if run.asks(report):
                if self._draft.is_open:  # what led to the question comes before it
                    self._draft.say(*self._talk.all_of(run.task_id, self._draft.now.mono_ms))
                self._draft.note(asked_fact(run, report))
        elif isinstance(report, StepDone):
            step = step_fact(run, report)
            if step is None:
                self._draft.remark("step_not_kept", run.task_id, run.generation, f"step {report.index}")
            else:
                self._draft.note(step)
        else:
            self._talk.hear(run.task_id, run.generation, report)
            if self._draft.is_open:
                self._draft.say(*self._talk.say_of(run.task_id, self._draft.now.mono_ms))

    def _lose_talk(self, dropped: events.TalkDropped) -> None:
        hand = self._hands.get(dropped.task_id)
        if hand is not None and hand.running.generation == dropped.generation:
            self._talk.lose(dropped.task_id, dropped.generation, dropped.count)

    def _end_run(self, ended: events.RunEnded) -> None:
        hand = self._hands[ended.task_id]
        run = hand.running
        assert run.generation == ended.generation, "one run of a task at a time"
        words = self._talk.last_words(run.task_id, self._draft.now.mono_ms)
        self._draft.say(*words)
        if not self._draft.is_open:
            self._bills += [word for word in words if isinstance(word, frames.TaskUsage)]
        self._draft.note(ending_fact(run, ended.outcome, self._result_bytes_max))
        if hand.waiting is None:
            del self._hands[ended.task_id]
        else:
            hand.running, hand.waiting = hand.waiting, None
            self._start(hand.running)

    # --- what people, the disk and time say ---------------------------------------------------------------

    def _drain(self) -> None:
        if self._leaving.drain():
            self._draft.say(frames.Draining())

    def _stop_all(self) -> None:
        self._drain()
        self._leaving.is_stopping = True
        for hand in self._hands.values():
            self._drop_waiting(hand)
            self._stop(hand.running, "shutdown", limits.CANCEL_GRACE_MS)

    def _redial(self, reason: str, retry_in_ms: int | None = None) -> None:
        """A fresh identify is how a hub learns what we take from now on. Runs go on meanwhile, as always."""
        if self._has_link:
            self._draft.effect(HangUp(self._draft.link_id, reason, retry_in_ms))
