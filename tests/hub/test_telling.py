"""After the commit: nothing leaves the hub of which its history has not been written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from hub.core.board import Board
from hub.core.effects import EventLogged, PassBy, Tell
from hub.core.events import TaskSubmitted
from hub.core.policy import Policy
from hub.core.task import Now, Spec, Task
from hub.core.turn import Settled, Turn
from hub.history import History, read
from hub.metrics import Metrics
from hub.ports import Committed, CommittedEvent
from hub.telling import Teller
from protocol.frames import TaskAck
from protocol.ids import TaskId

if TYPE_CHECKING:
    from hub.feed import Feed
    from hub.registry import Registry
    from hub.telling import Keeper


class Door:
    """Stands where links and feed are: what stands in the file at the moment when something leaves."""

    def __init__(self, history_file: Path) -> None:
        self.epoch = "e1"
        self.seen: list[tuple[str, list[str]]] = []
        self._file = history_file

    def _leaves(self, what: str) -> None:
        self.seen.append((what, [record.f for record in read([self._file])]))

    def tell(self, effect: Tell) -> None:
        self._leaves("frame")

    def flush(self) -> None:
        self._leaves("flush")

    def publish(self, events: object) -> None:
        self._leaves("events")

    def wake(self) -> None:
        self._leaves("wake")


def committed_of(turn: Turn) -> Committed:
    logged = [change for change in turn.changes if isinstance(change, EventLogged)]
    return Committed(
        events=tuple(
            CommittedEvent(
                offset=offset,
                event=change.event,
                task_id=change.task_id,
                agent_id=change.agent_id,
                generation=change.generation,
                timestamp=change.timestamp,
                payload=change.payload,
            )
            for offset, change in enumerate(logged, 1)
        )
    )


@pytest.fixture
def submitted() -> Turn:
    board = Board(Policy(), epoch="e1", now=Now(0, 0))
    return Turn(board, [TaskSubmitted(task_id=TaskId("task-1"), spec=Spec())], Now(0, 0), [0.5, 0.5])


def teller(door: Any, history: History) -> Teller:
    return Teller(cast("Registry", door), cast("Feed", door), cast("Keeper", door), Metrics(), history)


def test_the_history_is_on_disk_before_anything_leaves(tmp_path: Path, submitted: Turn) -> None:
    """Killed in between, a peer would have a receipt of which nobody has written."""
    path = tmp_path / "hub.jsonl"
    door, history = Door(path), History(path)
    ack = Tell(1, TaskAck(task_id=TaskId("task-1"), status="accepted"))
    settled = Settled(effects=(ack,))
    teller(door, history).tell(submitted, settled, committed_of(submitted), "e1")
    assert {what for what, _ in door.seen} == {"frame", "flush", "events", "wake"}
    assert all(written == ["ack", "event"] for _, written in door.seen), door.seen
    history.close()


def test_without_a_history_nothing_is_written(tmp_path: Path, submitted: Turn) -> None:
    path = tmp_path / "hub.jsonl"
    path.touch()
    door = Door(path)
    teller(door, History(None)).tell(submitted, Settled(), committed_of(submitted), "e1")
    assert door.seen
    assert all(written == [] for _, written in door.seen)


class Listening:
    """An ear that notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[PassBy] = []
        self.seen: list[Task] = []

    def hear(self, effect: PassBy) -> None:
        self.heard.append(effect)

    def see(self, task: Task) -> None:
        self.seen.append(task)


def test_whoever_listens_sees_what_was_written_and_nothing_that_was_refused(
    tmp_path: Path, submitted: Turn
) -> None:
    path = tmp_path / "hub.jsonl"
    path.touch()
    door, ear = Door(path), Listening()
    told = Teller(
        cast("Registry", door), cast("Feed", door), cast("Keeper", door), Metrics(), History(None), ear=ear
    )
    told.tell(submitted, Settled(), Committed(refused=frozenset({TaskId("task-1")})), "e1")
    assert ear.seen == []
    told.tell(submitted, Settled(), committed_of(submitted), "e1")
    assert [task.task_id for task in ear.seen] == ["task-1"]
