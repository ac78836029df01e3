"""`hub runs`: list, get, start, briefings, and the group `schedule`.

Owns the words of the group and how a run reads on a terminal: what it has made stands below what it is. How
one is followed to its end is the business of `following.py`: a run is a task.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import Output
from console.values import in_path
from hub.commands import schedules
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from hub.commands.client import HubClient

COLUMNS: Final = (
    "plugin_run_id",
    "status",
    "plugin_name",
    "user_id",
    "attempts",
    "created_at",
    "error_message",
)
BRIEFING_COLUMNS: Final = ("plugin_run_id", "plugin_name", "user_id", "completed_at", "summary")

LIMIT: Final = click.IntRange(1, 100_000)
USER: Final = click.IntRange(min=0)


@click.group("runs")
def command() -> None:
    """Start runs of plugins, look at them and at briefings."""


command.add_command(schedules.command)


@command.command("list")
@click.option("--status", type=click.Choice(["pending", "processing", "completed", "failed"]))
@click.option("--plugin")
@click.option("--user", "user_id", type=USER, metavar="N", help="Only runs for this user.")
@click.option("--limit", type=LIMIT, default=50, show_default=True)
@hub_options
def list_runs(limit: int, status: str | None, plugin: str | None, user_id: int | None, **where: Any) -> None:
    """List runs, newest first."""
    from hub.commands.tasks import pages

    output, client = opened(where)
    with client:
        found = pages(client, "/api/runs", limit, under="runs", status=status, plugin=plugin, user_id=user_id)
        output.rows(found, COLUMNS, key="plugin_run_id")


@command.command("get")
@click.argument("plugin_run_id", metavar="RUN")
@hub_options
def get_run(plugin_run_id: str, **where: Any) -> None:
    """Show a run, and what it has made."""
    output, client = opened(where)
    with client:
        run = client.get(f"/api/runs/{in_path(plugin_run_id)}")
    say_run(output, run)


def say_run(output: Output, run: dict[str, Any]) -> None:
    from console.results import say_result

    if output.quiet:
        output.line(run["plugin_run_id"])
    elif output.is_json:
        output.record(run)
    else:
        made = run.pop("output")
        output.fields(run)
        if made is not None:
            say_result(output, readable(made))


def readable(made: str) -> Any:
    """A briefing as what it is; anything else as the text that the run has made."""
    from console.results import is_briefing

    try:
        found = json.loads(made)
    except ValueError:
        return made
    return found if is_briefing(found) else made


@command.command("start")
@click.argument("plugin")
@click.option("--user", "user_id", type=USER, required=True, metavar="N", help="For whom it is.")
@click.option("--input", "pairs", multiple=True, metavar="K=V", help="One setting of the plugin.")
@click.option("--inputs", "whole", metavar="JSON|@FILE", help="All of them; keys for the model only here.")
@click.option("--plugin-id", help="How the run shall name the plugin, if not by its name.")
@click.option(
    "--watch", "watch_it", is_flag=True, help="Follow it to its end; the exit code tells how it ended."
)
@hub_options
def start(plugin: str, watch_it: bool, **options: Any) -> None:
    """Run a plugin for a user. The same again, while it is live or fresh, is the same run.

    \b
    hub runs start daily-news-digest --user 7 --input topics='["space"]' --watch
    """
    from console.values import inputs_of

    body = {
        "user_id": options["user_id"],
        "settings": inputs_of(options["pairs"], options["whole"]) or {},
        "plugin_id": options["plugin_id"],
    }
    output, client = opened(options)
    with client:
        told = client.post(f"/api/plugins/{in_path(plugin)}/runs", body)
        say_started(output, told)
        if watch_it:
            sys.exit(followed(client, output, told["task_id"]))
        if not output.is_json:
            output.note(f"Follow it with: hub watch {told['task_id']}")
            output.note(f"What it has made: hub runs get {told['plugin_run_id']}")


def say_started(output: Output, told: dict[str, Any]) -> None:
    """The run's name comes first also in a pipe: what follows when it is watched names its task."""
    if output.quiet:
        output.line(told["plugin_run_id"])
    elif output.is_json:
        output.record(told)
    else:
        output.line(f"{told['status']}  {output.paint(told['plugin_run_id'], 'strong')}")


def followed(client: HubClient, output: Output, task_id: str) -> int:
    from hub.commands.following import follow_task

    return follow_task(client, output, task_id)


@command.command("briefings")
@click.option("--plugin")
@click.option("--user", "user_id", type=USER, metavar="N", help="Only those for this user.")
@click.option("--limit", type=LIMIT, default=20, show_default=True)
@hub_options
def briefings(limit: int, plugin: str | None, user_id: int | None, **where: Any) -> None:
    """List briefings, newest first. One of them in full: hub runs get RUN"""
    from hub.commands.tasks import pages

    output, client = opened(where)
    with client:
        found = pages(client, "/api/briefings", limit, under="briefings", plugin=plugin, user_id=user_id)
        output.rows(found, BRIEFING_COLUMNS, key="plugin_run_id")
