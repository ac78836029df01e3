"""What one channel is told of one task, without a Redis: phases, shares, bounds."""

from __future__ import annotations

import pytest

from hub.core.task import RunSpec, Spec, State, Task
from hub.streams.progress import (
    BEGUN,
    LOOP_OVER,
    MESSAGE_LENGTH_MAX,
    PHASES,
    WAITING_MAX,
    Channel,
    Message,
    Said,
)
from protocol.ids import TaskId
from sidecar.runners.phases import PHASES as OF_SIDECARS

RUN = RunSpec(plugin_run_id="run-1", user_id=7)


def channel(*, is_run: bool = False) -> Channel:
    spec = Spec(stream_id="channel", run=RUN if is_run else None)
    return Channel(Task(task_id=TaskId("task-1"), spec=spec, state=State.QUEUED))


def test_hub_and_sidecar_mean_the_same_by_a_phase() -> None:
    assert set(OF_SIDECARS) == PHASES
    assert OF_SIDECARS[BEGUN[0]] == BEGUN[1]
    assert OF_SIDECARS[LOOP_OVER[0]] == LOOP_OVER[1]


def test_a_channel_begins_with_the_beginning() -> None:
    assert channel().waiting == [Message("Starting execution...", 10)]


@pytest.mark.parametrize(("percent", "told"), [(0, 30), (50, 50), (99, 69.6), (100, 70), (250, 70)])
def test_the_work_of_a_run_has_the_middle_of_the_scale(percent: float, told: float) -> None:
    at_work = channel(is_run=True)
    at_work.say(Said(progress=percent, message="research"))
    assert at_work.waiting[-1].progress == pytest.approx(told)


def test_a_program_that_names_phases_is_told_as_it_says_also_in_a_run() -> None:
    at_work = channel(is_run=True)
    at_work.say(Said(progress=80, message="Code pushed to GitHub"))
    assert at_work.waiting[-1] == Message("Code pushed to GitHub", 80)


def test_a_program_of_its_own_percentages_is_told_as_it_says() -> None:
    at_work = channel()
    at_work.say(Said(progress=50, message="half"))
    assert at_work.waiting[-1] == Message("half", 50)
    at_work.say(Said(progress=200))
    assert at_work.waiting[-1] == Message("half", 100)


def test_what_waits_never_falls_and_phases_are_not_replaced() -> None:
    """L102."""
    at_work = channel()
    at_work.say(Said(progress=70, message="Agentic loop complete"))
    at_work.say(Said(progress=20, message="back to work"))
    at_work.say(Said(message="still at it"))
    assert at_work.waiting == [
        Message("Starting execution...", 10),
        Message("Agentic loop complete", 70),
        Message("still at it", 70),
    ]


def test_the_bounds_of_what_waits_are_met_at_their_edges() -> None:
    at_work = channel()
    for number in range(WAITING_MAX + 5):
        at_work.say(Said(progress=10 + number, message="Container provisioned"))
    assert len(at_work.waiting) == WAITING_MAX
    assert at_work.waiting[-1].progress == 10 + WAITING_MAX + 4
    at_work.say(Said(message="x" * MESSAGE_LENGTH_MAX))
    assert at_work.waiting[-1].message == "x" * MESSAGE_LENGTH_MAX
    at_work.say(Said(message="y" * (MESSAGE_LENGTH_MAX + 1)))
    assert at_work.waiting[-1].message == "y" * MESSAGE_LENGTH_MAX


def test_only_a_crew_says_that_its_loop_is_over() -> None:
    crew, command = channel(is_run=True), channel()
    crew.end()
    command.end()
    assert crew.waiting[-1] == Message(*LOOP_OVER)
    assert command.waiting == [Message(*BEGUN)]
