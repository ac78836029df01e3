"""`hub push`: give an agent, or whoever can, something to do.

Owns the way from words and options to the body of a push; what may be asked of the queue is in `terms.py`.
Never knows how a task goes on: `watch` does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from console.output import Output
from console.values import duration_ms, inputs_of, text_of
from hub.commands.options import hub_options, opened
from hub.commands.terms import term_options, terms_of

if TYPE_CHECKING:
    from hub.commands.client import HubClient


@click.command("push")
@click.argument("words", nargs=-1, required=True, metavar="[AGENT] TEXT")
@click.option("--any", "to_any", is_flag=True, help="Whoever is free; leave AGENT out.")
@click.option("--plugin", help="The plugin that shall do it.")
@click.option("--input", "pairs", multiple=True, metavar="K=V", help="One input of the plugin.")
@click.option("--inputs", "whole", metavar="JSON|@FILE", help="All inputs of the plugin.")
@click.option("--timeout", metavar="10m", help="How long one run may take.")
@click.option("--attempts", type=click.IntRange(1, 100), help="How often to try.")
@click.option("--key", help="Idempotency key: the same key never makes two tasks.")
@term_options
@click.option("--lines", "by_line", is_flag=True, help="Each line of TEXT is a task of its own.")
@click.option("--queue", is_flag=True, help="Wait for the agent if it is not connected.")
@click.option(
    "--watch", "watch_it", is_flag=True, help="Follow it to its end; the exit code tells how it ended."
)
@hub_options
def command(words: tuple[str, ...], watch_it: bool, by_line: bool, **options: Any) -> None:
    """Push a task. TEXT may be - for standard input or @file.

    \b
    hub push alice "summarise the news" --watch
    hub push --any @task.md --plugin daily-news-digest --input topics='["space"]'
    hub push --any --lines - --label batch=monday < tasks.txt
    """
    if by_line:
        push_by_line(words, watch_it, options)
        return
    path, body = request_of(words, options)
    output, client = opened(options)
    with client:
        told = client.post(path, body)
        say_pushed(output, told, watch_it)
        if watch_it:
            sys.exit(followed(client, output, told["task_id"]))


def push_by_line(words: tuple[str, ...], watch_it: bool, options: dict[str, Any]) -> None:
    if watch_it:
        raise click.UsageError("--watch follows one task; with --lines there are many: hub watch.")
    if options["unique_key"] is not None:
        raise click.UsageError("--unique-key is for one task; with --lines only the first could have it.")
    from hub.commands.lines import push_lines, tasks_of

    agent, body = task_of(words, options)
    tasks = tasks_of(body.pop("description"), body | ({"assign_to": agent} if agent else {}))
    output, client = opened(options)
    with client:
        push_lines(client, output, tasks)


def task_of(words: tuple[str, ...], options: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Who shall do it, if somebody is named, and the task with all that was said of it."""
    open_to_all = options["to_any"] or bool(options["capabilities"])
    agent, text = split_words(words, open_to_all)
    body: dict[str, Any] = {
        "description": text_of(text),
        "plugin": options["plugin"],
        "inputs": inputs_of(options["pairs"], options["whole"]),
        "timeout_ms": duration_ms(options["timeout"]) if options["timeout"] is not None else None,
        "attempts_max": options["attempts"],
        "idempotency_key": options["key"],
    }
    body |= terms_of(options)
    return agent, {name: value for name, value in body.items() if value is not None}


def request_of(words: tuple[str, ...], options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where to post, and what: a task for one named agent now, or one that waits for whoever can."""
    agent, body = task_of(words, options)
    if agent is None or terms_of(options):
        return "/api/tasks", body | ({"assign_to": agent} if agent else {})
    return "/api/admin/push-task", body | {"agent_id": agent} | ({"queue": True} if options["queue"] else {})


def split_words(words: tuple[str, ...], open_to_all: bool) -> tuple[str | None, str]:
    if open_to_all and len(words) == 1:
        return None, words[0]
    if not open_to_all and len(words) == 2:
        return words[0], words[1]
    raise click.UsageError(
        'Say who and what: hub push alice "do it". For whoever is free: hub push --any "do it".'
    )


def say_pushed(output: Output, told: dict[str, Any], watch_it: bool) -> None:
    """What was made of it. Whoever watches in a pipe wants the events only, and the task as the last line."""
    if output.quiet:
        output.line(told["task_id"])
    elif output.is_json:
        if not watch_it:
            output.record(told)
    else:
        output.line(f"{told['status']}  {output.paint(told['task_id'], 'strong')}")
        if not watch_it:
            output.note(f"Follow it with: hub watch {told['task_id']}")


def followed(client: HubClient, output: Output, task_id: str) -> int:
    from hub.commands.following import follow_task

    return follow_task(client, output, task_id)
