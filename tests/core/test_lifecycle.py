"""The table itself: complete, and silent about what is not in it."""

from __future__ import annotations

from hub.core.happenings import HolderLost
from hub.core.lifecycle import MOVES, move_of
from hub.core.task import FINAL, State


def test_every_state_has_its_moves_and_final_states_have_none() -> None:
    assert set(MOVES) == set(State)
    assert all(not MOVES[state] for state in FINAL)
    assert move_of(State.COMPLETED, HolderLost()) is None


def test_a_state_knows_whether_it_is_final_or_in_somebody_s_hands() -> None:
    assert {state for state in State if state.is_final} == FINAL
    assert {state for state in State if state.is_held} == set(State) - FINAL - {State.QUEUED}
