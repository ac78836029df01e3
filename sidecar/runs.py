"""The runs that are alive in this process: started, told to stop, given answers, and reported on.

Owns the choice of the runner for an order, one task of the event loop a run, and the bound on talk that
nobody has listened to yet. Never decides whether a run may start (`desk.py` does); a runner's own fault
becomes an `Outcome`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from protocol.ids import Generation, RequestId, TaskId
from sidecar.events import DeskEvent, RunEnded, RunReported, TalkDropped
from sidecar.runners.contract import (
    Answers,
    AnswersAtOnce,
    Asked,
    Failed,
    Order,
    Rejection,
    Report,
    Runner,
    StepDone,
    StopReason,
    StopSignal,
)

TALK_WAITING_MAX: Final = 2_000
"""Reports of all runs that wait for the next turn; above it talk is dropped and counted, facts never are."""

log = logging.getLogger("sidecar.runs")


class _Live(NamedTuple):
    stop: StopSignal
    answers: Answers


class Runs:
    """Every live run by task and generation."""

    def __init__(self, runners: Sequence[Runner], post: Callable[[DeskEvent], None]) -> None:
        assert runners, "a sidecar without a runner would reject everything"
        self._runners = tuple(runners)
        self._quick = {id(one): one for one in self._runners if isinstance(one, AnswersAtOnce)}
        self._post = post
        self._live: dict[tuple[TaskId, Generation], _Live] = {}
        self._talk_waiting = 0
        self._dropped: dict[tuple[TaskId, Generation], int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(runner.name for runner in self._runners)

    def accepts(self, order: Order) -> Rejection | None:
        """The first runner's reason, when none of them would take it."""
        reasons = []
        for runner in self._runners:
            reason = runner.accepts(order)
            if reason is None:
                return None
            reasons.append(reason)
        return reasons[0]

    def start(self, order: Order, tasks: asyncio.TaskGroup) -> None:
        """Begin a run; its end is posted as `RunEnded`, exactly once."""
        runner = next(one for one in self._runners if one.accepts(order) is None)
        quick = self._quick.get(id(runner))
        outcome = None if quick is None else quick.at_once(order)
        if outcome is not None:
            self._post(RunEnded(order.task_id, order.generation, outcome))
            return
        live = _Live(StopSignal(), Answers())
        self._live[order.task_id, order.generation] = live
        tasks.create_task(self._run(runner, order, live), name=f"run {order.task_id}.{order.generation}")

    def stop(self, task_id: TaskId, generation: Generation, reason: StopReason, grace_ms: int) -> None:
        """Tell a run to end. One that has ended by itself meanwhile has nothing to be told."""
        live = self._live.get((task_id, generation))
        if live is not None:
            live.stop.set(reason, grace_ms)

    def give(self, task_id: TaskId, generation: Generation, request_id: RequestId, value: bytes) -> None:
        """Hand a person's answer to the run that asked."""
        live = self._live.get((task_id, generation))
        if live is not None:
            live.answers.put(request_id, value)

    def listened(self) -> None:
        """A turn has taken everything that was said; what was dropped before it is told now."""
        self._talk_waiting = 0
        for (task_id, generation), count in self._dropped.items():
            self._post(TalkDropped(task_id, generation, count))
        self._dropped.clear()

    async def _run(self, runner: Runner, order: Order, live: _Live) -> None:
        key = (order.task_id, order.generation)

        def report(said: Report) -> None:
            if isinstance(said, Asked | StepDone):
                self._post(RunReported(*key, said))
            elif self._talk_waiting < TALK_WAITING_MAX:
                self._talk_waiting += 1
                self._post(RunReported(*key, said))
            else:
                self._dropped[key] = self._dropped.get(key, 0) + 1

        try:
            outcome = await runner.run(order, report, live.stop, live.answers)
        except Exception as error:
            log.exception("the runner broke", extra={"task_id": order.task_id, "runner": runner.name})
            outcome = Failed(error=f"the runner broke: {type(error).__name__}: {error}", cause="crash")
        del self._live[key]
        self._post(RunEnded(*key, outcome))
