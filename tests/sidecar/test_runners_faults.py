"""What is the machine's doing and not the work's, and what a sidecar cannot tell apart."""

from __future__ import annotations

import pytest

from protocol import frames as f
from protocol.ids import Generation, TaskId
from sidecar.endings import ending_fact
from sidecar.hands import Run
from sidecar.runners.contract import Cause, Failed, Order, Proof
from sidecar.runners.output import Output
from sidecar.runners.process import Ended
from sidecar.runners.reported import Said
from sidecar.runners.verdict import Verdict

ORDER = Order(task_id=TaskId("task-0000000000000001"), generation=Generation(1))


def verdict() -> Verdict:
    return Verdict(Said(ORDER.task_id, print), Output(print, 1_000), 60_000)


def test_a_run_that_lost_its_guard_crashed() -> None:
    """A program can kill its own guard: that must spend an attempt, or it would be tried for longer."""
    lost = verdict().of_a_command(Ended(why="lost", proof=Proof(signals=("KILL",))))
    assert isinstance(lost, Failed)
    assert (lost.cause, lost.retryable) == ("crash", True)


@pytest.mark.parametrize(
    ("cause", "fault"),
    [
        ("machine", "infrastructure"),
        ("timeout", "time"),
        ("work", None),
        ("crash", None),
        ("memory", None),
        ("setup", None),
        ("result_too_big", None),
    ],
)
def test_the_hub_is_told_whose_fault_it_was_where_that_can_be_known(cause: Cause, fault: str | None) -> None:
    fact = ending_fact(Run(ORDER), Failed(error="it was not to be", cause=cause), 1_000)
    assert isinstance(fact, f.TaskFailed)
    assert fact.fault == fault
