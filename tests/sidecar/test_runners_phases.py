"""The standard phases: known by their sentence or its small form, and never a percentage that is made up."""

import pytest

from sidecar.runners.phases import PHASES, iteration, phase_named


def test_phases_go_upwards() -> None:
    assert sorted(PHASES.values()) == list(PHASES.values())


@pytest.mark.parametrize("name", ["Starting execution...", "starting execution", "starting_execution"])
def test_a_phase_is_known_by_its_sentence_and_by_its_small_form(name: str) -> None:
    assert phase_named(name) == ("Starting execution...", 10)


def test_a_phase_of_the_programs_own_has_no_percentage() -> None:
    assert phase_named("Brewing coffee") == ("Brewing coffee", None)


@pytest.mark.parametrize(
    ("done", "planned", "percent"), [(0, 4, 30), (1, 4, 40), (4, 4, 70), (9, 4, 70), (-1, 4, 30), (1, 0, 30)]
)
def test_the_loop_goes_from_30_to_70_by_iteration(done: int, planned: int, percent: float) -> None:
    assert iteration(done, planned) == percent
