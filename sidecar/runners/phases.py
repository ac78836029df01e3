"""The standard phases of agentic work, as callers of streams know them: a sentence and a percentage each.

Owns the table. A program names a phase by its sentence or by the sentence in small letters with underscores.
"""

from __future__ import annotations

from typing import Final

PHASES: Final[dict[str, float]] = {
    "Starting execution...": 10,
    "Container provisioned": 20,
    "Starting agentic loop": 30,
    "Agentic loop complete": 70,
    "Code pushed to GitHub": 80,
    "Files uploaded to S3": 90,
    "Deployment complete": 95,
}

ITERATIONS_FROM: Final = 30.0
ITERATIONS_TO: Final = 70.0
"""Between these lies the loop itself, by iteration."""


def _key(name: str) -> str:
    return name.strip().rstrip(".").lower().replace(" ", "_")


_BY_KEY: Final = {_key(sentence): (sentence, percent) for sentence, percent in PHASES.items()}


def phase_named(name: str) -> tuple[str, float | None]:
    """The sentence and percentage of a phase; a phase of the program's own has no percentage."""
    return _BY_KEY.get(_key(name), (name, None))


def iteration(done: int, planned: int) -> float:
    """How far the loop is after `done` of `planned` iterations."""
    share = min(1.0, max(0.0, done / planned)) if planned > 0 else 0.0
    return ITERATIONS_FROM + (ITERATIONS_TO - ITERATIONS_FROM) * share
