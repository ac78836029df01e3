"""What this crew delivers, and what is wrong with a text that is not it.

Owns the form of a briefing. Knows no agent.
"""

import json
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SUMMARY_LENGTH_MAX: Final = 300
"""It stands on one card, and whoever shows it relies on the length."""

SECTIONS_MAX: Final = 10
"""One a topic."""


class Section(BaseModel):
    """What is new about one topic."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    title: str = Field(min_length=1)
    content: str = Field(min_length=1)


class Briefing(BaseModel):
    """The whole of it."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    summary: str = Field(min_length=1, max_length=SUMMARY_LENGTH_MAX)
    sections: list[Section] = Field(min_length=1, max_length=SECTIONS_MAX)


def judge(text: str) -> tuple[bool, str]:
    """Whether a text is a briefing: then its JSON, else what an agent has to repair."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return False, "Your answer had no JSON. Answer with a member summary and a member sections."
    try:
        found = Briefing.model_validate(json.loads(text[start : end + 1]))
    except ValidationError as error:
        return False, f"Repair these and answer with the whole JSON again: {mistakes_in(error)}."
    except (ValueError, RecursionError) as error:
        return False, f"Your answer is not JSON ({error}). Answer with the whole JSON again."
    return True, found.model_dump_json()


def mistakes_in(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
