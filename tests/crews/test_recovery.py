"""Going on where an earlier attempt ended: what is kept, what is given back, and when it is not."""

import signal
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai import Agent, Crew, Process, Task
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput
from pydantic import BaseModel

from crews.line import encoded
from crews.offline import OfflineModel
from crews.order import Step
from crews.recovery import STEP_BYTES_MAX, CannotResume, dumped, keep, restored, resume
from tests.crews.rig import Rig, Running, order
from tests.crews.test_people import TASK, Noted

# Building a crew reads members of crewai's own that it has declared deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

THREE = ("research_task", "write_task", "review_task")


class Text(BaseModel):
    """A structured output."""

    title: str


def crew(**of_crew: Any) -> Crew:
    agent = Agent(role="R", goal="g", backstory="b", llm=OfflineModel("R"))
    tasks = of_crew.pop("tasks", None) or [
        Task(name=name, description=name, expected_output="e", agent=agent) for name in THREE
    ]
    return Crew(agents=[agent], tasks=tasks, **of_crew)


def step(index: int, **output: Any) -> Step:
    kept = {"description": "d", "raw": f"text {index}", "agent": "R", "name": THREE[index]} | output
    return Step(index=index, output=kept)


def again(run: Running, **members: Any) -> dict[str, Any]:
    """The order of the next attempt, with everything that the first one left."""
    done = [{"index": line["step"], "output": line["output"]} for line in run.said("step")]
    return order(attempt=2, generation=2, done=done, **members)


def test_a_crew_that_crashed_goes_on_at_its_first_unfinished_task(rig: Rig) -> None:
    """A segfault in the third of three tasks: the next attempt does only that one, with what came before."""
    crashing = {"Reviewer": [{"crash": "SEGV"}]}
    script = {"Researcher": [{"say": "Facts."}], "Writer": [{"say": "A text."}]}
    first = rig.run(order(script | crashing))
    assert first.ended() == -signal.SIGSEGV
    assert [line["step"] for line in first.said("step")] == [0, 1]
    second = rig.run(again(first, metadata={"offline": script | {"Reviewer": [{"say": "Good."}]}}))
    assert second.ended() == 0, second.output
    assert second.calls() == ["Reviewer"]
    assert second.result == {"output": "Good."}
    assert second.lines[0] == {"event": {"resumed_from": 2}, "message": "Resumed at task 3/3"}
    assert second.logged("resumed")[0]["data"] == {"index": 2, "of": 3}
    percents = [line["progress"] for line in second.said("progress")]
    assert percents == sorted(percents)
    assert min(percents) >= 66, "what was done is not taken back from the bar"
    assert [line["step"] for line in second.said("step")] == [2]


def test_the_resumed_task_is_told_what_the_finished_ones_said(rig: Rig) -> None:
    """The offline model counts a token for four characters of what it is told."""
    told = []
    for length in (4, 8_000):
        done = [{"index": n, "output": step(n, raw="x" * length).output} for n in (0, 1)]
        run = rig.run(order({"*": [{"say": "Good."}]}, attempt=2, done=done))
        assert run.calls() == ["Reviewer"]
        told.append(run.said("usage")[-1]["usage"]["tokens_in"])
    assert told[1] - told[0] >= 2 * 7_900 // 4


def test_a_run_that_crashed_after_its_last_task_only_tells_the_result(rig: Rig) -> None:
    done = [{"index": n, "output": step(n).output} for n in range(3)]
    run = rig.run(order({"*": [{"fail": "nobody may be called"}]}, attempt=2, done=done))
    assert run.ended() == 0, run.output
    assert run.result == {"output": "text 2"}
    assert not run.calls()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"process": "hierarchical"}, "a hierarchical crew cannot go on in the middle"),
        ({"tasks": {"review_task": {"async_execution": True}}}, "task 3 runs beside the others"),
    ],
)
def test_a_crew_that_cannot_go_on_begins_again_and_says_so(
    rig: Rig, settings: dict[str, Any], reason: str
) -> None:
    done = [{"index": 0, "output": step(0).output}]
    run = rig.run(order({"*": [{"say": "Done."}]}, attempt=2, done=done, settings=settings))
    assert run.ended() == 0, run.output
    assert run.lines[0] == {"event": {"resumed_from": 0}, "message": "Begins again at task 1/3"}
    assert reason in run.logged("resumed")[0]["log"]
    assert run.calls()[0] in {"Researcher", "Crew Manager"}


