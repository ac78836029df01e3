"""A short act of chaos with real processes, and the words of `./dev chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.checker import Verdict
from hub.verdicts import Violation
from tests.chaos.cli import acts_of, main
from tests.chaos.driver import Act, Outcome, Stage


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_short_act_of_chaos_loses_and_repeats_nothing(tmp_path: Path) -> None:
    outcome = await Stage(tmp_path, Act("smoke", 3, True, 7)).play()
    assert outcome.verdict.is_clean, outcome.verdict.violations
    assert sum(outcome.kills.values()) >= 3
    assert outcome.verdict.figures["pushed"] > 0
    assert outcome.verdict.figures["waste"] == 0


@pytest.mark.parametrize(
    ("nemesis", "kills"), [("both", [(15, True), (15, False)]), ("hub", [(30, True)]), ("all", [(30, False)])]
)
def test_the_kills_are_shared_between_hubs_alone_and_everything(
    nemesis: str, kills: list[tuple[int, bool]]
) -> None:
    assert [(act.kills, act.hub_only) for act in acts_of(nemesis, 30, 1)] == kills


def outcome_with(*violations: Violation) -> Outcome:
    names = ("tasks", "pushed", "recovered", "starts", "waste", "events_seen", "resets", "records")
    counts = {one.rule: 1 for one in violations}
    return Outcome(Verdict(violations, counts, dict.fromkeys(names, 1)), {"hub": 1}, {"cut": 1})


def test_a_violation_is_printed_with_its_rule_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def play(stage: Stage) -> Outcome:
        stage.notes.close()
        return outcome_with(Violation("C5", "was pushed and never ended", "task-1"))

    monkeypatch.setattr(Stage, "play", play)
    assert main(["--kills", "2", "--seed", "5", "--keep", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "seed 5" in said
    assert "lost 1, double terminal states 0" in said
    assert "task-1 was pushed and never ended" in said
    assert (tmp_path / "chaos-5-hubs-only" / "driver.history").exists()
