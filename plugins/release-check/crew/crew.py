"""An inspector who uses a tool, and a coordinator who asks a person: the person's word is the result.

Owns who works on what, and that no model can decide. What each is told stands in `config/`.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.project import CrewBase, agent, crew, task

from .tools import CHOICES, AskDecision, CheckVersion
from .version import findings


@CrewBase
class ReleaseCheck:
    """The crew; crewai reads the files of `config/`, and collects the agents and the tasks."""

    agents_config: Any = "config/agents.yaml"
    tasks_config: Any = "config/tasks.yaml"
    agents: list[BaseAgent]
    tasks: list[Task]

    def __init__(self, settings: Mapping[str, Any], llm: Any) -> None:
        self.llm = llm
        self.version = settings["version"]
        self.check = partial(findings, self.version, settings.get("previous"), settings["changes"])
        self.ask = AskDecision(version=self.version, check=self.check)

    @agent
    def inspector(self) -> Agent:
        tools = [CheckVersion(check=self.check)]
        return Agent(**self.agents_config["inspector"], llm=self.llm, tools=tools)

    @agent
    def coordinator(self) -> Agent:
        return Agent(**self.agents_config["coordinator"], llm=self.llm, tools=[self.ask])

    @task
    def inspect_task(self) -> Task:
        return Task(**self.tasks_config["inspect_task"])

    @task
    def decide_task(self) -> Task:
        return Task(**self.tasks_config["decide_task"], guardrail=self.is_decided)

    def is_decided(self, _output: Any) -> tuple[bool, Any]:
        """The result is what the person said; a model that only claims an answer has to go and ask."""
        if self.ask.decision not in CHOICES:
            return False, f"Ask a person with the tool ask_human; the answer must be {' or '.join(CHOICES)}."
        result = {"decision": self.ask.decision, "version": self.version, "findings": self.check()}
        return True, json.dumps(result)

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)


def create_crew(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
    """The crew for these settings; it searches nothing."""
    return ReleaseCheck(settings, llm)
