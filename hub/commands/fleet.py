"""Steering agents, one or many: `hub agents pause|resume|drain|disconnect`.

Owns which agents are meant (by name, by label, all), the count before many, and the account after. What may
be steered is the hub's to say.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import CommandFailed, Exit
from console.values import in_path
from hub.commands.bulk import bulk_options, make_sure
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from hub.commands.client import HubClient

WORDS: Final = {
    "pause": "Give agents no new work. What they have goes on.",
    "resume": "Give paused or drained agents work again.",
    "drain": "Let agents finish what they have, then send them away. Ends with their next start.",
    "disconnect": "Close agents' connections; they may come back.",
}

COLUMNS: Final = ("agent_id", "status")


def labels_of(words: tuple[str, ...]) -> dict[str, str]:
    """`k=v`, each of which an agent must carry."""
    labels = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r} is not of the form name=value.")
        labels[name] = value
    return labels


def many(client: HubClient, labels: dict[str, str]) -> list[str]:
    """Connected agents that carry all of these labels, without those inside the hub."""
    from hub.core.runs import INNER_PREFIX

    return sorted(
        agent["agent_id"]
        for agent in client.get("/api/agents")["agents"]
        if agent["connected"]
        and not agent["agent_id"].startswith(INNER_PREFIX)
        and labels.items() <= agent["labels"].items()
    )


def tell(client: HubClient, word: str, names: list[str]) -> list[dict[str, Any]]:
    """Each in turn; one that has gone meanwhile holds up no other."""
    told = []
    for name in names:
        try:
            answer = client.post(f"/api/agents/{in_path(name)}/{word}")
        except CommandFailed as refused:
            if refused.code == Exit.UNREACHABLE or len(names) == 1:
                raise
            answer = {"agent_id": name, "status": "refused", "error": refused.message}
        told.append(answer)
    return told


def steering(word: str, says: str) -> click.Command:
    """One of the four."""

    @click.command(word, help=says)
    @click.argument("agents", nargs=-1, metavar="[AGENT]...")
    @click.option("--label", "labels", multiple=True, metavar="K=V", help="All that carry this label.")
    @click.option("--all", "is_all", is_flag=True, help="All that are connected.")
    @bulk_options
    @hub_options
    def steer(
        agents: tuple[str, ...],
        labels: tuple[str, ...],
        is_all: bool,
        dry_run: bool,
        yes: bool,
        **where: Any,
    ) -> None:
        if (bool(agents) + bool(labels) + is_all) != 1:
            raise CommandFailed("Name agents, or say --label K=V, or --all.", Exit.USAGE)
        wanted = labels_of(labels)
        output, client = opened(where)
        with client:
            names = list(dict.fromkeys(agents)) or many(client, wanted)
            if dry_run:
                would = [{"agent_id": name, "status": f"would {word}"} for name in names]
                output.rows(would, COLUMNS, key="agent_id")
                return
            if not agents and names:
                question = f"{word.capitalize()} {len(names)} agents ({', '.join(names[:5])}"
                make_sure(f"{question}{', …' if len(names) > 5 else ''})?", is_sure=yes)
            told = tell(client, word, names)
            output.rows(told, COLUMNS, key="agent_id")
        if any(answer["status"] == "refused" for answer in told):
            sys.exit(Exit.FAILED)

    return steer
