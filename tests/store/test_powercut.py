"""The power-cut proof, in small: `./dev powercut` is the same with hundreds of cuts."""

from __future__ import annotations

import pytest

from tests.store.powercut import run_cuts

CUTS = 40


def test_nothing_acknowledged_is_lost_with_durability_full() -> None:
    """D1: a push answered 2xx survives the power."""
    report = run_cuts("full", CUTS)
    assert (report.lost, report.broken, report.new_epochs) == (0, [], 0)
    assert report.cuts == CUTS
    assert report.acknowledged > CUTS, "there was something to lose"


def test_the_control_with_durability_normal_loses_and_says_so() -> None:
    """A test that cannot fail proves nothing: the same cuts must hurt the weaker setting, and never break the
    file.
    """
    report = run_cuts("normal", CUTS)
    assert report.lost > 0
    assert report.broken == []
    assert report.new_epochs > 0, "cursors of the lost history are reset"


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_cuts_are_drawn_from_their_seed(durability: str) -> None:
    first, second = (run_cuts("full" if durability == "full" else "normal", 3, seed=7) for _ in range(2))
    assert first == second
