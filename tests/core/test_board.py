"""The board against arbitrary lives: Hypothesis plays agents, people and time, and shrinks what fails.

The rows are kept by compare-and-set as a ledger would (`stage.py`); what is checked after every step is the
safety half of reliability §3.5, and at the end that everything comes to an end.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import Raw

from hub.core.events import AgentPaused, AgentUnpaused, HubStarted, InputAnswered
from hub.core.policy import Policy
from hub.core.task import HELD, State, Task, check_task
from protocol.frames import Holding
from protocol.ids import RequestId, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage

ENDS = ("task_complete", "task_failed", "task_cancelled")
WHO = st.integers(0, 2)
WHICH = st.integers(0, 5)


class Lives(RuleBasedStateMachine):
    """Three agents, the last of them v1, and whatever may happen to six tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(Policy(strikes_max=3, unaccepted_max=6))
        self.agents = [self.stage.peer(f"a{number}", version=1 if number == 2 else 2) for number in range(3)]
        self.tasks: list[TaskId] = []
        self.finals: dict[TaskId, Task] = {}
        self.generations: Counter[TaskId] = Counter()

    def some(self, which: int) -> TaskId | None:
        return self.tasks[which % len(self.tasks)] if self.tasks else None

    def live(self, who: int, which: int) -> tuple[Peer, TaskId] | None:
        task_id = self.some(which)
        peer = self.agents[who]
        return (peer, task_id) if peer.is_up and task_id is not None else None

    # --- what may happen -----------------------------------------------------------------------------------

    @rule(who=WHO, holds=st.booleans(), pending=st.booleans())
    def dial(self, who: int, holds: bool, pending: bool) -> None:
        peer = self.agents[who]
        state = "result_pending" if pending else "running"
        rows = (self.stage.board.view_task(task_id) for task_id in self.tasks)
        mine = [row for row in rows if row is not None and row.holder is not None]
        holding = [
            Holding(task_id=row.task_id, generation=row.generation, state=state)  # type: ignore[arg-type]  # it is one of the words
            for row in mine
            if holds and row.holder is not None and row.holder.agent_id == peer.agent_id
        ]
        assert peer.identify(*holding, slots=2) is not None

    @rule(who=WHO)
    def drop(self, who: int) -> None:
        if self.agents[who].is_up:
            self.agents[who].drop()

    @rule(who=st.none() | WHO, attempts_max=st.integers(1, 3))
    def push(self, who: int | None, attempts_max: int) -> None:
        if len(self.tasks) < 6:
            meant = None if who is None else self.agents[who].agent_id
            self.tasks.append(self.stage.submit(assign_to=meant, attempts_max=attempts_max))

    @rule(who=WHO, which=WHICH, back=st.integers(0, 1))
    def accept(self, who: int, which: int, back: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.accept(task_id, max(1, self.stage.task(task_id).generation - back))

    @rule(who=WHO, which=WHICH, back=st.integers(0, 1))
    def complete(self, who: int, which: int, back: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.complete(task_id, generation=max(1, self.stage.task(task_id).generation - back))

    @rule(who=WHO, which=WHICH, crash=st.booleans(), retryable=st.booleans())
    def fail(self, who: int, which: int, crash: bool, retryable: bool) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            g = max(1, self.stage.task(task_id).generation)
            peer.fail(task_id, "sidecar_crash" if crash else "broken", retryable=retryable, generation=g)

    @rule(who=WHO, which=WHICH)
    def reject(self, who: int, which: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.reject(task_id, generation=max(1, self.stage.task(task_id).generation))

    @rule(who=st.integers(0, 1), which=WHICH)
    def stop(self, who: int, which: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.stop(task_id)

    @rule(who=st.integers(0, 1), which=WHICH)
    def ask(self, who: int, which: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.ask(task_id)

    @rule(which=WHICH)
    def answer(self, which: int) -> None:
        task_id = self.some(which)
        if task_id is not None:
            request_id = RequestId(f"{task_id}-1")
            letter = InputAnswered(task_id=task_id, request_id=request_id, value=Raw(b"1"), by="x")
            self.stage.tell(letter)

    @rule(who=st.integers(0, 1), which=WHICH)
    def take_answer(self, who: int, which: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.take_answer(task_id)

    @rule(who=WHO, which=WHICH)
    def progress(self, who: int, which: int) -> None:
        if (found := self.live(who, which)) is not None:
            peer, task_id = found
            peer.progress(task_id)

    @rule(who=st.integers(0, 1), lists=st.booleans())
    def beat(self, who: int, lists: bool) -> None:
        peer = self.agents[who]
        if peer.is_up:
            seats = {
                seat.agent_id: seat.running_tasks for seat in self.stage.board.view_agents(self.stage.now)
            }
            peer.beat(*(peer.runs(task_id) for task_id in seats[peer.agent_id] if lists))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        task_id = self.some(which)
        if task_id is not None and not self.stage.task(task_id).is_final:
            self.stage.cancel(task_id)

    @rule(who=WHO, pause=st.booleans())
    def steer(self, who: int, pause: bool) -> None:
        agent_id = self.agents[who].agent_id
        self.stage.tell(
            AgentPaused(agent_id=agent_id, by="x") if pause else AgentUnpaused(agent_id=agent_id, by="x")
        )

    @rule(ms=st.sampled_from((1_000, 12_000, 40_000, 130_000)))
    def wait(self, ms: int) -> None:
        self.stage.wait(ms)

    @rule()
    def restart(self) -> None:
        self.stage.restart()
        self.stage.tell(HubStarted())

    # --- what must hold ------------------------------------------------------------------------------------

    @invariant()
    def rows_are_sound(self) -> None:
        """Invariants 3 to 6, 9 to 14: of each row, and of what followed what."""
        for task_id, row in self.stage.rows.items():
            check_task(row)
            assert row.generation >= self.generations[task_id]
            self.generations[task_id] = row.generation
            before = self.finals.get(task_id)
            assert before is None or before == row, "terminal is for ever"
            if row.is_final:
                self.finals[task_id] = row
            assert row.strikes <= self.stage.policy.strikes_max + 1

    @invariant()
    def a_task_ends_once(self) -> None:
        """Invariants 2 and 5."""
        ends = Counter(line.task_id for line in self.stage.log if line.event in ENDS)
        assert all(number == 1 for number in ends.values())
        assert set(ends) == {row.task_id for row in self.stage.rows.values() if row.is_final}

    @invariant()
    def seats_are_derived_from_rows(self) -> None:
        """Invariants 12, 16 and 22: what is held is held by the bound instance, within its slots."""
        held = [row for row in self.stage.rows.values() if row.state in HELD]
        for seat in self.stage.board.view_agents(self.stage.now):
            mine = {
                row.task_id for row in held if row.holder is not None and row.holder.agent_id == seat.agent_id
            }
            assert mine == set(seat.running_tasks)
            assert len(mine) <= max(seat.slots, 2)
            assert all(
                row.holder is not None and row.holder.instance_id == seat.instance_id
                for row in held
                if row.task_id in mine
            )

    @invariant()
    def time_will_come_for_whatever_is_held(self) -> None:
        """Invariant 29, as far as the core can see it."""
        held = [row for row in self.stage.rows.values() if row.state in HELD]
        due_ms = self.stage.board.next_deadline()
        assert not held or due_ms is not None
        assert due_ms is None or due_ms >= 0

    @invariant()
    def the_board_counts_what_it_has(self) -> None:
        rows = Counter(row.state.value for row in self.stage.rows.values() if not row.is_final)
        assert Counter(self.stage.board.count().tasks) == rows

    def finish(self, task: Task) -> None:
        """What an honest holder does in quiet times."""
        for peer in self.agents:
            if task.holder is not None and task.holder.agent_id == peer.agent_id:
                peer.accept(task.task_id) if task.state is State.ASSIGNED else peer.complete(task.task_id)

    def teardown(self) -> None:
        """Invariant 30: after everything has calmed down, every task comes to its end."""
        for peer in self.agents:
            if not peer.is_up:
                peer.identify(slots=2)
            self.stage.tell(AgentUnpaused(agent_id=peer.agent_id, by="x"))
        for _ in range(600):
            open_tasks = self.stage.board.open_tasks()
            if not open_tasks:
                return
            for task in open_tasks:
                self.finish(task)
            self.stage.wait(5_000)
        raise AssertionError(
            f"still open: {[(task.task_id, task.state) for task in self.stage.board.open_tasks()]}"
        )


LivesTest = Lives.TestCase
LivesTest.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
