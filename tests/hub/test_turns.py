"""The ring file of turns: two segments that take turns, and go on after a crash."""

from __future__ import annotations

from pathlib import Path

from msgspec import Raw

from hub.core.dependencies import Outcome
from hub.core.events import TaskSubmitted, TimePassed
from hub.core.task import Fault, Now, Question, Spec, State, Task
from hub.turns import TurnKept, TurnsKept, events_of, read_turns
from protocol.ids import RequestId, TaskId

NOW = Now(ms=1, wall_ms=2)


def numbers(path: Path) -> list[int]:
    return [kept.n for kept in read_turns(path)]


def keep(turns: TurnsKept, count: int = 1) -> None:
    for _ in range(count):
        turns.keep([TimePassed()], NOW, [0.5, 0.5], [])


def test_a_next_life_goes_on_behind_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    for _ in range(3):
        turns = TurnsKept(path, 100_000)
        keep(turns, 2)
        turns.close()
    assert numbers(path) == [1, 2, 3, 4, 5, 6]


def test_a_line_torn_by_a_crash_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    turns = TurnsKept(path, 100_000)
    keep(turns, 2)
    turns.close()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        turns = TurnsKept(path, 100_000)
        keep(turns)
        turns.close()
        lines = whole[:cut].count(b"\n")
        assert numbers(path) == list(range(1, lines + 2)), f"cut at byte {cut}"


def test_the_ring_keeps_the_newest_within_its_bound(tmp_path: Path) -> None:
    """L20: across lives too, whichever segment the last one wrote to."""
    path = tmp_path / "ring"
    for life in range(7):
        turns = TurnsKept(path, 2_000)
        keep(turns, 30)
        turns.close()
        kept = numbers(path)
        assert kept[-1] == 30 * (life + 1)
        assert kept == list(range(kept[0], kept[-1] + 1)), "nothing is missing in between"
        assert sum(segment.stat().st_size for segment in tmp_path.iterdir()) <= 2_000
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_longer_than_a_block_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    letter = TaskSubmitted(task_id=TaskId("task-1"), spec=Spec(description="x" * 300_000))
    for _ in range(2):
        turns = TurnsKept(path, 10_000_000)
        turns.keep([letter], NOW, [0.5, 0.5], [])
        turns.close()
    assert numbers(path) == [1, 2]


def test_a_null_and_nothing_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    question = Question(request_id=RequestId("task-1-1"), prompt="?", answer=Raw(b"null"))
    row = Task(task_id=TaskId("task-1"), spec=Spec(inputs=Raw(b'{"a":1}')), question=question)
    letters = [
        TaskSubmitted(task_id=TaskId("task-2"), spec=Spec(inputs=inputs))
        for inputs in (None, Raw(b"null"), Raw(b"[1]"))
    ]
    turns = TurnsKept(path, 100_000)
    turns.keep(letters, NOW, [0.5] * 4, [row])
    turns.close()
    (kept,) = read_turns(path)
    assert isinstance(kept, TurnKept)
    assert events_of(kept) == letters
    assert kept.learned == (row,)


def test_what_was_looked_up_comes_back_with_the_turn(tmp_path: Path) -> None:
    """A replay knows what the board was told of tasks that it has not."""
    path = tmp_path / "ring"
    outcomes = (
        Outcome(task_id=TaskId("task-1"), state=State.DEAD_LETTER, how="strikes", whose_fault=Fault.POLICY),
        Outcome(task_id=TaskId("task-2"), state=None),
    )
    turns = TurnsKept(path, 100_000)
    turns.keep([TimePassed()], NOW, [0.5, 0.5], [], outcomes)
    turns.close()
    (kept,) = read_turns(path)
    assert isinstance(kept, TurnKept)
    assert kept.outcomes == outcomes
