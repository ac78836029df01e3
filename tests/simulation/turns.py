"""A ring file of turns, told to a board again: what a real hub decided, decided once more, and judged.

Owns following a file from its last start and asking, after every turn, what one row can show.
Needs no world around it: letters, times and rolls are all that a board ever hears.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from hub.core.board import Board
from hub.core.effects import TaskSaved
from hub.core.task import Task, check_task
from hub.core.turn import Turn
from hub.turns import Kept, RefusedKept, StartKept, TurnKept, events_of, read_turns
from protocol.ids import TaskId
from tests.simulation.invariants import Broken, judge_row_alone


class Replay:
    """One board through the turns of a file. Before the first start in it nothing can be told."""

    def __init__(self) -> None:
        self.board: Board | None = None
        self.rows: dict[TaskId, Task] = {}
        self.turns = 0
        self.letters: Counter[str] = Counter()
        self.skipped = 0
        self._turn: Turn | None = None
        self._strikes_max = 0

    def run(self, kept: Iterable[Kept]) -> None:
        """All of it. Raises Broken, or the board's own AssertionError, at the turn that shows it."""
        for line in kept:
            match line:
                case StartKept():
                    self._begin(line)
                case TurnKept():
                    self._take(line)
                case RefusedKept():
                    self._refuse(line)
        self._settle()

    def _begin(self, start: StartKept) -> None:
        """The hub died in the turn before: whether that was written, only what was loaded can say."""
        self._turn = None
        loaded = start.loaded
        self._strikes_max = start.policy.strikes_max
        self.rows |= {task.task_id: task for task in loaded.tasks}
        self.board = Board(
            start.policy,
            epoch=loaded.epoch,
            generation_floor=loaded.generation_floor,
            tasks=loaded.tasks,
            instances=loaded.instances,
            agents=loaded.agents,
            now=start.now,
        )

    def _take(self, kept: TurnKept) -> None:
        if self.board is None:
            self.skipped += 1
            return
        self._settle()
        self.board.learn(kept.learned, kept.outcomes)
        self.turns += 1
        self.letters.update(letter.name for letter in kept.letters)
        self._turn = Turn(self.board, events_of(kept), kept.now, kept.rolls)

    def _refuse(self, kept: RefusedKept) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        if kept.is_abandoned:
            turn.abandon(kept.found)
        else:
            self._judge(turn, kept.refused)
            turn.settle(kept.refused, kept.found)
        self.rows |= {task.task_id: task for task in kept.found}

    def _settle(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            self._judge(turn, frozenset())
            turn.settle()

    def _judge(self, turn: Turn, refused: frozenset[TaskId]) -> None:
        assert self.board is not None, "a turn is of a board"
        for change in turn.changes:
            if isinstance(change, TaskSaved) and change.task.task_id not in refused:
                row = change.task
                check_task(row)
                before = self.rows.get(row.task_id)
                judge_row_alone(before, row, self.board.generation_floor, self._strikes_max)
                self.rows[row.task_id] = row


def replay_file(path: Path) -> int:
    """Tell a board what the file says, and say what came of it."""
    replay = Replay()
    try:
        replay.run(read_turns(path))
    except (Broken, AssertionError) as broken:
        print(f"turn {replay.turns}: {broken}")
        return 1
    if replay.board is None:
        print("the ring has no start of a hub in it any more: nothing can be replayed")
        return 1
    print(f"{replay.turns:,} turns, every invariant held ({replay.skipped:,} before the first start)")
    for name, count in replay.letters.most_common():
        print(f"  {count:9,}  {name}")
    states = Counter(row.state.value for row in replay.rows.values())
    print("tasks: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    return 0
