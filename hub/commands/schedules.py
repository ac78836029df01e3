"""`hub runs schedule`: a plugin and a cron make one; list, get, pause, resume and delete steer it.

Owns the words of the group and how a schedule reads on a terminal. When one is due is the hub's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from console.values import in_path
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from console.output import Output

COLUMNS: Final = (
    "schedule_id",
    "status",
    "plugin_name",
    "user_id",
    "cron",
    "zone",
    "next_due_at",
    "last",
)
MAKE: Final = "make"


class PluginOrVerb(click.Group):
    """`schedule PLUGIN …` is `schedule make PLUGIN …`, which takes a plugin called like a verb too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


@click.group("schedule", cls=PluginOrVerb)
def command() -> None:
    """Run a plugin by the clock.

    \b
    hub runs schedule daily-news-digest --cron "0 7 * * 1-5" --tz Europe/Berlin --user 7 \\
        --input topics='["space"]'
    """


@command.command(MAKE)
@click.argument("plugin")
@click.option("--cron", required=True, metavar="CRON", help='Five fields or @daily: "0 7 * * 1-5".')
@click.option("--tz", "zone", default="UTC", show_default=True, help="Whose clock: Europe/Berlin.")
@click.option("--user", "user_id", type=click.IntRange(min=0), required=True, metavar="N", help="For whom.")
@click.option("--input", "pairs", multiple=True, metavar="K=V", help="One setting of the plugin.")
@click.option("--inputs", "whole", metavar="JSON|@FILE", help="All of them.")
@click.option("--plugin-id", help="How its runs shall name the plugin, if not by its name.")
@click.option(
    "--missed",
    type=click.Choice(["skip", "once"]),
    default="skip",
    show_default=True,
    help="What becomes of due times while the hub is away: none, or one run for all of them.",
)
@hub_options
def make(plugin: str, **options: Any) -> None:
    """Run a plugin for a user whenever the cron says so. The same again is the same schedule."""
    from console.values import inputs_of

    body = {name: options[name] for name in ("cron", "zone", "user_id", "missed", "plugin_id")}
    body["settings"] = inputs_of(options["pairs"], options["whole"]) or {}
    output, client = opened(options)
    with client:
        say(output, client.post(f"/api/plugins/{in_path(plugin)}/schedules", body))


@command.command("list")
@click.option("--plugin")
@click.option("--user", "user_id", type=click.IntRange(min=0), metavar="N", help="Only those for this user.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def list_schedules(limit: int, plugin: str | None, user_id: int | None, **where: Any) -> None:
    """List schedules, newest first."""
    from hub.commands.tasks import pages

    output, client = opened(where)
    with client:
        found = pages(client, "/api/schedules", limit, under="schedules", plugin=plugin, user_id=user_id)
        rows = found if output.is_json else (readable(one) for one in found)
        output.rows(rows, COLUMNS, key="schedule_id")


@command.command("get")
@click.argument("schedule_id", metavar="SCHEDULE")
@hub_options
def get(schedule_id: str, **where: Any) -> None:
    """Show a schedule: when it is due next, and what came of the last time."""
    output, client = opened(where)
    with client:
        say(output, client.get(f"/api/schedules/{in_path(schedule_id)}"))


@command.command("pause")
@click.argument("schedule_id", metavar="SCHEDULE")
@hub_options
def pause(schedule_id: str, **where: Any) -> None:
    """Begin no more runs of it. One that is at work goes on."""
    steer(schedule_id, "pause", where)


@command.command("resume")
@click.argument("schedule_id", metavar="SCHEDULE")
@hub_options
def resume(schedule_id: str, **where: Any) -> None:
    """Go on with it, from now."""
    steer(schedule_id, "resume", where)


def steer(schedule_id: str, verb: str, where: dict[str, Any]) -> None:
    output, client = opened(where)
    with client:
        say(output, client.post(f"/api/schedules/{in_path(schedule_id)}/{verb}"))


@command.command("delete")
@click.argument("schedule_id", metavar="SCHEDULE")
@hub_options
def delete(schedule_id: str, **where: Any) -> None:
    """Delete a schedule. Its runs stay."""
    output, client = opened(where)
    with client:
        output.fields(client.delete(f"/api/schedules/{in_path(schedule_id)}"))


def say(output: Output, schedule: dict[str, Any]) -> None:
    if output.quiet:
        output.line(schedule["schedule_id"])
    elif output.is_json:
        output.record(schedule)
    else:
        output.fields(readable(schedule))


def readable(schedule: dict[str, Any]) -> dict[str, Any]:
    """What came of the last due time, in one cell."""
    last = schedule["last"]
    said = None if last is None else last["error"] or last["plugin_run_id"]
    return {**schedule, "last": said}
