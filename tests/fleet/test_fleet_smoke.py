"""A small fleet with ordinary trouble, and the words of `./dev fleet`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.checker import Verdict
from protocol.ids import Generation, TaskId
from sidecar.runners.contract import Order
from sidecar.runners.echo import EchoRunner
from tests.fleet.cli import main
from tests.fleet.fussy import moody
from tests.fleet.judge import Broken
from tests.fleet.stage import FleetStage, Outcome, Size


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_fleet_with_drains_kills_and_whims_ends_every_task_in_order(tmp_path: Path) -> None:
    outcome = await FleetStage(tmp_path, Size(tasks=300, sidecars=4, seed=5)).play()
    assert outcome.verdict.is_clean, outcome.verdict.violations
    assert not outcome.broken
    assert sum(outcome.states.values()) == 300
    assert outcome.states["completed"] > 200
    assert outcome.declined, "somebody had a whim"
    assert sum(outcome.blows.values()), "something was disturbed"


def test_what_was_broken_is_printed_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figures = dict.fromkeys(("starts", "waste", "records"), 1)
    found = Outcome(Verdict((), {}, figures), (Broken("slots", "three on two"),), {"completed": 1}, {}, 0)

    async def play(stage: FleetStage) -> Outcome:
        stage.notes.close()
        return found

    monkeypatch.setattr(FleetStage, "play", play)
    assert main(["--tasks", "1", "--sidecars", "1", "--seed", "7", "--keep", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "seed 7" in said
    assert "slots: three on two" in said
    assert (tmp_path / "fleet-7" / "driver.history").exists()


def test_the_fussy_sidecar_declines_now_and_then() -> None:
    accepts = moody(EchoRunner.accepts)
    orders = [Order(task_id=TaskId("task-1"), generation=Generation(number)) for number in range(1, 200)]
    answers = [accepts(EchoRunner(), order) for order in orders]
    assert any(answer is not None and answer.reason == "policy" for answer in answers)
    assert sum(answer is None for answer in answers) > 150
    assert answers == [accepts(EchoRunner(), order) for order in orders]
