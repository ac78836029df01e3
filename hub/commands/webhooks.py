"""`hub webhooks`: name who is told of events, see what they got, send it again.

Owns the words of the group and how deliveries read on a terminal. A secret is shown once, by the command that
made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from console.values import in_path
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from console.output import Output

COLUMNS: Final = ("webhook_id", "status", "url", "events", "pending", "failing_since", "description")
DELIVERY_COLUMNS: Final = ("delivery_id", "state", "event", "task_id", "tries", "created_at", "next_try_at")
TRY_COLUMNS: Final = ("at", "status", "took_ms", "error", "answer")
STATES: Final = ("pending", "delivered", "failed")


@click.group("webhooks")
def command() -> None:
    """Tell others of events, and see whether they heard.

    \b
    hub webhooks add https://example.com/crewhub --event task_complete --event task_failed
    hub webhooks deliveries hook-0123456789abcdef --state failed
    """


def at_path(webhook_id: str, verb: str = "") -> str:
    return f"/api/webhooks/{in_path(webhook_id)}{verb}"


def filters_of(options: dict[str, Any]) -> dict[str, Any]:
    """What was said of whom and what to be told, in the words of the API."""
    members = ("description", "agent_id", "plugin")
    body = {name: options[name] for name in members if options[name] is not None}
    if options["events"]:
        body["events"] = list(options["events"])
    if options["labels"]:
        body["labels"] = dict(map(label_of, options["labels"]))
    return body


def label_of(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{pair!r} is not of the form K=V", param_hint="--label")
    return name, value


def filter_options(function: Any) -> Any:
    for decorate in (
        click.option("--label", "labels", multiple=True, metavar="K=V", help="Of tasks with this label."),
        click.option("--plugin", help="Of tasks for this plugin."),
        click.option("--agent", "agent_id", help="Of this agent."),
        click.option("--event", "events", multiple=True, metavar="NAME", help="Of these; * is any letters."),
        click.option("--description", help="What it is for."),
    ):
        function = decorate(function)
    return function


@command.command("add")
@click.argument("url")
@filter_options
@hub_options
def add(url: str, **options: Any) -> None:
    """Tell a place of events from now on. Its secret is shown once."""
    output, client = opened(options)
    with client:
        say_new(output, client.post("/api/webhooks", {"url": url, **filters_of(options)}))


@command.command("list")
@hub_options
def list_webhooks(**where: Any) -> None:
    """List who is told."""
    output, client = opened(where)
    with client:
        output.rows(client.get("/api/webhooks")["webhooks"], COLUMNS, key="webhook_id")


@command.command("get")
@click.argument("webhook_id", metavar="WEBHOOK")
@hub_options
def get(webhook_id: str, **where: Any) -> None:
    """Show one: what it is told, how far it has come, and since when it fails."""
    output, client = opened(where)
    with client:
        say(output, client.get(at_path(webhook_id)))


@command.command("edit")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--url", help="Where to call from now on.")
@click.option("--enable/--disable", "enabled", default=None, help="Tell it again from now on, or nothing.")
@filter_options
@hub_options
def edit(webhook_id: str, url: str | None, enabled: bool | None, **options: Any) -> None:
    """Change one. Given with nothing after it (--plugin ""), a filter is taken away."""
    body = filters_of(options)
    body |= {name: None for name in ("agent_id", "plugin") if body.get(name) == ""}
    body |= {name: value for name, value in (("url", url), ("enabled", enabled)) if value is not None}
    if not body:
        raise click.UsageError("say what is to be changed")
    output, client = opened(options)
    with client:
        say(output, client.patch(at_path(webhook_id), body))


@command.command("remove")
@click.argument("webhook_id", metavar="WEBHOOK")
@hub_options
def remove(webhook_id: str, **where: Any) -> None:
    """Tell it nothing more, and forget its deliveries."""
    output, client = opened(where)
    with client:
        output.fields(client.delete(at_path(webhook_id)))


@command.command("rotate")
@click.argument("webhook_id", metavar="WEBHOOK")
@hub_options
def rotate(webhook_id: str, **where: Any) -> None:
    """Give it a new secret. For a day both sign, so that nothing is refused meanwhile."""
    output, client = opened(where)
    with client:
        say_new(output, client.post(at_path(webhook_id, "/rotate")))


@command.command("test")
@click.argument("webhook_id", metavar="WEBHOOK")
@hub_options
def test(webhook_id: str, **where: Any) -> None:
    """Send it a notice of nothing, to see whether notices arrive."""
    output, client = opened(where)
    with client:
        say_delivery(output, client.post(at_path(webhook_id, "/test")))


@command.command("deliveries")
@click.argument("name", metavar="WEBHOOK|DELIVERY")
@click.option("--state", type=click.Choice(STATES), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def deliveries(name: str, state: str | None, limit: int, **where: Any) -> None:
    """List what a webhook got, newest first, or show every try of one delivery."""
    from hub.commands.tasks import pages

    output, client = opened(where)
    with client:
        if name.startswith("dlv-"):
            say_tries(output, client.get(at_path("deliveries", f"/{in_path(name)}")))
            return
        found = pages(client, at_path(name, "/deliveries"), limit, under="deliveries", state=state)
        output.rows(found, DELIVERY_COLUMNS, key="delivery_id")


@command.command("redeliver")
@click.argument("delivery_ids", metavar="DELIVERY…", nargs=-1, required=True)
@hub_options
def redeliver(delivery_ids: tuple[str, ...], **where: Any) -> None:
    """Deliver these again, each under the id that it had."""
    from hub.commands.tasks import each

    output, client = opened(where)
    with client:
        each(
            output,
            delivery_ids,
            lambda one: client.post(at_path("deliveries", f"/{in_path(one)}/redeliver")),
            DELIVERY_COLUMNS,
            key="delivery_id",
        )


@command.command("replay")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--since", metavar="CURSOR", help="After this event of the feed.")
@click.option("--since-time", metavar="TIME", help="From this moment on: 2026-01-31T12:00Z.")
@hub_options
def replay(webhook_id: str, since: str | None, since_time: str | None, **where: Any) -> None:
    """Tell it again of everything it is to be told of, since then."""
    from console.values import moment_ms

    if (since is None) == (since_time is None):
        raise click.UsageError("give one of --since and --since-time")
    body = {"since": since} if since_time is None else {"since_time": moment_ms(since_time)}
    output, client = opened(where)
    with client:
        output.fields(client.post(at_path(webhook_id, "/replay"), body))


def say(output: Output, webhook: dict[str, Any]) -> None:
    if output.quiet:
        output.line(webhook["webhook_id"])
    else:
        output.fields(webhook)


def say_new(output: Output, webhook: dict[str, Any]) -> None:
    if output.quiet:
        output.line(webhook["secret"])
        return
    output.fields(webhook)
    if not output.is_json:
        output.note("The secret is not shown again: keep it where the notices arrive.")


def say_delivery(output: Output, delivery: dict[str, Any]) -> None:
    if output.quiet:
        output.line(delivery["delivery_id"])
        return
    output.fields(delivery)
    if not output.is_json:
        output.note(f"What came of it: hub webhooks deliveries {delivery['delivery_id']}")


def say_tries(output: Output, delivery: dict[str, Any]) -> None:
    if output.quiet or output.is_json:
        say_delivery(output, delivery)
        return
    output.fields({name: value for name, value in delivery.items() if name not in ("log", "body")})
    output.rows(delivery["log"], TRY_COLUMNS, key="at")
