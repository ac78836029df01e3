"""A crew of three for the tests: settings say what is special about it."""

import atexit
import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.tools import BaseTool
from pydantic import BaseModel

from crews.tools import AskHuman, idempotency_key

TASKS = (("research_task", "Researcher"), ("write_task", "Writer"), ("review_task", "Reviewer"))


class Text(BaseModel):
    """A structured output."""

    summary: str
    sections: list[dict[str, str]] = []


class Key(BaseTool):
    """Says the key of the current step, the name of the process's variables, and where it stands."""

    name: str = "look_around"
    description: str = "Look around."

    def _run(self) -> str:
        print("KEY", idempotency_key())
        print("BYTECODE", "off" if sys.dont_write_bytecode else "on")
        print("ENVIRONMENT", *sorted(os.environ))
        return "looked"


class Thread(BaseTool):
    """Leaves a thread behind that never ends, and a hook that waits for it."""

    name: str = "leave_a_thread"
    description: str = "Leave it."

    def _run(self) -> str:
        thread = threading.Thread(target=threading.Event().wait)
        thread.start()
        atexit.register(thread.join)
        return "left"


class Mischief(BaseTool):
    """Does what no crew of a test may do unnoticed."""

    name: str = "mischief"
    description: str = "Do it."
    outside: str = ""

    def _run(self) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM):
            pass
        Path(self.outside).write_text("outside", encoding="utf-8")
        return "done"


def create_crew(settings: Mapping[str, Any], llm: Any = None, search_tool: Any = None) -> Any:
    """The crew, or the trouble that a test asks for."""
    misbehave(str(settings.get("build", "")))
    tools: list[BaseTool] = [AskHuman(), Key(), Thread(), Mischief(outside=str(settings.get("outside", "")))]
    if search_tool is not None:
        tools.append(search_tool)
    agents = {
        role: Agent(role=role, goal="work", backstory="A worker.", llm=llm, tools=tools) for _, role in TASKS
    }
    special: Mapping[str, Mapping[str, Any]] = settings.get("tasks", {})
    tasks = [
        Task(
            name=name,
            description=f"{name} about {{topic}}",
            expected_output="a text",
            agent=agents[role],
            output_pydantic=Text if settings.get("structured") == name else None,
            **special.get(name, {}),
        )
        for name, role in TASKS
    ]
    if settings.get("build") == "nothing":
        return None
    hierarchical = settings.get("process") == "hierarchical"
    return Crew(
        agents=list(agents.values()),
        tasks=tasks,
        process=Process.hierarchical if hierarchical else Process.sequential,
        manager_llm=llm if hierarchical else None,
        cache=True,
    )


def misbehave(how: str) -> None:
    """Trouble while the crew is built."""
    if how == "exit":
        sys.exit("no crew today")
    if how == "bug":
        raise KeyError("colour")
