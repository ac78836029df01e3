"""`hub tasks`: list, get, log, events, result, explain, cancel, retry, purge, answer, export.

Owns the words of the group. Where several tasks are named, each gets its turn: one that cannot be cancelled
keeps no other from it. Where a filter says which, the hub does it (`bulk.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import CommandFailed, Exit, Output
from console.values import in_path
from hub.commands.bulk import act_on_many, bulk_options
from hub.commands.exports import command as export
from hub.commands.filters import filter_options, wanted_of
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from hub.commands.client import HubClient

COLUMNS: Final = ("task_id", "state", "agent_id", "attempt", "updated_at", "description")
PAGE_ROWS: Final = 500


@click.group("tasks")
def command() -> None:
    """Look at tasks and steer them."""


@command.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def list_tasks(limit: int, **options: Any) -> None:
    """List tasks, newest first."""
    wanted = wanted_of(options)
    output, client = opened(options)
    with client:
        output.rows(pages(client, "/api/tasks", limit, **wanted), COLUMNS, key="task_id")


def pages(
    client: HubClient, path: str, limit: int, *, under: str = "tasks", **query: str | int | None
) -> Iterator[dict[str, Any]]:
    """What a list has under a name, page by page, until there is no more or there is enough."""
    cursor: str | None = None
    while limit > 0:
        page = client.get(path, cursor=cursor, limit=min(PAGE_ROWS, limit), **query)
        yield from page[under]
        limit -= page["count"]
        cursor = page["next"]
        if cursor is None:
            return


@command.command("get")
@click.argument("task_id")
@hub_options
def get_task(task_id: str, **where: Any) -> None:
    """Show a task."""
    output, client = opened(where)
    with client:
        task = client.get(f"/api/tasks/{in_path(task_id)}")
    if not output.is_json:
        # Older readers' names for the same two things; a person needs them once.
        task = {name: value for name, value in task.items() if name not in ("id", "status")}
    output.fields(task)


@command.command("result")
@click.argument("task_id")
@hub_options
def result(task_id: str, **where: Any) -> None:
    """Print the result as JSON; the exit code tells how the task ended."""
    from hub.commands.steps import FINAL, exit_of, say_question

    output, client = opened(where)
    with client:
        task = client.get(f"/api/tasks/{in_path(task_id)}")
    if task["state"] == "input_required":
        say_question(output, task)
        sys.exit(Exit.INPUT_REQUIRED)
    if task["state"] not in FINAL:
        raise CommandFailed(
            f"{task_id} is {task['state']}: there is no result yet. Follow it: hub watch {task_id}",
            Exit.FAILED,
        )
    if task["state"] == "completed":
        # ASCII: what an agent wrote is escaped by JSON itself.
        output.line(json.dumps(task["result"], indent=None if output.is_json else 2))
    else:
        why = task.get("error") or (task.get("ending") or {}).get("how", "")
        output.note(f"{task_id} {task['state']}: {why}")
    sys.exit(exit_of(task))


@command.command("events")
@click.argument("task_id")
@hub_options
def events(task_id: str, **where: Any) -> None:
    """Print a task's history."""
    from hub.commands.activity import history
    from hub.commands.steps import say_event

    output, client = opened(where)
    with client:
        for item in history(client, task_id):
            say_event(output, item, task_is_known=True)


@command.command("log")
@click.argument("task_id")
@hub_options
def log(task_id: str, **where: Any) -> None:
    """Print the kept lines of a task's log, indented under whose step each is."""
    from hub.commands.activity import log_lines, say_log

    output, client = opened(where)
    with client:
        lines = (line for line, _ in log_lines(client, task_id))
        if output.is_json:
            for line in lines:
                output.record(line)
        else:
            say_log(output, lines)


@command.command("explain")
@click.argument("task_id")
@hub_options
def explain(task_id: str, **where: Any) -> None:
    """Say why a task is not running."""
    output, client = opened(where)
    with client:
        found = client.get(f"/api/tasks/{in_path(task_id)}/explain")
    if output.is_json:
        output.record(found)
        return
    wait_s = {"wait": f"{found['wait_ms'] / 1000:.1f} s"} if found["wait_ms"] is not None else {}
    waits_for = {"waits_for": ", ".join(found["waits_for"])} if found["waits_for"] else {}
    output.fields({name: found[name] for name in ("task_id", "state", "reason")} | wait_s | waits_for)
    if found["agents"]:
        output.table(found["agents"], ("agent_id", "rule"))


