"""One run of a crew: its order, its ends, and that a failed one is never called complete."""

from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai import Agent, Crew, Task

from crews.offline import OfflineModel
from crews.order import Order
from crews.work import Loaded, Work, crew_of, inputs_of
from plugins.contract import Manifest, Plugin
from tests.crews.rig import PLUGINS, Rig, order
from tests.crews.test_people import TASK, people


def loaded(create: Any, *capabilities: str) -> Loaded:
    manifest = Manifest(name="bench_crew", version="1", capabilities=capabilities)
    return Loaded(plugin=Plugin(manifest=manifest, folder=PLUGINS / "bench_crew", schema={}), create=create)


def refuse(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
    raise AssertionError("nobody may build a crew here")


def test_a_run_ends_with_its_result_and_only_then_with_a_hundred_percent(rig: Rig) -> None:
    run = rig.run(order())
    assert run.ended() == 0, run.output
    assert run.lines[-1] == {"result": {"output": "The text is good."}, "progress": 100, "message": "Done"}
    percents = [line["progress"] for line in run.said("progress")]
    assert percents == sorted(percents)
    assert percents.count(100) == 1
    assert [line["step"] for line in run.said("step")] == [0, 1, 2]
    assert run.logged("crew")[0]["data"]["crew"] == "bench_crew"


def test_a_crew_that_failed_is_an_error_with_its_cause_and_exits_with_one(rig: Rig) -> None:
    """L70, L92: no result line, an exit code that is not 0, and the sentence that the model's failure had."""
    script = {"Writer": [{"fail": "the model is out of ink"}], "*": [{"say": "Done."}]}
    run = rig.run(order(script))
    assert run.ended() == 1
    assert not run.said("result")
    assert run.error == "the crew of bench_crew failed at task 2: OfflineFailure: the model is out of ink"
    assert run.said("error")[0]["retryable"] is True
    assert "Traceback" in run.output
    assert max(line["progress"] for line in run.said("progress")) < 100


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("bug", "bench_crew could not build its crew: KeyError: 'colour'"),
        ("exit", "bench_crew could not build its crew: SystemExit: no crew today"),
        (
            "nothing",
            "bench_crew could not build its crew: TypeError: create_crew returned NoneType, not a Crew",
        ),
    ],
)
def test_a_plugin_that_builds_no_crew_says_why_and_is_not_tried_again(rig: Rig, how: str, cause: str) -> None:
    """L83: each trouble of a plugin keeps its own sentence."""
    run = rig.run(order(settings={"build": how}))
    assert run.ended() == 1
    assert run.error.startswith(cause)
    assert run.said("error")[0]["retryable"] is False


def test_a_thread_that_a_tool_left_does_not_keep_the_run(rig: Rig) -> None:
    """L75: nobody waits for it, and it ends with its process."""
    script = {"Writer": [{"tool": "leave_a_thread"}, {"say": "Left."}], "*": [{"say": "Done."}]}
    run = rig.run(order(script))
    assert run.ended() == 0, run.output
    assert run.said("step")[1]["output"]["raw"] == "Left."


def test_a_missing_setting_is_named_by_the_placeholder_that_wants_it(rig: Rig) -> None:
    wanted = order()
    wanted["settings"] = {}
    run = rig.run(wanted)
    assert run.ended() == 1
    assert "topic" in run.error
    assert run.said("error")[0]["retryable"] is False


def test_an_offline_plugin_without_a_script_says_so() -> None:
    somebody, line, stopping = people()
    bare = Plugin(manifest=Manifest(name="bare", version="1"), folder=PLUGINS, schema={})
    wanted = Order(task_id=TASK, plugin="bare", keys={"llm_model": "offline"})
    code = Work(wanted, line, stopping, somebody).perform(Loaded(plugin=bare, create=refuse))
    assert code == 1
    assert "the plugin has no offline.yaml" in str(line.lines[-1]["error"])


