"""The models of a run: one for each agent, built from the order and from nothing else."""

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai import Agent, Crew, Process, Task

from crews.model import Models, agents_of, models_for, provider, script_of
from crews.offline import OfflineModel
from crews.order import Order
from crews.script import BadScript
from tests.crews.rig import PLUGINS
from tests.crews.test_people import TASK

# Building a crew reads members of crewai's own that it has declared deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BENCH = PLUGINS / "bench_crew"


def offline(**members: Any) -> Order:
    wanted: dict[str, Any] = {"keys": {"llm_model": "offline"}, "metadata": {"offline": {"*": ["Hello."]}}}
    return Order(task_id=TASK, plugin="bench_crew", **(wanted | members))


def crew(given: Any, **of_crew: Any) -> Crew:
    agents: list[Any] = [
        Agent(role=f"{role}\n", goal="g", backstory="b", llm=given) for role in ("One", "Two")
    ]
    tasks = [Task(description="d", expected_output="e", agent=agent) for agent in agents]
    return Crew(agents=agents, tasks=tasks, **of_crew)


def models(order: Order) -> Models:
    found = models_for(order, BENCH)
    assert found is not None
    return found


def test_no_two_agents_share_a_model() -> None:
    """crewai counts the tokens of a shared model once for each agent that has it."""
    of_order = models(offline(attempt=2))
    team = crew(of_order.given, process=Process.hierarchical, manager_llm=of_order.given)
    of_order.part(team)
    held = [agent.llm for agent in agents_of(team)] + [team.manager_llm]
    assert len({id(model) for model in held}) == 3
    assert all(model is not of_order.given for model in held)
    assert [model.role for model in held] == ["One", "Two", "Crew Manager"]
    assert {model.attempt for model in held} == {2}


def test_a_model_that_a_plugin_brought_itself_is_left_alone() -> None:
    of_order = models(offline())
    own = OfflineModel("own")
    team = crew(own)
    of_order.part(team)
    assert all(agent.llm is own for agent in agents_of(team))


def test_a_crew_that_plans_has_a_planner_without_asking_for_a_key() -> None:
    of_order = models(offline())
    team = crew(of_order.given, planning=True)
    of_order.part(team)
    assert isinstance(team.planning_llm, OfflineModel)


def test_the_task_s_own_script_comes_before_the_plugin_s() -> None:
    assert script_of(offline(metadata=None), BENCH) == BENCH / "offline.yaml"
    assert script_of(offline(metadata={"offline": True}), BENCH) == BENCH / "offline.yaml"
    assert script_of(offline(), BENCH) == {"*": ["Hello."]}
    with pytest.raises(BadScript, match=r"has no offline\.yaml"):
        script_of(offline(metadata=None), Path(PLUGINS))


def test_a_provider_s_model_gets_the_key_of_the_order_and_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """L40: the key goes to the model object; no variable of the process has it."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keys = {
        "llm_model": "openai/gpt-4o-mini",
        "llm_api_key": "canary-1",
        "llm_base_url": "http://127.0.0.1:9/v1",
    }
    build = provider(keys)
    first, second = build("One"), build("Two")
    assert first is not second
    assert first.stream is True
    assert first.api_key == "canary-1"
    assert "127.0.0.1:9" in str(first.base_url)
    assert "canary-1" not in os.environ.values()


def test_without_a_name_there_is_no_model() -> None:
    assert models_for(Order(task_id=TASK, plugin="p"), BENCH) is None
    assert models_for(Order(task_id=TASK, plugin="p", keys={"llm_model": ""}), BENCH) is None
