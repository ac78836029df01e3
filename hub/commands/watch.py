"""`hub watch`: the live feed in a terminal, of one task to its end or of everything.

Owns which task is meant and how far back a watcher begins; `following.py` stays with one task. Never changes
anything: whoever stops watching has stopped nothing.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import CommandFailed, Exit, Output
from console.values import duration_ms
from hub.commands.options import hub_options, opened
from hub.commands.steps import say_event

if TYPE_CHECKING:
    from hub.commands.client import HubClient

FIRST_STEP_BACK: Final = 1_000
"""Events; doubled until far enough back. A hub is asked a dozen times for a log of millions."""


def cursor_at(client: HubClient, at_ms: int) -> str | None:
    """A cursor before the events of that time, found by steps back that double; None: everything is newer."""
    snapshot = next(client.feed(), None)
    epoch, _, last = ((snapshot and snapshot.cursor) or ":0").rpartition(":")
    step = FIRST_STEP_BACK
    while step < int(last):
        cursor = f"{epoch}:{int(last) - step}"
        first = next(client.feed(since=cursor), None)
        if first is None or first.event == "reset":
            return f"{epoch}:{int(last) - step // 2}" if step > FIRST_STEP_BACK else None
        if first.body["timestamp"] < at_ms:
            return cursor
        step *= 2
    return f"{epoch}:0"


@click.command("watch")
@click.argument("task", required=False)
@click.option("--last", is_flag=True, help="The task that was pushed last.")
@click.option("--agent", metavar="AGENT", help="Only what this agent does.")
@click.option("--all", "everything", is_flag=True, help="Everything (also without a TASK).")
@click.option("--since", metavar="CURSOR|10m", help="Begin there instead of now.")
@click.option("--exit-status", is_flag=True, help="End with the task's exit code (always so for one task).")
@hub_options
def command(
    task: str | None,
    last: bool,
    agent: str | None,
    everything: bool,
    since: str | None,
    exit_status: bool,
    **where: Any,
) -> None:
    """Watch a task to its end, or the whole feed. Ctrl-C detaches; nothing stops because nobody looks.

    \b
    Exit codes: 0 complete, 1 failed or dead, 3 cancelled, 7 it asks something and standard input is no
    terminal (see hub tasks answer), 124 timed out, 130 detached. On a terminal a question can be answered
    right here.
    """
    del exit_status
    if sum((task is not None, last, everything)) > 1:
        raise click.UsageError("Name a task, or --last, or --all: one of them.")
    output, client = opened(where)
    with client:
        from hub.commands.following import follow_task

        task = last_task(client, agent) if last else task
        if task is not None:
            sys.exit(follow_task(client, output, task))
        sys.exit(watch_all(client, output, agent, since))


def last_task(client: HubClient, agent: str | None) -> str:
    found = client.get("/api/tasks", limit=1, agent_id=agent)["tasks"]
    if not found:
        raise CommandFailed('There is no task yet. Push one: hub push alice "do it"', Exit.NOT_FOUND)
    return str(found[0]["task_id"])


def watch_all(client: HubClient, output: Output, agent: str | None, since: str | None) -> int:
    from hub.clock import wall_ms
    from hub.commands.redialling import feed_for_ever

    begin_ms, cursor = 0, since
    if since is not None and re.fullmatch(r"\d+[a-z]+", since):
        begin_ms = wall_ms() - duration_ms(since)
        cursor = cursor_at(client, begin_ms)
    try:
        for event in feed_for_ever(client, output, since=cursor, agent=agent):
            cursor = event.cursor or cursor
            if event.event != "snapshot" and event.body["timestamp"] >= begin_ms:
                say_event(output, {"event": event.event, **event.body})
    except KeyboardInterrupt:
        of_agent = f" --agent {agent}" if agent else ""
        output.note(f"\nDetached. Come back with: hub watch --all{of_agent} --since {cursor or '10m'}")
    return int(Exit.INTERRUPTED)
