"""Inputs of a task made from the body of a webhook: `"{issue.title}"` is a member of it.

Owns the little language of it and nothing more: a text that is one place takes what is there as it is, other
texts get what is there as text. Pure; no expressions, no code.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

PLACE: Final = re.compile(r"\{([A-Za-z_][\w-]*(?:\.[\w-]+)*)\}")

DEPTH_MAX: Final = 16
"""Of a template: a person writes it."""


class MemberMissing(ValueError):
    """The body lacks what the template names."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the body has no member {path}")
        self.path = path


def is_too_deep(template: Any, depth: int = 0) -> bool:
    if depth > DEPTH_MAX:
        return True
    members: list[Any] = []
    if isinstance(template, dict):
        members = list(template.values())
    elif isinstance(template, list):
        members = template
    return any(is_too_deep(member, depth + 1) for member in members)


def filled(template: Any, body: Any) -> Any:
    """The template with every place taken from the body."""
    if isinstance(template, str):
        return filled_text(template, body)
    if isinstance(template, dict):
        return {name: filled(member, body) for name, member in template.items()}
    if isinstance(template, list):
        return [filled(member, body) for member in template]
    return template


def filled_text(template: str, body: Any) -> Any:
    whole = PLACE.fullmatch(template)
    if whole is not None:
        return found_at(whole[1], body)
    return PLACE.sub(lambda place: as_text(found_at(place[1], body)), template)


def found_at(path: str, body: Any) -> Any:
    """The member of the body that a path names; numbers count in lists."""
    here = body
    for step in path.split("."):
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        else:
            raise MemberMissing(path)
    return here


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
