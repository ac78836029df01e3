"""`hub tasks` and `hub dead`: list, get, log, events, result, explain, cancel, retry, answer."""

from __future__ import annotations

import sys
from typing import Any

import click

from console.output import CommandFailed, Exit, Output
from hub.commands.client import HubClient
from hub.commands.options import hub_client, hub_options

COLUMNS = ("task_id", "state", "agent_id", "attempt", "progress", "description")


def opened(where: dict[str, Any]) -> tuple[Output, HubClient]:
    output = Output(where.pop("as_json"), where.pop("quiet"))
    return output, hub_client(**where)


@click.group("tasks")
def command() -> None:
    """Look at tasks and steer them."""


@command.command("list")
@click.option("--state", help="queued, running, completed, …")
@click.option("--agent", "agent_id")
@click.option("--plugin")
@click.option("--priority", type=click.Choice(["urgent", "high", "normal", "low"]))
@click.option("--grep", "q", metavar="TEXT", help="Only tasks whose description has this text.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def list_tasks(
    state: str | None,
    agent_id: str | None,
    plugin: str | None,
    priority: str | None,
    q: str | None,
    limit: int,
    **where: Any,
) -> None:
    """List tasks, newest first."""
    output, client = opened(where)
    with client:
        output.rows(
            pages(client, limit, state=state, agent_id=agent_id, plugin=plugin, priority=priority, q=q),
            COLUMNS,
            key="task_id",
        )


def pages(client: HubClient, limit: int, **query: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        page = client.get("/api/tasks", cursor=cursor, limit=min(500, limit - len(found)), **query)
        found += page["tasks"]
        cursor = page["next"]
        if cursor is None:
            break
    return found


@command.command("get")
@click.argument("task_id")
@hub_options
def get_task(task_id: str, **where: Any) -> None:
    """Show a task."""
    output, client = opened(where)
    with client:
        output.fields(client.get(f"/api/tasks/{task_id}"))


@command.command("result")
@click.argument("task_id")
@hub_options
def result(task_id: str, **where: Any) -> None:
    """Print the result as JSON; the exit code tells how the task ended."""
    import json

    from hub.commands.watch import FINAL, exit_of

    output, client = opened(where)
    with client:
        task = client.get(f"/api/tasks/{task_id}")
    if task["state"] not in FINAL:
        raise CommandFailed(
            f"{task_id} is {task['state']}: there is no result yet. Follow it: hub watch {task_id}",
            Exit.FAILED,
        )
    if task["state"] == "completed":
        output.line(json.dumps(task["result"], ensure_ascii=True, indent=None if output.is_json else 2))
    else:
        output.note(
            f"{task_id} {task['state']}: {task.get('error') or (task.get('ending') or {}).get('how', '')}"
        )
    sys.exit(int(exit_of(task)))


@command.command("events")
@click.argument("task_id")
@hub_options
def events(task_id: str, **where: Any) -> None:
    """Print a task's history."""
    from hub.commands.watch import replay

    output, client = opened(where)
    with client:
        replay(client, output, task_id, set())


@command.command("log")
@click.argument("task_id")
@hub_options
def log(task_id: str, **where: Any) -> None:
    """Print the kept lines of a task's log."""
    from console.harmless import harmless

    output, client = opened(where)
    after: int | None = 0
    with client:
        while after is not None:
            page = client.get(f"/api/tasks/{task_id}/log", after=after, limit=500)
            for line in page["lines"]:
                if output.is_json:
                    output.record(line)
                else:
                    output.line(harmless(line["text"]))
            after = page["next"]


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
    output.fields({name: found[name] for name in ("task_id", "state", "reason")})
    if found["agents"]:
        output.table(found["agents"], ("agent_id", "rule", "detail"))


@command.command("cancel")
@click.argument("task_ids", nargs=-1, required=True)
@click.option("--reason")
@hub_options
def cancel(task_ids: tuple[str, ...], reason: str | None, **where: Any) -> None:
    """Cancel tasks. A running one is `cancelling` until its process is proven gone."""
    output, client = opened(where)
    with client:
        told = [
            client.post(f"/api/tasks/{task_id}/cancel", {"reason": reason} if reason else {})
            for task_id in task_ids
        ]
        output.rows(told, ("task_id", "status"), key="task_id")


@command.command("retry")
@click.argument("task_ids", nargs=-1, required=True)
@hub_options
def retry(task_ids: tuple[str, ...], **where: Any) -> None:
    """Run ended tasks again, each as a new task."""
    output, client = opened(where)
    with client:
        told = [client.post(f"/api/tasks/{task_id}/retry") | {"retry_of": task_id} for task_id in task_ids]
        output.rows(told, ("task_id", "status", "retry_of"), key="task_id")


@command.command("answer")
@click.argument("task_id")
@click.argument("value")
@click.option("--request", "request_id", help="Which question (the open one, if left out).")
@hub_options
def answer(task_id: str, value: str, request_id: str | None, **where: Any) -> None:
    """Answer what a run asks. VALUE is JSON, or else text; - and @file read it."""
    from hub.commands.push import text_of, value_of

    output, client = opened(where)
    with client:
        if request_id is None:
            question = client.get(f"/api/tasks/{task_id}").get("question")
            if not question:
                raise CommandFailed(f"{task_id} asks nothing now.", Exit.NOT_FOUND)
            request_id = question["request_id"]
        told = client.post(
            f"/api/tasks/{task_id}/input", {"request_id": request_id, "value": value_of(text_of(value))}
        )
        output.rows([told], ("task_id", "status"), key="task_id")
