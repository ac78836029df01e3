"""Who follows the queue of one world: what each agent has told of itself, what began when, who has spoken.

Owns the memory that the invariants of `queueing.py` are judged by, through all lives of the hub. Told by the
witness of every letter, pass and commit; changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from hub.core.effects import AgentSaved, AlertKind, Answer, RaiseAlert, TaskSaved, Tell
from hub.core.events import AgentIdentified, Event, FrameHeard, HubDrained
from hub.core.task import State, Task
from hub.ports import CommittedEvent
from protocol.frames import Heartbeat, Identified, TaskLog, TaskProgress, TaskRejected, TaskUsage
from protocol.ids import AgentId, Generation, TaskId
from tests.simulation import queueing
from tests.simulation.queueing import Card, Rows, decode_requeued
from tests.simulation.sometimes import Sometimes

if TYPE_CHECKING:
    from tests.simulation.world import World

NO_CARD: Final = Card()

Run = tuple[TaskId, Generation]


class Start(NamedTuple):
    """One beginning of a task of a key: by the time of the world, and by the hub's clock in that life."""

    at_ms: int
    life: int
    hub_ms: int


class QueueWatch:
    """Of one world."""

    __slots__ = (
        "_known_windows",
        "_let_go",
        "_spoke_ms",
        "_starts",
        "_unable_ms",
        "begun_hub_ms",
        "begun_ms",
        "cards",
        "declined_ms",
        "is_hub_draining",
        "passed",
        "paused",
        "quarantined",
        "sticky",
        "world",
    )

    def __init__(self, world: World) -> None:
        self.world = world
        self.cards: dict[AgentId, Card] = {}
        """As the hub has heard them in this life."""
        self.paused: set[AgentId] = set()
        self.quarantined: set[AgentId] = set()
        """Which have been, in this life."""
        self.sticky: dict[str, AgentId] = {}
        """Who had the last task of each sticky key, in this life."""
        self.declined_ms: dict[tuple[TaskId, AgentId], int] = {}
        self.is_hub_draining = False
        self.begun_ms = self.begun_hub_ms = 0
        """When this life began, by the time of the world and by its own clock."""
        self._known_windows: dict[int, int] = {}
        """Windows of rates that this life was asked for, and since when: what began before is not owed."""
        self.passed: list[Task] = []
        """What the last pass has given away, in order."""
        self._let_go: dict[Run, tuple[int, int]] = {}
        """Runs that are nobody's any more: since when, and in which life of the hub."""
        self._starts: defaultdict[str, dict[Run, Start]] = defaultdict(dict)
        """Of each key; what was rejected has not begun."""
        self._unable_ms = 0
        """When the hub was last seen away, or without room to write."""
        self._spoke_ms: dict[Run, int] = {}
        """When a run last began, went on, or said something that the hub has heard."""

    @property
    def now_ms(self) -> int:
        return self.world.scheduler.now_ms

    # --- what is heard -------------------------------------------------------------------------------------

    def begin_life(self) -> None:
        """A hub that has just started knows nobody."""
        for known in (
            self.cards,
            self.passed,
            self.quarantined,
            self.declined_ms,
            self._known_windows,
            self.sticky,
        ):
            known.clear()
        agents = self.world.hub.ledger.agents.values()
        self.paused = {agent.agent_id for agent in agents if agent.is_paused}
        self.is_hub_draining = False
        self.begun_ms, self.begun_hub_ms = self.now_ms, self.world.hub.now().ms
        self._spoke_ms = dict.fromkeys(self._spoke_ms, self.now_ms)

    def heard(self, event: Event, answer: Answer) -> None:
        """A letter of a live link. What was turned away was not told `identified`."""
        match event:
            case AgentIdentified(sender=sender) if any(
                isinstance(one, Tell) and isinstance(one.frame, Identified) for one in answer.effects
            ):
                is_resting = event.resting is not None
                self.cards[sender.agent_id] = Card(event.labels, event.slot_kinds, event.slots, is_resting)
            case FrameHeard(sender=sender, frame=Heartbeat(resting=resting)) if sender.agent_id in self.cards:
                card = self.cards[sender.agent_id]
                self.cards[sender.agent_id] = replace(card, is_resting=resting is not None)
            case FrameHeard(frame=TaskProgress() | TaskLog() | TaskUsage() as talk):
                self._spoke_ms[talk.task_id, talk.generation or Generation(0)] = self.now_ms
            case FrameHeard(sender=sender, frame=TaskRejected(task_id=task_id)):
                self.declined_ms[task_id, sender.agent_id] = self.now_ms
                self._take_back(task_id, answer)
            case HubDrained():
                self.is_hub_draining = True
            case _:
                pass
        self._note_agents(answer)

    def _take_back(self, task_id: TaskId, answer: Answer) -> None:
        """What was rejected has not begun."""
        for change in answer.changes:
            if isinstance(change, TaskSaved) and change.task.task_id == task_id:
                key = change.task.spec.concurrency_key or ""
                self._starts[key].pop((task_id, change.task.generation), None)

    def _note_agents(self, answer: Answer) -> None:
        for change in answer.changes:
            if isinstance(change, AgentSaved):
                is_paused = change.agent.is_paused
                (self.paused.add if is_paused else self.paused.discard)(change.agent.agent_id)
        for effect in answer.effects:
            if isinstance(effect, RaiseAlert) and effect.kind is AlertKind.AGENT_QUARANTINED:
                assert effect.agent_id is not None, "an agent is quarantined"
                self.quarantined.add(effect.agent_id)
                if "broke down" in effect.detail:
                    self.world.tally.hit(Sometimes.AGENT_QUARANTINED.value)

    def card_of(self, agent_id: AgentId) -> Card:
        return self.cards.get(agent_id, NO_CARD)

    def starts_in(self, key: str, per_ms: int, hub_ms: int) -> int:
        """How often tasks of a key have begun in this window, by the hub's own clock and life; what the pass
        that is judged has just given away is not written yet.
        """
        life, given = self.world.hub.life, sum(task.spec.concurrency_key == key for task in self.passed)
        starts = self._starts[key].values()
        return given + sum(one.life == life and one.hub_ms > hub_ms - per_ms for one in starts)

    def saw_waiting(self, task: Task) -> None:
        """It waits for a seat or its key: from here on its window is known."""
        if task.spec.rate is not None:
            self._known_windows.setdefault(task.spec.rate.per_ms, self.now_ms)

    def _starts_owed(self, key: str, per_ms: int) -> list[int]:
        """Those that a hub can know of: of an earlier life it takes the last moment for one, and what began
        in this life before anybody had named such a window it may have forgotten.
        """
        longer = [since_ms for window_ms, since_ms in self._known_windows.items() if window_ms >= per_ms]
        known_ms = min(longer, default=self.now_ms)
        starts = [one.at_ms for one in self._starts[key].values()]
        return [at_ms for at_ms in starts if at_ms >= known_ms or at_ms < self.begun_ms]

    # --- what is written -----------------------------------------------------------------------------------

    def saw_rows(self, before: Rows, rows: Rows, touched: Iterable[Task], hub_ms: int) -> None:
        """A commit is through: `before` and after it, and the rows that it wrote. `hub_ms` is the time of its
        turn by the clock of the hub's life.
        """
        touched = list(touched)
        queueing.a_unique_key_is_held_once(rows, touched)
        is_restored = self.world.truth.era > 0
        began = [row for row in touched if is_new_generation(before.get(row.task_id), row)]
        for row in touched:
            self._note(before.get(row.task_id), row)
            queueing.a_dependant_shares_the_end(row, rows, is_restored=is_restored)
            queueing.only_a_first_start_is_waited_for(row)
            self._count(row, rows)
        began.sort(key=self._place)
        for row in began:
            self._judge_start(row, before, rows, began[began.index(row) + 1 :], hub_ms)

    def _place(self, row: Task) -> int:
        return next((n for n, task in enumerate(self.passed) if task.task_id == row.task_id), -1)

    def _note(self, before: Task | None, row: Task) -> None:
        """Since when a run is nobody's, and since when one must speak."""
        if before is not None and before.is_held and not is_run_of(row, before.generation):
            self._let_go.setdefault((row.task_id, before.generation), (self.now_ms, self.world.hub.life))
        if row.state is State.RUNNING and (before is None or before.state is not State.RUNNING):
            self._spoke_ms[row.task_id, row.generation] = self.world.hub.turned_ms

    def _judge_start(self, row: Task, before: Rows, rows: Rows, later: list[Task], hub_ms: int) -> None:
        assert row.holder is not None, "who was given it"
        queueing.a_dependant_waits(row, before)
        if row.spec.depends_on:
            self.world.tally.hit(Sometimes.DEPENDENCY_DONE.value)
        if row.spec.slot:
            self.world.tally.hit(Sometimes.KIND_TAKEN.value)
        record = self.world.hub.ledger.agents.get(row.holder.agent_id)
        card = self.card_of(row.holder.agent_id)
        queueing.an_order_fits_its_agent(row, card, is_paused=record is not None and record.is_paused)
        if row.spec.concurrency_key is not None:
            self._judge_key(row, row.spec.concurrency_key, rows, later, hub_ms)

    def _judge_key(self, row: Task, key: str, rows: Rows, later: list[Task], hub_ms: int) -> None:
        hub = self.world.hub
        start = Start(hub.turned_ms, hub.life, hub_ms)
        self._starts[key][row.task_id, row.generation] = start
        if row.spec.rate is not None:
            starts_ms = self._starts_owed(key, row.spec.rate.per_ms)
            queueing.a_rate_holds(row, starts_ms, start.at_ms)
        after = {other.task_id for other in later}
        held = [
            one.task_id
            for one in rows.values()
            if one.spec.concurrency_key == key and one.is_held and one.task_id not in self.world.truth.refused
        ]
        queueing.a_limit_holds(row, [one for one in held if one not in after], self._alive(key, rows))

    def _alive(self, key: str, rows: Rows) -> list[Run]:
        """Runs of a key that were called back, are still at work, and of which this hub must know."""
        runs = [
            (task_id, run.order.generation)
            for sidecar in self.world.sidecars
            if sidecar.is_up and sidecar.is_bound
            for task_id, run in sidecar.runs.items()
        ]
        return [run for run in runs if self._is_owed(run, key, rows)]

    def _is_owed(self, run: Run, key: str, rows: Rows) -> bool:
        """Let go in this life, less than a grace ago."""
        row, (since_ms, life) = rows.get(run[0]), self._let_go.get(run, (0, -1))
        is_of_key = row is not None and row.spec.concurrency_key == key and not is_run_of(row, run[1])
        is_young = self.now_ms - since_ms < self.world.policy.grace_ms
        return is_of_key and is_young and life == self.world.hub.life and self.world.truth.era == 0

    def _count(self, row: Task, rows: Rows) -> None:
        if row.ending is not None and row.ending.how == "dependency_failed":
            self.world.tally.hit(Sometimes.DEPENDENCY_FAILED.value)
            others = [rows.get(task_id) for task_id in row.spec.depends_on]
            hows = [other.ending.how for other in others if other is not None and other.ending is not None]
            if "dependency_failed" in hows:
                self.world.tally.hit(Sometimes.CASCADE.value)
        if row.state is State.QUEUED and row.waits_for:
            self.world.tally.hit(Sometimes.DEPENDENCY_WAITED.value)

    def saw_requeue(self, event: CommittedEvent) -> None:
        """Something goes back into the queue: for how long, and was it called back for its silence?"""
        row = self.world.truth.rows[TaskId(event.task_id or "")]
        queueing.a_pause_is_as_asked(row, event)
        cause = decode_requeued(event.payload).cause
        if cause == "no_progress":
            self.world.tally.hit(Sometimes.SILENCE.value)
            silent_ms = self._silent_ms(row.task_id, row.generation)
            queueing.a_run_that_speaks_is_left_alone(row, event, silent_ms)

    # --- what is asked from time to time -------------------------------------------------------------------

    def look(self) -> None:
        """Every run that has to speak, while there is a hub that could hear it and write down that it does
        not.
        """
        if not self.world.hub.is_able:
            self._unable_ms = self.now_ms
            return
        minded_ms = self.now_ms - self._unable_ms
        for row in self.world.truth.rows.values():
            if row.state is State.RUNNING and row.holder is not None and not row.holder.is_v1:
                silent_ms = self._silent_ms(row.task_id, row.generation)
                queueing.a_silent_run_is_called_back(row, min(silent_ms, minded_ms))

    def _silent_ms(self, task_id: TaskId, generation: Generation) -> int:
        return self.now_ms - self._spoke_ms.get((task_id, generation), self.now_ms)

    def saw_restore(self, rows: Rows) -> None:
        """Yesterday's file: what began since then began all the same."""
        self._spoke_ms = {run: at for run, at in self._spoke_ms.items() if run[0] in rows}


def is_run_of(row: Task, generation: Generation) -> bool:
    """Whether this generation is the one in somebody's hands."""
    return row.is_held and row.generation == generation


def is_new_generation(before: Task | None, row: Task) -> bool:
    """Whether the row has just been given away. (All that a turn decides is one write.)"""
    old = before.generation if before is not None else 0
    return row.generation > old and row.state is State.ASSIGNED