def test_only_an_unbroken_beginning_is_given_back() -> None:
    assert [one.raw for one in restored(crew(), [step(2), step(0)])] == ["text 0"]
    assert [one.raw for one in restored(crew(), [step(1), step(0)])] == ["text 0", "text 1"]
    with pytest.raises(CannotResume, match="its first task was not among"):
        restored(crew(), [step(1)])


def test_what_does_not_fit_the_plugin_any_more_is_not_given_back() -> None:
    """The plugin may have changed between two attempts."""
    with pytest.raises(CannotResume, match="task 1 was dig_task then and is research_task now"):
        restored(crew(), [step(0, name="dig_task")])
    with pytest.raises(CannotResume, match="does not fit any more"):
        restored(crew(), [step(0, raw={"no": "text"})])
    line = Noted()
    assert resume(crew(), [step(0, agent=None)], line, TASK) == 0
    assert line.lines[0]["event"] == {"resumed_from": 0}


@pytest.mark.parametrize("kept", [None, "a text", 3, ["a list"]])
def test_what_another_kind_of_agent_kept_makes_a_crew_begin_again(rig: Rig, kept: Any) -> None:
    """A command that took the first attempt keeps any JSON: that must not end the task."""
    run = rig.run(order({"*": [{"say": "Done."}]}, attempt=2, done=[{"index": 0, "output": kept}]))
    assert run.ended() == 0, run.output
    assert run.lines[0]["event"] == {"resumed_from": 0}
    assert "what was kept of task 1 is no output of a crew" in run.logged("resumed")[0]["log"]


def test_a_conditional_task_makes_a_crew_begin_again() -> None:
    agent = Agent(role="R", goal="g", backstory="b", llm=OfflineModel("R"))
    first = Task(name="research_task", description="d", expected_output="e", agent=agent)
    maybe = ConditionalTask(description="d", expected_output="e", agent=agent, condition=lambda _: True)
    with pytest.raises(CannotResume, match="task 2 is conditional"):
        restored(crew(tasks=[first, maybe]), [step(0)])


def test_a_first_attempt_says_nothing_about_going_on() -> None:
    line = Noted()
    assert resume(crew(process=Process.sequential), None, line, TASK) == 0
    assert resume(crew(process=Process.sequential), [], line, TASK) == 0
    assert line.lines == []


def test_a_structured_output_comes_back_as_what_it_was() -> None:
    agent = Agent(role="R", goal="g", backstory="b", llm=OfflineModel("R"))
    task = Task(name="research_task", description="d", expected_output="e", agent=agent, output_pydantic=Text)
    output = TaskOutput(description="d", raw="{}", agent="R", name=task.name, pydantic=Text(title="One"))
    kept = dumped(output)
    assert kept["pydantic"] == {"title": "One"}
    assert "messages" not in kept
    found = restored(crew(tasks=[task]), [Step(index=0, output=kept)])
    assert found[0].pydantic == Text(title="One")


def test_an_output_at_the_bound_is_kept_and_a_bigger_one_is_done_again() -> None:
    def output(size: int) -> TaskOutput:
        return TaskOutput(description="d", raw="x" * size, agent="R")

    around = len(encoded(dumped(output(0))))
    line = Noted()
    keep(line, 0, output(STEP_BYTES_MAX - around))
    keep(line, 0, output(STEP_BYTES_MAX - around + 1))
    assert line.lines[0]["step"] == 0
    assert "another attempt would do it again" in line.lines[1]["log"]
