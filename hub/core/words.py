"""The words by which agents are found: what one can do, and what a task asks for, said in the same way.

Owns their spelling. Never looks at a task or an agent.
"""

from __future__ import annotations

from typing import Final

FLEET_WORD: Final = "fleet"
"""Of every agent that is no part of the hub itself."""


def agent_word(agent_id: str) -> str:
    return "a:" + agent_id


def capability_word(name: str) -> str:
    return "c:" + name


def plugin_word(name: str) -> str:
    return "p:" + name


def label_word(name: str, value: str) -> str:
    """A NUL between them: no other name and value spell the same word."""
    return f"l:{name}\0{value}"
