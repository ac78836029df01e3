"""What one run said, for tests to look at.

Owns the reading of the lines: result, error, progress, usage, activity. Never speaks with a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Transcript:
    """A run that has ended."""

    def __init__(self, lines: Sequence[dict[str, Any]], exit_code: int, output: str) -> None:
        self.lines = tuple(lines)
        self.exit_code = exit_code
        self.output = output

    def __repr__(self) -> str:
        how = "stopped" if self.stopped else (self.error or f"result {self.result!r}")
        return f"<a run of {len(self.lines)} lines, exit code {self.exit_code}: {how}>"

    @property
    def result(self) -> Any:
        return self._last("result")

    @property
    def error(self) -> str | None:
        said = self._last("error")
        return None if said is None else str(said)

    @property
    def is_retryable(self) -> bool:
        """Whether the error may pass when the task is tried again."""
        return bool(self._last("retryable"))

    @property
    def stopped(self) -> bool:
        """Whether it stopped because it was told to."""
        return bool(self._last("stopped"))

    @property
    def progress(self) -> list[float]:
        """Every percentage that was said."""
        return [line["progress"] for line in self.lines if "progress" in line]

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines if "message" in line]

    @property
    def usage(self) -> dict[str, Any]:
        """The last word on what was used."""
        said: dict[str, Any] | None = self._last("usage")
        return said or {}

    @property
    def questions(self) -> list[str]:
        return [line["ask"] for line in self.lines if "ask" in line]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The outputs that were kept: `done` of a later attempt."""
        return [line["output"] for line in self.lines if "step" in line]

    @property
    def text(self) -> str:
        """What the models streamed, without their thoughts: a paragraph for each call."""
        calls: dict[str, str] = {}
        for line in self.logs("chunk"):
            if not line["data"].get("thought"):
                call = line["data"]["call"]
                calls[call] = calls.get(call, "") + line["log"]
        return "\n\n".join(calls.values())

    def logs(self, kind: str) -> list[dict[str, Any]]:
        """The entries of this kind, in their order."""
        return [line for line in self.lines if "log" in line and line.get("kind") == kind]

    def began(self, kind: str) -> list[str]:
        """The names of the tasks, agents, tools or model calls that began, in their order."""
        return [
            line["data"][kind] for line in self.logs(kind) if line.get("data", {}).get("state") == "began"
        ]

    def _last(self, member: str) -> Any:
        return next((line[member] for line in reversed(self.lines) if member in line), None)
