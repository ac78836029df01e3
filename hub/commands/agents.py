"""`hub agents`: list, get, pause, resume, drain, disconnect.

Owns the words of the group.
"""

from __future__ import annotations

from typing import Any, Final

import click

from hub.commands.options import hub_options, opened

COLUMNS: Final = ("agent_id", "state", "slots", "free_slots", "last_seen", "capabilities", "running_tasks")
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
        output.rows(client.get("/api/agents")["agents"], COLUMNS, key="agent_id")


@command.command("get")
@click.argument("agent_id")
@hub_options
def get_agent(agent_id: str, **where: Any) -> None:
    """Show an agent, with its last connections."""
    output, client = opened(where)
    with client:
        agent = client.get(f"/api/agents/{agent_id}")
    if output.is_json:
        output.record(agent)
        return
    visits = agent.pop("connections")
    output.fields(agent)
    if visits:
        output.line("")
        output.table(visits, VISIT_COLUMNS)


def steering(word: str, says: str) -> click.Command:
    @click.command(word, help=says)
    @click.argument("agent_id")
    @hub_options
    def steer(agent_id: str, **where: Any) -> None:
        output, client = opened(where)
        with client:
            told = client.post(f"/api/agents/{agent_id}/{word}")
            output.rows([told], ("agent_id", "status"), key="agent_id")

    return steer


for name, sentence in {
    "pause": "Give an agent no new work.",
    "resume": "Give a paused agent work again.",
    "drain": "Let an agent finish what it has, then send it away.",
    "disconnect": "Close an agent's connection; it may come back.",
}.items():
    command.add_command(steering(name, sentence))
