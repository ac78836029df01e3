"""(g) What a match costs against the length of the queue: one seat is free again, and somebody gets it.

Owns the boards and the clock around `Board.match`. No socket and no disk: what is measured is the decision of
a shipped board, with every agent busy and so many tasks waiting.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

from hub.core.board import Board
from hub.core.effects import Effect, Tell
from hub.core.events import AgentIdentified, Event, FrameHeard, Sender
from hub.core.policy import Policy
from hub.core.task import Now, Priority, Spec, Task
from hub.core.turn import Turn
from protocol.frames import TaskAccepted, TaskAssign, TaskComplete
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId

WALL_MS: Final = 1_800_000_000_000

SHAPES: Final[dict[str, Callable[[int, int], Spec]]] = {
    "one demand": lambda n, agents: Spec(priority=Priority(n % 4), submitted_by=f"s{n % 7}"),
    "a demand an agent": lambda n, agents: Spec(needed_labels={"n": str(n % agents)}),
    "a key an agent": lambda n, agents: Spec(concurrency_key=f"k{n % agents}", limit=5),
    "a key a task": lambda n, agents: Spec(concurrency_key=f"k{n}", limit=1),
}
"""What the n-th task asks for."""


class Busy:
    """A board whose agents all have something in hand, and the rest of the queue."""

    def __init__(self, agents: int, waiting: int, spec_of: Callable[[int, int], Spec]) -> None:
        self._ms = 1_000
        tasks = [
            Task(
                task_id=TaskId(f"task-{n:08}"),
                spec=spec_of(n, agents),
                version=1,
                created_wall_ms=WALL_MS + n,
            )
            for n in range(agents + waiting)
        ]
        self._board = Board(Policy(), epoch="bench", tasks=tasks, now=self._now())
        self._held: dict[int, tuple[TaskId, Generation | None]] = {}
        self._seqs: dict[int, int] = {}
        self._senders = {
            link: Sender(link, AgentId(f"a{link}"), InstanceId(f"a{link}/1"), 2)
            for link in range(1, agents + 1)
        }
        self._turn(*(self._identified(sender) for sender in self._senders.values()))
        while self._board.next_deadline() == 0:
            self._turn()

    def _identified(self, sender: Sender) -> AgentIdentified:
        labels = {"n": str(sender.link_id - 1)}
        return AgentIdentified(
            sender=sender, name=sender.agent_id, holding=(), boot_id="b", capabilities=("x",), labels=labels
        )

    def _now(self) -> Now:
        self._ms += 1
        return Now(self._ms, WALL_MS + self._ms)

    def _turn(self, *letters: Event) -> None:
        turn = Turn(self._board, letters, self._now(), [0.5] * (len(letters) + 1))
        self._note(turn.settle().effects)

    def _note(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Tell) and isinstance(effect.frame, TaskAssign):
                self._held[effect.link_id] = (effect.frame.task_id, effect.frame.generation)

    def match_s(self) -> float:
        """One agent ends what it has; the seconds in which the board gives it the next."""
        link, (task_id, generation) = next(iter(self._held.items()))
        del self._held[link]
        now, seq = self._now(), self._seqs.get(link, 0)
        self._seqs[link] = seq + 2
        for frame in (
            TaskAccepted(task_id=task_id, generation=generation, seq=Seq(seq + 1)),
            TaskComplete(task_id=task_id, generation=generation, seq=Seq(seq + 2)),
        ):
            self._board.handle(FrameHeard(sender=self._senders[link], frame=frame), now, 0.5)
        start = time.perf_counter()
        answer = self._board.match(now, 0.5)
        seconds = time.perf_counter() - start
        self._board.settle()
        self._note(answer.effects)
        assert link in self._held, "the seat that was free is given again"
        return seconds


def match_costs(shape: str, *, agents: int, lengths: tuple[int, ...], times: int) -> dict[int, list[float]]:
    """Seconds of a match at each length, in turns: A B C D, A B C D, …"""
    boards = {length: Busy(agents, length + times, SHAPES[shape]) for length in lengths}
    found: dict[int, list[float]] = {length: [] for length in lengths}
    gc.collect()
    gc.freeze()  # as the hub does with what it has loaded
    for _ in range(times):
        for length, board in boards.items():
            found[length].append(board.match_s())
    gc.unfreeze()
    return found
