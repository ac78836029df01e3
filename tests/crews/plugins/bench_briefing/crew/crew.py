"""A crew of one for the tests, in the shape that most people write: a `@CrewBase` class."""

from collections.abc import Mapping
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.project import CrewBase, agent, crew, task


@CrewBase
class Briefing:
    """Its agent returns what it was told to say."""

    agents: list[Any]
    tasks: list[Any]

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    @agent
    def reviewer(self) -> Agent:
        return Agent(role="Reviewer", goal="brief", backstory="A reviewer.", llm=self._llm)

    @task
    def brief(self) -> Task:
        wanted: Any = self.reviewer
        return Task(description="Brief on {topic}.", expected_output="a briefing", agent=wanted())

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)


def create_crew(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
    """The instance; whoever runs it asks for its crew."""
    return Briefing(llm)
