"""Tools for plugins: asking a person in the middle of the work, and a key for what must happen once.

Owns what a plugin may import from us. Never knows who answers.
"""

from __future__ import annotations

from typing import Any, Final

from crewai.tools import BaseTool
from pydantic import BaseModel, Field

from crews.people import text_of
from crews.present import present

CHOICES_MAX: Final = 100
"""More is not a choice any more; a person could not read it."""


def idempotency_key(index: int | None = None) -> str:
    """The same for every attempt of one task's step: hand it to whatever must happen once.

    An interrupted step is done again by the next attempt. `index` is the step; without one, the current.
    """
    run = present()
    return f"{run.task_id}-step-{run.step if index is None else index}"


def never_cached(_arguments: Any = None, _result: Any = None) -> bool:
    """A person who is asked twice may answer twice."""
    return False


class Question(BaseModel):
    """What the agent fills in."""

    question: str = Field(description="The question, complete in itself: the person sees nothing else.")
    choices: list[str] | None = Field(
        default=None, description="The answers to choose from, if there are few."
    )


class AskHuman(BaseTool):
    """Asks a person and waits. `AskHuman(choices=["release", "hold"])` fixes what may be answered."""

    name: str = "ask_human"
    description: str = (
        "Ask a person a question and wait for the answer. Use it when only a person can decide."
    )
    args_schema: type[BaseModel] = Question
    cache_function: Any = never_cached
    choices: tuple[str, ...] = ()

    def _run(self, question: str, choices: list[str] | None = None) -> str:
        allowed = list(dict.fromkeys(self.choices or choices or ()))[:CHOICES_MAX]
        schema = {"type": "string", "enum": allowed} if allowed else {"type": "string"}
        return text_of(present().people.ask(question, schema))
