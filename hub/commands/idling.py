"""`hub agents explain`: why agents with a free slot have nothing to do.

Owns how the answer is shown. What it says is the scheduler's.
"""

from __future__ import annotations

from typing import Any, Final

import click

from hub.commands.options import hub_options, opened

IDLE_COLUMNS: Final = ("agent_id", "free", "reason")
LINE_COLUMNS: Final = ("task_id", "waiting", "slot", "rule")


@click.command("explain")
@click.argument("agent_id", required=False)
@hub_options
def command(agent_id: str | None, **where: Any) -> None:
    """Say why agents with a free slot idle: all of them, or one."""
    output, client = opened(where)
    with client:
        found = client.get("/api/fleet/explain", agent=agent_id)
    if output.is_json:
        output.record(found)
        return
    output.fields(found["waiting"])
    output.line("")
    idle = [agent | {"free": said(agent["free"])} for agent in found["agents"]]
    output.table(idle, IDLE_COLUMNS)
    if found["agents_left_out"]:
        output.note(f"{found['agents_left_out']} more idle agents are not shown")
    for agent in idle if agent_id is not None else ():
        output.line("")
        output.table([line | {"rule": line["rule"] or "next"} for line in agent["lines"]], LINE_COLUMNS)
    if found["lines_left_out"]:
        output.note(f"{found['lines_left_out']} more lines of waiting tasks were not looked at")


def said(free: dict[str, int]) -> str:
    """Free slots by their kind."""
    return ", ".join(f"{number} {kind or 'ordinary'}" for kind, number in free.items())
