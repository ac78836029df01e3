"""Researcher, writer, reviewer: one after the other, from topics to a briefing.

Owns who works on what. What each is told stands in `config/`, the form of the result in `briefing.py`.
"""

from collections.abc import Mapping
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.project import CrewBase, agent, crew, task

from .briefing import judge

SEARCHES_MAX = 24
"""Turns of the researcher: two searches for each of ten topics, and time to write."""


def is_briefing(output: Any) -> tuple[bool, Any]:
    """crewai asks this of the last answer, and gives the agent another try with the sentence."""
    return judge(output.raw)


@CrewBase
class DailyNewsDigest:
    """The crew; crewai reads the files of `config/`, and collects the agents and the tasks."""

    agents_config: Any = "config/agents.yaml"
    tasks_config: Any = "config/tasks.yaml"
    agents: list[BaseAgent]
    tasks: list[Task]

    def __init__(self, llm: Any, search_tool: Any) -> None:
        self.llm = llm
        self.tools = [] if search_tool is None else [search_tool]

    @agent
    def researcher(self) -> Agent:
        config = self.agents_config["researcher"]
        return Agent(**config, llm=self.llm, tools=self.tools, max_iter=SEARCHES_MAX)

    @agent
    def writer(self) -> Agent:
        return Agent(**self.agents_config["writer"], llm=self.llm)

    @agent
    def reviewer(self) -> Agent:
        return Agent(**self.agents_config["reviewer"], llm=self.llm)

    @task
    def research_task(self) -> Task:
        return Task(**self.tasks_config["research_task"])

    @task
    def write_task(self) -> Task:
        return Task(**self.tasks_config["write_task"])

    @task
    def review_task(self) -> Task:
        return Task(**self.tasks_config["review_task"], guardrail=is_briefing)

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)


def create_crew(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
    """The crew for these settings; crewai puts them into the texts of `config/` when it starts."""
    return DailyNewsDigest(llm, search_tool)
