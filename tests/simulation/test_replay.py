"""A ring file of turns, written by a hub, replays: the same letters give the same rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.core.task import Task
from hub.turns import TurnsKept, read_turns
from tests.simulation.cli import main
from tests.simulation.turns import Replay
from tests.simulation.world import World

RING_BYTES = 8 * 1024 * 1024


def kept_of(path: Path, seed: int, *, bytes_max: int = RING_BYTES) -> World:
    world = World(seed)
    world.hub.turns = TurnsKept(path, bytes_max)
    world.run()
    world.hub.turns.close()
    return world


def life_of(row: Task) -> tuple[object, ...]:
    """What no clock has a part in: deadlines are moved to another clock at each start."""
    result = None if row.result is None else bytes(row.result)
    return (row.state, row.version, row.generation, row.attempt, row.strikes, row.ending, result)


@pytest.mark.parametrize("seed", range(12))
def test_a_replay_ends_with_the_same_rows(tmp_path: Path, seed: int) -> None:
    world = kept_of(tmp_path / "turns.jsonl", seed)
    replay = Replay()
    replay.run(read_turns(tmp_path / "turns.jsonl"))
    if world.hub.life == 1:  # of the last turn before a crash nobody knows whether it was written
        lived = {task_id: life_of(row) for task_id, row in world.truth.rows.items()}
        assert {task_id: life_of(row) for task_id, row in replay.rows.items()} == lived


def test_a_ring_that_has_lost_its_start_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept_of(tmp_path / "turns.jsonl", 1, bytes_max=4_000)
    ended = main(["replay", str(tmp_path / "turns.jsonl")])
    assert "nothing can be replayed" in capsys.readouterr().out or ended == 0


def test_a_file_of_turns_is_replayed_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept_of(tmp_path / "turns.jsonl", 2)
    assert main(["replay", str(tmp_path / "turns.jsonl")]) == 0
    assert "every invariant held" in capsys.readouterr().out
