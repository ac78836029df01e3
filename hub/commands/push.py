"""`hub push`: give an agent something to do."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from console.output import Output
from hub.commands.options import hub_client, hub_options

UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """`90s`, `10m`, `2h`, `500ms`: a number and a unit."""
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration; write 90s, 10m or 2h.")
    return int(found[1]) * UNITS_MS[found[2]]


def moment_ms(text: str) -> int:
    """An ISO time, with or without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time; write 2030-01-31T09:00.") from None
    return int((moment if moment.tzinfo else moment.astimezone()).astimezone(UTC).timestamp() * 1000)


def text_of(said: str) -> str:
    """`-` reads standard input, `@file` a file, anything else is the text itself."""
    if said == "-":
        return sys.stdin.read()
    if said.startswith("@"):
        try:
            return Path(said[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"cannot read {said[1:]}: {error}") from None
    return said


def value_of(text: str) -> Any:
    """A value of `--input k=v`: JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def inputs_of(pairs: tuple[str, ...], whole: str | None) -> dict[str, Any] | None:
    inputs: dict[str, Any] = {}
    if whole is not None:
        found = value_of(text_of(whole))
        if not isinstance(found, dict):
            raise click.BadParameter("--inputs wants a JSON object.")
        inputs.update(found)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"--input wants name=value, not {pair!r}.")
        inputs[name] = value_of(value)
    return inputs or None


@click.command("push")
@click.argument("words", nargs=-1, required=True, metavar="[AGENT] TEXT")
@click.option("--any", "to_any", is_flag=True, help="Whoever is free; leave AGENT out.")
@click.option("--capability", "capabilities", multiple=True, help="Whoever can do this; leave AGENT out.")
@click.option("--plugin", help="The plugin that shall do it.")
@click.option("--input", "pairs", multiple=True, metavar="K=V", help="One input of the plugin.")
@click.option("--inputs", "whole", metavar="JSON|@FILE", help="All inputs of the plugin.")
@click.option("--priority", type=click.Choice(["urgent", "high", "normal", "low"]))
@click.option("--timeout", metavar="10m", help="How long one run may take.")
@click.option("--attempts", type=click.IntRange(1, 100), help="How often to try.")
@click.option("--key", help="Idempotency key: the same key never makes two tasks.")
@click.option("--at", metavar="TIME", help="Not before this time.")
@click.option("--queue", is_flag=True, help="Wait for the agent if it is not connected.")
@click.option(
    "--watch", "watch_it", is_flag=True, help="Follow it to its end; the exit code tells how it ended."
)
@hub_options
def command(
    words: tuple[str, ...],
    to_any: bool,
    capabilities: tuple[str, ...],
    plugin: str | None,
    pairs: tuple[str, ...],
    whole: str | None,
    priority: str | None,
    timeout: str | None,
    attempts: int | None,
    key: str | None,
    at: str | None,
    queue: bool,
    watch_it: bool,
    **where: Any,
) -> None:
    """Push a task. TEXT may be - for standard input or @file.

    \b
    hub push alice "summarise the news" --watch
    hub push --any @task.md --plugin daily-news-digest --input topics=space
    """
    open_to_all = to_any or bool(capabilities)
    agent, text = split_words(words, open_to_all)
    body: dict[str, Any] = {
        "description": text_of(text),
        "plugin": plugin,
        "inputs": inputs_of(pairs, whole),
        "timeout_ms": duration_ms(timeout) if timeout else None,
        "attempts_max": attempts,
        "idempotency_key": key,
    }
    if open_to_all or priority or at:
        path = "/api/tasks"
        body |= {
            "assign_to": agent,
            "needed_capabilities": list(capabilities) or None,
            "priority": priority,
            "run_at": moment_ms(at) if at else None,
        }
    else:
        path = "/api/admin/push-task"
        body |= {"agent_id": agent, "queue": queue or None}
    output = Output(where.pop("as_json"), where.pop("quiet"))
    with hub_client(**where) as client:
        told = client.post(path, {name: value for name, value in body.items() if value is not None})
        say_pushed(output, told, watch_it)
        if watch_it:
            from hub.commands.watch import follow_task

            sys.exit(follow_task(client, output, told["task_id"]))


def split_words(words: tuple[str, ...], open_to_all: bool) -> tuple[str | None, str]:
    if open_to_all and len(words) == 1:
        return None, words[0]
    if not open_to_all and len(words) == 2:
        return words[0], words[1]
    raise click.UsageError(
        'Say who and what: hub push alice "do it". For whoever is free: hub push --any "do it".'
    )


def say_pushed(output: Output, told: dict[str, Any], watch_it: bool) -> None:
    if output.quiet:
        output.line(told["task_id"])
    elif output.is_json:
        if not watch_it:
            output.record(told)
    else:
        output.line(f"{told['status']} {output.paint(told['task_id'], 'strong')}")
        if not watch_it:
            output.note(f"Follow it with: hub watch {told['task_id']}")
