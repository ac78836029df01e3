"""A crew of three whose form a test names; it shows every kind of thing that a crew does."""

import subprocess
from collections.abc import Mapping
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.tools import BaseTool
from pydantic import BaseModel

from crews.tools import AskHuman

STEPS = (("research_task", "researcher"), ("write_task", "writer"), ("review_task", "reviewer"))


class Tale(BaseModel):
    """What a structured step makes."""

    title: str
    words: int


class LookUp(BaseTool):
    """Finds something, always."""

    name: str = "look_up"
    description: str = "Look something up."

    def _run(self, query: str) -> str:
        return f"found {query}"


class Broken(BaseTool):
    """Fails, always."""

    name: str = "broken"
    description: str = "It is broken."

    def _run(self) -> str:
        raise ConnectionError("the line is dead")


class LeaveBehind(BaseTool):
    """Starts a process and does not wait for it."""

    name: str = "leave_behind"
    description: str = "Leave a process behind."

    def _run(self) -> str:
        with subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL) as left:
            left.returncode = 0  # so that nothing here waits for it
            return f"process {left.pid}"


def not_too_short(output: Any) -> tuple[bool, Any]:
    """Refuses the first try."""
    return (True, output.raw) if "longer" in output.raw else (False, "make it longer")


def create_crew(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Crew:
    """The crew in the form that was asked for."""
    form = settings.get("form", "sequential")
    tools: list[BaseTool] = [LookUp(), Broken(), LeaveBehind(), AskHuman()]
    agents: list[BaseAgent] = [
        Agent(role=role, goal="work", backstory=f"A {role}.", llm=llm, tools=tools, max_iter=5)
        for _, role in STEPS
    ]
    tasks = [
        Task(
            name=name,
            description=f"{name} about {{topic}}",
            expected_output="a text",
            agent=None if form == "hierarchical" else agent,
            async_execution=form == "at_once" and name != "review_task",
            guardrail=not_too_short if form == "guarded" and name == "write_task" else None,
            output_pydantic=Tale if form == "structured" and name == "write_task" else None,
        )
        for (name, _), agent in zip(STEPS, agents, strict=True)
    ]
    if form != "hierarchical":
        return Crew(agents=agents, tasks=tasks)
    return Crew(agents=agents, tasks=tasks[:1], process=Process.hierarchical, manager_llm=llm)
