"""The simulation in the small, and what must be true of the simulation itself."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import hub.core.board
import hub.core.turn
import protocol.codec
import protocol.conversation
import sidecar.desk
import sidecar.journal
from tests.simulation import hublink, hubside, schedules, sidecarlink, sidecarside, witness
from tests.simulation.cli import Failure, run_seed
from tests.simulation.coverage import Tally
from tests.simulation.invariants import INVARIANTS
from tests.simulation.mutation import ROOT, read_mutants

LIGHT_A_TEST = 40
HEAVY_A_TEST = 2

FORMERLY_FAILING = (
    (0, False),
    (45, True),
    (94, False),
    (264, False),
    (278, True),
    (289, False),
    (354, False),
    (554, False),
    (779, False),
    (1152, True),
    (2029, False),
    (12066, False),
    (16016, False),
    (18053, False),
    (18799, False),
    (19909, False),
)
"""Every (seed, heavy) that ever broke an invariant. What it found is in the message of the commit that added
it."""

SHIPPED = {
    "Board": hub.core.board,
    "Turn": hub.core.turn,
    "Desk": sidecar.desk,
    "JournalBook": sidecar.journal,
    "HubConversation": protocol.conversation,
    "AgentConversation": protocol.conversation,
    "FrameDecoder": protocol.codec,
}


FORMERLY_FAILING_IN_QUEUES = (
    43,
    175,
    189,
    224,
    324,
    385,
    489,
    1058,
    1154,
    1469,
    2742,
    3346,
    4643,
    4886,
    6199,
    9007,
    19410,
)
"""The same of light schedules in which something is asked of the queue."""


def passed(seed: int, *, heavy: bool, plain: bool = False) -> Tally:
    outcome = run_seed(seed, heavy=heavy, plain=plain)
    if isinstance(outcome, Failure):
        pytest.fail(f"seed {seed}{' --heavy' if heavy else ''}: {outcome.why}\n{outcome.trace}")
    return outcome


@pytest.mark.parametrize("first", range(0, 5 * LIGHT_A_TEST, LIGHT_A_TEST))
def test_every_invariant_holds_in_light_schedules(first: int) -> None:
    """L1 to L25 as far as they are races: the small run of what `./dev sim` does at length."""
    for seed in range(first, first + LIGHT_A_TEST):
        passed(seed, heavy=False)


@pytest.mark.parametrize("first", range(0, 3 * HEAVY_A_TEST, HEAVY_A_TEST))
def test_every_invariant_holds_in_heavy_schedules(first: int) -> None:
    for seed in range(first, first + HEAVY_A_TEST):
        passed(seed, heavy=True)


@pytest.mark.parametrize(("seed", "heavy"), FORMERLY_FAILING)
def test_a_seed_that_once_failed_passes(seed: int, heavy: bool) -> None:
    """Nothing was asked of the queue then."""
    passed(seed, heavy=heavy, plain=True)


@pytest.mark.parametrize("seed", FORMERLY_FAILING_IN_QUEUES)
def test_a_seed_that_once_failed_with_a_queue_passes(seed: int) -> None:
    passed(seed, heavy=False)


def test_the_same_seed_is_the_same_run() -> None:
    first, second = passed(7, heavy=False), passed(7, heavy=False)
    assert first.counts == second.counts
    assert (first.events, first.commits, first.virtual_ms) == (
        second.events,
        second.commits,
        second.virtual_ms,
    )


def test_all_invariants_are_checked() -> None:
    """The 34 of the list; two of answers: none is lost (35), none is given to another question (36); two of
    letters: an end is posted with its commit, once (37), and no status is set back (38); thirteen of the
    queue (39 to 51); one of schedules, which fire once (52); and who is the best of those that fit (53).
    """
    assert sorted(INVARIANTS) == list(range(1, 54))
    assert schedules.a_schedule_fires_once in INVARIANTS.values()


def test_the_world_runs_the_shipped_deciders() -> None:
    assert issubclass(witness.WatchedBoard, hub.core.board.Board)
    assert vars(hubside)["Turn"] is hub.core.turn.Turn
    assert vars(hublink)["HubConversation"] is protocol.conversation.HubConversation
    assert vars(sidecarside)["Desk"] is sidecar.desk.Desk
    assert vars(sidecarside)["JournalBook"] is sidecar.journal.JournalBook
    assert vars(sidecarlink)["AgentConversation"] is protocol.conversation.AgentConversation
    for name, module in SHIPPED.items():
        path = Path(inspect.getfile(module)).resolve()
        assert path.is_relative_to(ROOT), f"{name} comes from {path}"
        assert "tests" not in path.relative_to(ROOT).parts, f"{name} comes from the tests"


def test_the_simulation_holds_no_copy_of_a_decider() -> None:
    """A double of the board would prove things about the double."""
    for path in Path(__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                assert node.name not in SHIPPED, (
                    f"{path.name} defines its own {node.name}: import the shipped one"
                )


def test_every_mutant_changes_a_line_that_is_there() -> None:
    mutants = read_mutants()
    assert len(mutants) >= 20
    for mutant in mutants:
        text = (ROOT / mutant.file).read_text("utf-8")
        assert text.count(mutant.old) == 1, f"{mutant.name}: its line stands {text.count(mutant.old)} times"
        assert mutant.new != mutant.old