def each(
    output: Output,
    names: Iterable[str],
    ask: Callable[[str], dict[str, Any]],
    columns: tuple[str, ...],
    *,
    key: str = "task_id",
) -> None:
    """Ask for one after the other and say what came of each; the first failure gives the exit code."""
    told, code = [], 0
    for name in names:
        try:
            told.append({key: name, **ask(name)})
        except CommandFailed as failure:
            if failure.code in (Exit.UNREACHABLE, Exit.NOT_AUTHORISED):
                raise
            output.note(f"{name}: {failure.message}")
            code = code or failure.code
    if told:
        output.rows(told, columns, key=key)
    sys.exit(code)


def by_name(task_ids: tuple[str, ...], wanted: dict[str, Any], *, is_dry_run: bool) -> bool:
    """Whether tasks are named, and not filtered for; both or neither is a mistake."""
    if bool(task_ids) == bool(wanted):
        raise click.UsageError("Name tasks, or say which with filters: --state, --plugin, --label, …")
    if task_ids and is_dry_run:
        raise click.UsageError("--dry-run counts what filters mean.")
    return bool(task_ids)


@command.command("cancel")
@click.argument("task_ids", nargs=-1, metavar="TASK...")
@filter_options
@click.option("--reason", help="Why; the run and the history are told.")
@bulk_options
@hub_options
def cancel(
    task_ids: tuple[str, ...], *, reason: str | None, dry_run: bool, yes: bool, **options: Any
) -> None:
    """Cancel tasks, named or by filter. A running one is `cancelling` until its process is proven gone."""
    wanted = wanted_of(options)
    is_by_name = by_name(task_ids, wanted, is_dry_run=dry_run)
    output, client = opened(options)
    body = {"reason": reason} if reason else {}
    with client:
        if is_by_name:
            each(
                output,
                task_ids,
                lambda name: client.post(f"/api/tasks/{in_path(name)}/cancel", body),
                ("task_id", "status"),
            )
        else:
            act_on_many(client, output, "cancel", wanted, is_dry_run=dry_run, is_sure=yes, reason=reason)


def run_again(client: HubClient, output: Output, names: Iterable[str]) -> None:
    each(
        output,
        names,
        lambda name: {**client.post(f"/api/tasks/{in_path(name)}/retry"), "retry_of": name},
        ("task_id", "status", "retry_of"),
    )


@command.command("retry")
@click.argument("task_ids", nargs=-1, metavar="TASK...")
@filter_options
@bulk_options
@hub_options
def retry(task_ids: tuple[str, ...], *, dry_run: bool, yes: bool, **options: Any) -> None:
    """Run ended tasks again, each as a new task: those named, or by filter those that did not complete and
    were not run again yet. `--state completed` means completed ones.
    """
    wanted = wanted_of(options)
    is_by_name = by_name(task_ids, wanted, is_dry_run=dry_run)
    output, client = opened(options)
    with client:
        if is_by_name:
            run_again(client, output, task_ids)
        else:
            act_on_many(client, output, "retry", wanted, is_dry_run=dry_run, is_sure=yes)


@command.command("purge")
@filter_options
@bulk_options
@hub_options
def purge(*, dry_run: bool, yes: bool, **options: Any) -> None:
    """Delete ended tasks for good, by filter. What an open task waits for stays, and the hub's newest."""
    wanted = wanted_of(options)
    if not wanted:
        raise click.UsageError("Say which with filters: --state, --plugin, --label, …")
    output, client = opened(options)
    with client:
        act_on_many(client, output, "purge", wanted, is_dry_run=dry_run, is_sure=yes)


@command.command("answer")
@click.argument("task_id")
@click.argument("value")
@click.option("--request", "request_id", help="Which question (the open one, if left out).")
@hub_options
def answer(task_id: str, value: str, request_id: str | None, **where: Any) -> None:
    """Answer what a run asks. VALUE is JSON, or else text; where text is asked for it is text. - and @file
    read it.
    """
    from console.questions import value_for
    from console.values import text_of

    output, client = opened(where)
    said = text_of(value)
    with client:
        question = client.get(f"/api/tasks/{in_path(task_id)}").get("question") or {}
        if request_id is None and not question:
            raise CommandFailed(f"{task_id} asks nothing now.", Exit.NOT_FOUND)
        asked = request_id or question["request_id"]
        schema = question.get("schema") if question.get("request_id") == asked else None
        body = {"request_id": asked, "value": value_for(said, schema)}
        told = client.post(f"/api/tasks/{in_path(task_id)}/input", body)
        output.rows([{"task_id": task_id, **told}], ("task_id", "status"), key="task_id")


command.add_command(export)
