"""The two tools of this crew: the check, and the question to a person.

Owns what an agent may do. What a person answers is kept here, so that no model has to repeat it rightly.
"""

from collections.abc import Callable
from typing import Any

from crewai.tools import BaseTool
from pydantic import BaseModel

from crews.tools import AskHuman

CHOICES = ("release", "hold")


class Nothing(BaseModel):
    """The check knows the settings; an agent has nothing to fill in."""


class CheckVersion(BaseTool):
    """Runs the check, on the settings of the task and nothing else."""

    name: str = "check_version"
    description: str = "Check whether the version fits its changes. Returns the findings, one a line."
    args_schema: type[BaseModel] = Nothing
    check: Callable[[], list[str]]

    def _run(self) -> str:
        return "\n".join(self.check())


class AskDecision(AskHuman):
    """Asks a person, names the version and the findings whatever the agent forgot, and keeps the answer."""

    choices: tuple[str, ...] = CHOICES
    version: str
    check: Callable[[], list[str]]
    decision: str = ""

    def _run(self, question: str, choices: list[str] | None = None) -> Any:
        facts = "; ".join(self.check())
        answer = super()._run(f"Version {self.version}: {facts}. {question}", choices)
        self.decision = answer.strip().lower()
        return answer
