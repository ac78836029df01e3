"""`hub agents`: list, get, explain, and the words that steer them.

Owns how agents are shown. Steering is `fleet.py`'s.
"""

from __future__ import annotations

from typing import Any, Final

import click

from console.output import words_of
from console.values import in_path
from hub.commands.fleet import WORDS, steering
from hub.commands.idling import command as explain
from hub.commands.options import hub_options, opened

COLUMNS: Final = (
    "agent_id",
    "state",
    "why",
    "slots",
    "free_slots",
    "sdk",
    "plugins",
    "capabilities",
    "last_seen",
    "running_tasks",
)
VISIT_COLUMNS: Final = ("at", "version", "code", "side", "duration_ms", "reason")


@click.group("agents")
def command() -> None:
    """Look at agents and steer them."""


@command.command("list")
@hub_options
def list_agents(**where: Any) -> None:
    """List every agent that ever connected."""
    output, client = opened(where)
    with client:
        agents = client.get("/api/agents")["agents"]
    output.rows(agents if output.is_json else [shown(agent) for agent in agents], COLUMNS, key="agent_id")


def shown(agent: dict[str, Any]) -> dict[str, Any]:
    """As a line of a table: plugins with their versions, slots with their kinds, and why it rests."""
    versions, kinds, free = agent["plugin_versions"], agent["slot_kinds"], agent["free_slot_kinds"]
    return {
        **agent,
        "why": why(agent),
        "plugins": [f"{name} {versions[name]}" if name in versions else name for name in agent["plugins"]],
        "slots": " ".join([str(agent["slots"]), *(f"{kind}={kinds[kind]}" for kind in kinds)]),
        "free_slots": " ".join([str(agent["free_slots"]), *(f"{kind}={free[kind]}" for kind in free)]),
    }


def why(agent: dict[str, Any]) -> str:
    """Beside a state that somebody may wonder about."""
    resting = agent["resting"]
    if agent["state"] == "resting" and resting is not None:
        until = resting.get("until")
        return resting["reason"] if until is None else f"{resting['reason']} until {words_of(until, 'at')}"
    if agent["state"] == "quarantined":
        return f"{agent['quarantine_reason']}, {agent['quarantine_left_ms'] // 1000 + 1} s left"
    return ""


@command.command("get")
@click.argument("agent_id")
@hub_options
def get_agent(agent_id: str, **where: Any) -> None:
    """Show an agent, with its last connections."""
    output, client = opened(where)
    with client:
        agent = client.get(f"/api/agents/{in_path(agent_id)}")
    if output.is_json:
        output.record(agent)
        return
    visits = agent.pop("connections")
    output.fields(agent)
    if visits:
        output.line("")
        output.table(visits, VISIT_COLUMNS)


command.add_command(explain)
for name, sentence in WORDS.items():
    command.add_command(steering(name, sentence))
