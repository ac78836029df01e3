"""Coding agents of others, played by a stand-in: transcripts of what they print, and a bench that runs one.

Owns the transcripts, written after the agents' own documentation and sources, and no test.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from sidecar.runners.contract import Order, StepDone, Used
from tests.sidecar.runs import PROGRAMS, Bench, order

CLAUDE: list[Any] = [
    {"type": "system", "subtype": "init", "session_id": "sess-1", "model": "opus", "tools": ["Bash"]},
    {
        "type": "assistant",
        "message": {
            "id": "msg_1",
            "model": "opus",
            "content": [{"type": "text", "text": "I look first."}],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5},
        },
    },
    {
        "type": "assistant",
        "message": {
            "id": "msg_1",
            "content": [{"type": "tool_use", "name": "Bash", "input": {"command": "ls -la"}}],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 7},
        },
    },
    {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "is_error": True, "content": "no such folder"}]},
    },
    {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "All done.",
        "session_id": "sess-1",
        "num_turns": 2,
        "total_cost_usd": 0.25,
        "usage": {"input_tokens": 20, "cache_read_input_tokens": 180, "output_tokens": 30},
    },
]

CODEX: list[Any] = [
    {"type": "thread.started", "thread_id": "0199a213-81c0-7800"},
    {"type": "turn.started"},
    {"type": "item.started", "item": {"id": "i1", "type": "command_execution", "command": "make"}},
    {
        "type": "item.completed",
        "item": {
            "id": "i1",
            "type": "command_execution",
            "command": "make",
            "status": "failed",
            "exit_code": 2,
        },
    },
    {
        "type": "item.completed",
        "item": {"id": "i2", "type": "file_change", "changes": [{"path": "a.py", "kind": "update"}]},
    },
    {"type": "item.completed", "item": {"id": "i3", "type": "agent_message", "text": "First thoughts."}},
    {
        "type": "turn.completed",
        "usage": {"input_tokens": 100, "cached_input_tokens": 50, "output_tokens": 10},
    },
    {"type": "item.completed", "item": {"id": "i4", "type": "agent_message", "text": "Repaired."}},
    {"type": "turn.completed", "usage": {"input_tokens": 30, "cached_input_tokens": 0, "output_tokens": 4}},
]

GEMINI: list[Any] = [
    {"type": "init", "timestamp": "x", "session_id": "a1b2c3d4", "model": "pro"},
    {"type": "message", "role": "user", "content": "the prompt, said back"},
    {"type": "message", "role": "assistant", "content": "Let me ", "delta": True},
    {"type": "message", "role": "assistant", "content": "look.", "delta": True},
    {"type": "tool_use", "tool_name": "read_file", "tool_id": "t1", "parameters": {"file_path": "a.py"}},
    {
        "type": "tool_result",
        "tool_id": "t1",
        "status": "error",
        "error": {"type": "x", "message": "not there"},
    },
    {"type": "message", "role": "assistant", "content": "It is ", "delta": True},
    {"type": "message", "role": "assistant", "content": "fine.", "delta": True},
    {"type": "result", "status": "success", "stats": {"input_tokens": 40, "output_tokens": 6}},
]


class Agent(Bench):
    """A run of the stand-in under a preset. Each call plays its own part of the script."""

    def __init__(
        self, folder: Path, preset: str | None, *parts: list[Any], own: tuple[str, ...] = (), **more: Any
    ):
        self.folder = folder
        (folder / "script.json").write_text(json.dumps(parts))
        launcher = folder / "agent"
        launcher.write_text(
            f"#!{sys.executable} -S\nimport os, runpy\nos.environ['STANDIN_FOLDER'] = {str(folder)!r}\n"
            f"runpy.run_path({str(PROGRAMS / 'standin_agent.py')!r})\n"
        )
        launcher.chmod(0o755)
        super().__init__(folder / "state", (str(launcher), *own), preset=preset, **more)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "calls.jsonl").read_text().splitlines()]

    @property
    def used(self) -> list[Used]:
        return [said for said in self.reports if isinstance(said, Used)]

    @property
    def sessions(self) -> list[Any]:
        return [json.loads(said.output) for said in self.reports if isinstance(said, StepDone)]


def going_on(session: str = "sess-1", host: str = platform.node(), attempt: int = 1, later: int = 2) -> Order:
    """The order of a later attempt, with what the earlier one kept."""
    kept = {"session": session, "host": host, "attempt": attempt}
    return order("mend it", done=json.dumps([{"index": 0, "output": kept}]).encode(), attempt=later)