def test_without_a_model_the_error_names_the_setting_that_is_missing() -> None:
    somebody, line, stopping = people()

    def need(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
        raise ValueError(f"a model is needed, not {llm}")

    code = Work(Order(task_id=TASK, plugin="bench_crew"), line, stopping, somebody).perform(loaded(need))
    assert code == 1
    error = line.lines[-1]["error"]
    assert "SIDECAR_MODEL" in error
    assert "a model is needed, not None" in error
    assert line.lines[-1]["retryable"] is False


def test_a_stop_that_came_before_the_work_is_obeyed_at_its_beginning() -> None:
    somebody, line, stopping = people()
    stopping.ask("cancel")
    code = Work(Order(task_id=TASK, plugin="bench_crew"), line, stopping, somebody).perform(loaded(refuse))
    assert code == 0
    assert line.lines == [{"stopped": True}]


def test_whatever_a_crew_raises_after_a_stop_is_not_its_failure() -> None:
    somebody, line, stopping = people()

    def stop(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
        stopping.ask("timeout")
        raise SystemExit(3)

    code = Work(Order(task_id=TASK, plugin="bench_crew"), line, stopping, somebody).perform(loaded(stop))
    assert code == 0
    assert line.lines == [{"stopped": True}]


def test_a_briefing_plugin_that_returns_no_briefing_has_failed(rig: Rig) -> None:
    """L70: what a model wrote instead is no result."""
    run = rig.run(order(plugin="bench_briefing"))
    assert run.ended() == 1
    assert run.error == "the crew's output is no briefing: summary must be a text that is not empty"
    assert run.said("error")[0]["retryable"] is True
    good = {"summary": "In short.", "sections": [{"title": "One", "content": "More."}]}
    script = {"Reviewer": [{"say": good}], "*": [{"say": "Done."}]}
    assert rig.run(order(script, plugin="bench_briefing")).result == good


def test_a_result_that_is_too_big_is_an_error_that_says_how_big(rig: Rig) -> None:
    script = {"Reviewer": [{"say": "x" * 262_200, "chunks": 4}], "*": [{"say": "Done."}]}
    run = rig.run(order(script))
    assert run.ended() == 1
    assert "at most 262144 may travel" in run.error
    assert run.said("error")[0]["retryable"] is False


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # crewai's own look at its agents
def test_a_crew_or_an_object_that_makes_one_is_taken_and_nothing_else() -> None:
    agent = Agent(role="R", goal="g", backstory="b", llm=OfflineModel("R"))
    crew = Crew(agents=[agent], tasks=[Task(description="d", expected_output="e", agent=agent)])

    class Made:
        def crew(self) -> Crew:
            return crew

    assert crew_of(crew) is crew
    assert crew_of(Made()) is crew
    for other in (None, "crew", object(), Made):
        with pytest.raises(TypeError):
            crew_of(other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # crewai's own look at its agents
def test_each_agent_of_a_crew_gets_a_model_of_its_own() -> None:
    somebody, line, stopping = people()
    given: list[Any] = []

    def create(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
        given.append(llm)
        agents: list[Any] = [Agent(role=role, goal="g", backstory="b", llm=llm) for role in ("One", "Two")]
        return Crew(agents=agents, tasks=[Task(description="d", expected_output="e", agent=agents[0])])

    wanted = Order(task_id=TASK, plugin="bench_crew", keys={"llm_model": "offline"})
    crew = Work(wanted, line, stopping, somebody)._crew(loaded(create))
    assert len({id(model) for model in (*given, *(agent.llm for agent in crew.agents))}) == 3
    assert crew.name == "bench_crew"


def test_the_text_of_the_task_fills_its_placeholder_unless_a_setting_does() -> None:
    wanted = Order(task_id=TASK, plugin="p", description="look", settings={"topic": "cats"})
    assert inputs_of(wanted) == {"description": "look", "topic": "cats"}
    wanted = Order(task_id=TASK, plugin="p", description="look", settings={"description": "mine"})
    assert inputs_of(wanted) == {"description": "mine"}
    assert "secret" not in repr(Order(task_id=TASK, plugin="p", keys={"llm_api_key": "secret"}))
