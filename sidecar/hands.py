"""One task in the sidecar's hands: the run that is alive, and the newer one that waits until it is gone.

Owns what the desk must know of a run and forgets when the process dies. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from protocol.frames import Held, Holding, Identify
from protocol.ids import Generation, RequestId, TaskId
from sidecar.memory import Memory
from sidecar.runners.contract import Asked, Order, StopReason


class Run:
    """One generation, from its acceptance to its end."""

    __slots__ = (
        "generation",
        "is_started",
        "order",
        "questions",
        "steps_bytes",
        "stop_reason",
        "task_id",
    )

    def __init__(self, order: Order) -> None:
        self.order = order
        self.task_id: TaskId = order.task_id
        self.generation: Generation = order.generation
        self.is_started = False
        self.stop_reason: StopReason | None = None
        """Why it was told to stop; a cancel outranks the others, because somebody waits for its proof."""
        self.questions: dict[RequestId, Asked] = {}
        """Asked and not answered yet. The hub knows the first: it takes one question of a run at a time."""
        self.steps_bytes = 0

    def asks(self, asked: Asked) -> bool:
        """Whether the hub is to hear of it now; what is asked beside an open question waits for its turn."""
        is_first = not self.questions
        self.questions.setdefault(asked.request_id, asked)
        return is_first

    def is_open(self, request_id: RequestId) -> bool:
        """Whether this is the question that the hub knows."""
        return next(iter(self.questions), None) == request_id

    @property
    def state(self) -> Literal["accepted", "running", "asking"]:
        """The word for `holding`."""
        if self.questions:
            return "asking"
        return "running" if self.is_started else "accepted"


class Hand:
    """One seat. It is free when the last process of the task is gone."""

    __slots__ = ("running", "waiting")

    def __init__(self, running: Run) -> None:
        self.running = running
        self.waiting: Run | None = None

    def runs(self) -> tuple[Run, ...]:
        return (self.running,) if self.waiting is None else (self.running, self.waiting)


def seats_of(card: Identify) -> int:
    """All seats, of whatever kind."""
    return card.slots + sum(card.slot_kinds.values())


def why_no_seat(order: Order, hands: Mapping[TaskId, Hand], card: Identify) -> str | None:
    """The wire's word when no slot is free of the kind that the order takes: the pools are apart, so work for
    a gpu never waits behind other work, nor takes its place.
    """
    seats = card.slot_kinds.get(order.slot, 0) if order.slot else card.slots
    if not seats:
        return "missing_capability"
    taken = sum(
        hand.running.order.slot == order.slot for task_id, hand in hands.items() if task_id != order.task_id
    )
    return "busy" if taken >= seats else None


def held_of(holding: Iterable[Holding]) -> tuple[Held, ...]:
    """The same, as a heartbeat lists it."""
    return tuple(Held(task_id=one.task_id, generation=one.generation) for one in holding)


def holding_of(hands: Iterable[Hand], memory: Memory) -> tuple[Holding, ...]:
    """Every generation with a live run, or with a fact that has no receipt yet."""
    listed = {
        (run.task_id, run.generation): Holding(
            task_id=run.task_id, generation=run.generation, state=run.state
        )
        for hand in hands
        for run in hand.runs()
    }
    for fact in memory.facts.values():
        task_id, generation = fact.frame.task_id, fact.frame.generation
        assert generation is not None, "the desk fences every fact"
        if (task_id, generation) not in listed:
            listed[task_id, generation] = Holding(
                task_id=task_id, generation=generation, state="result_pending"
            )
    return tuple(listed.values())
