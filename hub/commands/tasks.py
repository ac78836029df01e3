"""`hub tasks` and `hub dead`: list, get, log, events, result, explain, cancel, retry, answer.

Owns the words of both groups. Where several tasks are named, each gets its turn: one that cannot be cancelled
keeps no other from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import CommandFailed, Exit, Output
from hub.commands.options import hub_options, opened

if TYPE_CHECKING:
    from hub.commands.client import HubClient

COLUMNS: Final = ("task_id", "state", "agent_id", "attempt", "updated_at", "description")
DEAD_COLUMNS: Final = ("task_id", "agent_id", "attempt", "updated_at", "error", "description")
PAGE_ROWS: Final = 500


@click.group("tasks")
def command() -> None:
    """Look at tasks and steer them."""


@click.group("dead")
def dead_command() -> None:
    """Dead letters: tasks whose attempts are used up."""


@command.command("list")
@click.option("--state", help="queued, running, completed, …")
@click.option("--agent", "agent_id", metavar="AGENT")
@click.option("--plugin")
@click.option("--priority", type=click.Choice(["urgent", "high", "normal", "low"]))
@click.option("--grep", "q", metavar="TEXT", help="Only tasks whose description has this text.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def list_tasks(limit: int, **options: Any) -> None:
    """List tasks, newest first."""
    wanted = {name: options.pop(name) for name in ("state", "agent_id", "plugin", "priority", "q")}
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
        task = client.get(f"/api/tasks/{task_id}")
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
        task = client.get(f"/api/tasks/{task_id}")
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
        found = client.get(f"/api/tasks/{task_id}/explain")
    if output.is_json:
        output.record(found)
        return
    wait_s = {"wait": f"{found['wait_ms'] / 1000:.1f} s"} if found["wait_ms"] is not None else {}
    output.fields({name: found[name] for name in ("task_id", "state", "reason")} | wait_s)
    if found["agents"]:
        output.table(found["agents"], ("agent_id", "rule"))


def each(
    output: Output, names: Iterable[str], ask: Callable[[str], dict[str, Any]], columns: tuple[str, ...]
) -> None:
    """Ask for one after the other and say what came of each; the first failure gives the exit code."""
    told, code = [], 0
    for name in names:
        try:
            told.append({"task_id": name, **ask(name)})
        except CommandFailed as failure:
            if failure.code in (Exit.UNREACHABLE, Exit.NOT_AUTHORISED):
                raise
            output.note(f"{name}: {failure.message}")
            code = code or failure.code
    if told:
        output.rows(told, columns, key="task_id")
    sys.exit(code)


@command.command("cancel")
@click.argument("task_ids", nargs=-1, required=True, metavar="TASK...")
@click.option("--reason", help="Why; the run and the history are told.")
@hub_options
def cancel(task_ids: tuple[str, ...], reason: str | None, **where: Any) -> None:
    """Cancel tasks. A running one is `cancelling` until its process is proven gone."""
    output, client = opened(where)
    body = {"reason": reason} if reason else {}
    with client:
        each(
            output,
            task_ids,
            lambda name: client.post(f"/api/tasks/{name}/cancel", body),
            ("task_id", "status"),
        )


def run_again(client: HubClient, output: Output, names: Iterable[str]) -> None:
    each(
        output,
        names,
        lambda name: {**client.post(f"/api/tasks/{name}/retry"), "retry_of": name},
        ("task_id", "status", "retry_of"),
    )


@command.command("retry")
@click.argument("task_ids", nargs=-1, required=True, metavar="TASK...")
@hub_options
def retry(task_ids: tuple[str, ...], **where: Any) -> None:
    """Run ended tasks again, each as a new task."""
    output, client = opened(where)
    with client:
        run_again(client, output, task_ids)


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
        question = client.get(f"/api/tasks/{task_id}").get("question") or {}
        if request_id is None and not question:
            raise CommandFailed(f"{task_id} asks nothing now.", Exit.NOT_FOUND)
        asked = request_id or question["request_id"]
        schema = question.get("schema") if question.get("request_id") == asked else None
        body = {"request_id": asked, "value": value_for(said, schema)}
        told = client.post(f"/api/tasks/{task_id}/input", body)
        output.rows([{"task_id": task_id, **told}], ("task_id", "status"), key="task_id")


@dead_command.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def list_dead(limit: int, **where: Any) -> None:
    """List dead letters, newest first."""
    output, client = opened(where)
    with client:
        output.rows(pages(client, "/api/tasks/dead-letter", limit), DEAD_COLUMNS, key="task_id")


@dead_command.command("retry")
@click.argument("task_ids", nargs=-1, metavar="TASK...")
@click.option("--all", "everything", is_flag=True, help="Every dead letter that was not run again yet.")
@hub_options
def retry_dead(task_ids: tuple[str, ...], everything: bool, **where: Any) -> None:
    """Run dead letters again, each as a new task; what is final stays final."""
    if bool(task_ids) == everything:
        raise click.UsageError("Name tasks, or say --all.")
    output, client = opened(where)
    with client:
        run_again(client, output, task_ids or still_dead(client))


def still_dead(client: HubClient) -> list[str]:
    """Dead letters that no other task is a retry of. All are read before the first is run again."""
    tasks = list(pages(client, "/api/tasks", sys.maxsize))
    retried = {task["retry_of"] for task in tasks}
    dead = (task["task_id"] for task in tasks if task["state"] == "dead_letter")
    return [task_id for task_id in dead if task_id not in retried]
