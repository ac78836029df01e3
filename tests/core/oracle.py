"""Who may be given what, worked out the slow way: every task against every agent, from what can be seen.

Owns a second opinion for the tests of matching. Never asks the code that it judges: no rule, no index and no
line is used here, only views, rows and the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from hub.core.task import Spec, State, Task
from hub.core.views import SeatView
from protocol.ids import AgentId, TaskId
from tests.core.stage import Stage

NOTHING: Mapping[str, int] = {}


class Oracle:
    """Watches a stage, and knows at every moment what could be given away."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.begun: dict[str, list[int]] = {}
        self.began_at: dict[TaskId, int] = {}
        self.declined: dict[tuple[TaskId, AgentId], int] = {}
        self.declines: Counter[tuple[TaskId, AgentId]] = Counter()
        self._read = 0

    # --- what has happened -----------------------------------------

    def watch(self) -> None:
        """After each turn: beginnings are counted, and limits, rates and the order held against each."""
        news, self._read = self.stage.log[self._read :], len(self.stage.log)
        for line in news:
            if line.task_id is not None:
                self._note(line.event, self.stage.rows[line.task_id], line.agent_id, bytes(line.payload))
        assigned = [line for line in news if line.event == "task_assigned"]
        self._limits_hold([line.task_id for line in assigned])
        seats = {seat.agent_id: seat for seat in self.stage.board.view_agents(self.stage.now)}
        for line in assigned:
            assert line.task_id is not None
            assert line.agent_id is not None
            self._order_holds(self.stage.rows[line.task_id], seats[line.agent_id])

    def _note(self, event: str, task: Task, agent_id: AgentId | None, payload: bytes) -> None:
        if event == "task_requeued" and b'"rejected"' in payload:
            self._forget_beginning(task)
            assert agent_id is not None
            self._note_decline(task, agent_id)
        elif event == "task_accepted":
            self.declines = Counter({key: n for key, n in self.declines.items() if key[0] != task.task_id})
            self.declined.pop((task.task_id, agent_id or AgentId("")), None)
        elif event == "task_assigned" and task.spec.concurrency_key is not None:
            self.began_at[task.task_id] = self.stage.now_ms
            self.begun.setdefault(task.spec.concurrency_key, []).append(self.stage.now_ms)

    def _order_holds(self, given: Task, seat: SeatView) -> None:
        """Nobody who is more urgent, however long the one that was given waited, would have fitted there."""
        waited = (self.stage.now.wall_ms - given.created_wall_ms) // self.stage.policy.ageing_ms
        level = max(0, given.spec.priority - waited)
        freed = {given.spec.slot: 1}
        for task in self.stage.board.open_tasks():
            if task.spec.priority < level and task.spec.slot in freed and self.may_begin(task):
                assert not self.fits(task, seat, freed), f"{given.task_id} was given before {task.task_id}"

    def _note_decline(self, task: Task, agent_id: AgentId) -> None:
        """1 s, 2 s, 4 s, … at most 30 s."""
        key = (task.task_id, agent_id)
        self.declined[key] = self.stage.now_ms + min(30_000, 1_000 << self.declines[key])
        self.declines[key] += 1

    def _forget_beginning(self, task: Task) -> None:
        began = self.began_at.pop(task.task_id, None)
        if began is not None:
            self.begun[task.spec.concurrency_key or ""].remove(began)

    def _limits_hold(self, assigned: list[TaskId | None]) -> None:
        """Each by its own limit, at the moment when it began: later ones of the turn do not count."""
        in_use = self.in_use()
        for task_id in reversed(assigned):
            assert task_id is not None
            spec = self.stage.rows[task_id].spec
            if spec.concurrency_key is not None:
                assert spec.limit is None or in_use[spec.concurrency_key] <= spec.limit
                in_use[spec.concurrency_key] -= 1
        for seat in self.stage.board.view_agents(self.stage.now):
            runs = (*seat.running_tasks, *(run[0] for run in seat.revoked_runs))
            taken = Counter(self.stage.rows[task_id].spec.slot for task_id in runs)
            for kind, number in taken.items():
                assert number <= (seat.slots if kind == "" else seat.slot_kinds[kind])

    def in_use(self) -> Counter[str]:
        """Held tasks of each key, and those that were called back and may still run."""
        board = self.stage.board
        held = [task.task_id for task in board.open_tasks() if task.holder is not None]
        revoked = [run[0] for seat in board.view_agents(self.stage.now) for run in seat.revoked_runs]
        return Counter(self.stage.rows[task_id].spec.concurrency_key or "" for task_id in (*held, *revoked))

    # --- what may be -----------------------------------------

    def may_have(self, task: Task, seat: SeatView) -> bool:
        return self.may_begin(task) and self.fits(task, seat)

    def may_begin(self, task: Task) -> bool:
        spec, now_ms = task.spec, self.stage.now_ms
        if task.state is not State.QUEUED or task.waits_for or task.not_before_ms > now_ms:
            return False
        if spec.concurrency_key is None:
            return True
        if spec.limit is not None and self.in_use()[spec.concurrency_key] >= spec.limit:
            return False
        return spec.rate is None or self._has_rate(spec)

    def _has_rate(self, spec: Spec) -> bool:
        assert spec.rate is not None
        begun = self.begun.get(spec.concurrency_key or "", [])
        since = self.stage.now_ms - spec.rate.per_ms
        return sum(began > since for began in begun) < spec.rate.count

    def fits(self, task: Task, seat: SeatView, freed: Mapping[str, int] = NOTHING) -> bool:
        spec = task.spec
        is_named = spec.assign_to in (None, seat.agent_id)
        can = set(spec.needed_capabilities) <= set(seat.capabilities)
        is_labelled = all(seat.labels.get(name) == value for name, value in spec.needed_labels.items())
        has_plugin = spec.plugin is None or spec.plugin in seat.plugins
        free = seat.free_slots if spec.slot == "" else seat.free_slot_kinds.get(spec.slot, 0)
        free += freed.get(spec.slot, 0)
        is_offered = self.declined.get((task.task_id, seat.agent_id), 0) <= self.stage.now_ms
        return (
            seat.state == "online"
            and is_named
            and can
            and is_labelled
            and has_plugin
            and free > 0
            and is_offered
        )

    # --- what must be true -----------------------------------------

    def judge(self) -> None:
        """After a pass: nobody who may have something idles, and every explanation says so truly (L25)."""
        board, now = self.stage.board, self.stage.now
        seats = board.view_agents(now)
        for task in board.open_tasks():
            if task.state is not State.QUEUED:
                continue
            found = board.explain(task.task_id, now)
            assert found is not None
            assert {one.agent_id for one in found.agents} == {seat.agent_id for seat in seats}, (
                f"{task.task_id} has an agent that no rule excludes: {found}"
            )
            for seat in seats:
                assert not self.may_have(task, seat), f"{task.task_id} could go to {seat.agent_id}"
            assert (found.rule is None) == self.may_begin(task), found
        self.judge_fleet(seats)

    def judge_fleet(self, seats: tuple[SeatView, ...]) -> None:
        board, now = self.stage.board, self.stage.now
        explained = board.explain_fleet(now)
        assert explained is not None
        queued = [task for task in board.open_tasks() if task.state is State.QUEUED]
        later = sum(task.not_before_ms > now.ms and not task.waits_for for task in queued)
        dependants = sum(bool(task.waits_for) for task in queued)
        assert sum(explained.waiting.values()) == len(queued)
        assert explained.waiting["dependency"] == dependants
        assert explained.waiting["later"] == later
        idle = {seat.agent_id for seat in seats if seat.is_connected and has_free_slot(seat)}
        assert {one.agent_id for one in explained.agents} == idle
        for agent in explained.agents:
            assert (agent.reason == "no_task_waits") == (not agent.lines)
            for line in agent.lines:
                found = board.explain(line.task_id, now)
                assert found is not None
                assert {one.agent_id: one.rule for one in found.agents}[agent.agent_id] == line.rule


def has_free_slot(seat: SeatView) -> bool:
    return seat.free_slots > 0 or any(free > 0 for free in seat.free_slot_kinds.values())


def is_within_rate(begun: list[int], count: int, per_ms: int) -> bool:
    """Whether no window of `per_ms` has more than `count` of these moments."""
    ends = list(zip(begun, begun[count:], strict=False))
    return all(last - first >= per_ms for first, last in ends) and all(a <= b for a, b in pairwise(begun))
