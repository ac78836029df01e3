"""A process that listens to crews in every way that there is, and prints what it heard as one JSON object."""

import json
import os
import sys
import threading
from typing import Any

from plugins.quiet import CLEAN

os.environ.update(CLEAN)  # before the first import of crewai

from crewai import Agent, Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent

from crews.listening import by_bus, listening
from crews.offline import OfflineModel
from crews.script import load

CREWS = 10
ROLES = ("researcher", "writer", "reviewer")


class Noted:
    """A line that remembers, and may be broken."""

    def __init__(self, broken: bool = False) -> None:
        self.lines: list[dict[str, Any]] = []
        self.broken = broken

    def say(self, **members: Any) -> None:
        if self.broken and members.get("kind") == "model":
            raise ValueError("the line is broken")
        self.lines.append(members)


def crew(name: str) -> Crew:
    """Three agents who say the crew's name."""
    script = load({"*": [{"say": f"I am of {name}.", "usage": {"tokens_in": 10, "tokens_out": 1}}]})
    agents: list[BaseAgent] = [
        Agent(role=role, goal="work", backstory="b", llm=OfflineModel(role, script)) for role in ROLES
    ]
    tasks = [
        Task(name=f"{name}-{agent.role}", description="d", expected_output="e", agent=agent)
        for agent in agents
    ]
    return Crew(name=name, agents=agents, tasks=tasks)


def run(name: str, **ways: Any) -> dict[str, Any]:
    """One crew: what it said, what was heard of it."""
    line = Noted(broken=ways.pop("broken", False))
    made = crew(name)
    with listening(line, tasks=len(made.tasks), **ways) as listener:
        output = made.kickoff()
    return {"result": str(output), "lines": line.lines, "tokens": listener.tokens, "usage": listener.usage}


def at_once() -> dict[str, Any]:
    """Many crews in as many threads of one process."""
    found: dict[str, Any] = {}

    def keep(name: str) -> None:
        found[name] = run(name)

    threads = [threading.Thread(target=keep, args=(f"crew-{number}",)) for number in range(CREWS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> None:
    heard = {
        "sink": run("alone"),
        "bus": run("heard-by-bus", through=by_bus),
        "broken": run("unheard", broken=True),
        "at_once": at_once(),
    }
    told = os.dup(int(sys.argv[1]))
    with os.fdopen(told, "w") as pipe:
        json.dump(heard, pipe)


if __name__ == "__main__":
    main()
