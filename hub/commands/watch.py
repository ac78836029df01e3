"""`hub watch`: the live feed in a terminal, of one task to its end or of everything."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from console.harmless import harmless
from console.output import CommandFailed, Exit, Output
from hub.commands.client import HubClient, HubEvent
from hub.commands.options import hub_client, hub_options

FINAL: Final = frozenset({"completed", "failed", "cancelled", "dead_letter"})
REDIAL_S: Final = 1.0
REDIALS_MAX: Final = 60
"""A minute without a hub, then the command says so and ends; the task goes on."""

BAR_WIDTH: Final = 20
TEXT_LENGTH_MAX: Final = 200

TONES: Final = {
    "task_complete": "good",
    "task_resumed": "good",
    "task_failed": "bad",
    "task_recovering": "warn",
    "task_requeued": "warn",
    "task_rejected": "warn",
    "task_cancelled": "warn",
    "task_cancelling": "warn",
    "task_stopped": "warn",
    "input_required": "warn",
    "agent_left": "warn",
    "gap": "warn",
    "reset": "warn",
    "task_progress": "soft",
    "task_log": "soft",
    "task_usage": "soft",
}


def events_with_redial(
    client: HubClient, output: Output, *, since: str | None, task: str | None, agent: str | None
) -> Iterator[HubEvent | None]:
    """The feed, resumed at the last cursor as often as the link breaks. None says that a connection was made anew."""
    silent_redials = 0
    while True:
        try:
            for event in client.feed(since=since, task=task, agent=agent):
                silent_redials = 0
                since = event.cursor or since
                yield event
        except CommandFailed as failure:
            if failure.code != Exit.UNREACHABLE or (silent_redials == 0 and since is None):
                raise
        silent_redials += 1
        if silent_redials > REDIALS_MAX:
            raise CommandFailed(f"The hub at {client.url} has not answered for a minute.", Exit.UNREACHABLE)
        if silent_redials == 1:
            output.note("= the link to the hub broke; dialling again")
        threading.Event().wait(REDIAL_S)
        yield None


def exit_of(task: dict[str, Any]) -> Exit:
    """How a task ended, as a number."""
    ending = task.get("ending") or {}
    if task["state"] == "completed":
        return Exit.COMPLETE
    if task["state"] == "cancelled":
        return Exit.CANCELLED
    return Exit.TIMED_OUT if ending.get("whose_fault") == "time" else Exit.FAILED


def follow_task(client: HubClient, output: Output, task_id: str) -> int:
    """One line a step, to the task's end; Ctrl-C only detaches."""
    try:
        return int(follow(client, output, task_id))
    except KeyboardInterrupt:
        output.note(f"Detached; the task goes on. Come back with: hub watch {task_id}")
        return int(Exit.INTERRUPTED)


def follow(client: HubClient, output: Output, task_id: str) -> Exit:
    seen: set[str] = set()
    task = replay(client, output, task_id, seen)
    if task["state"] in FINAL:
        return say_end(output, task)
    for event in events_with_redial(client, output, since=None, task=task_id, agent=None):
        if event is None or event.event in ("snapshot", "reset"):
            task = replay(client, output, task_id, seen)
        elif event.cursor is None or event.cursor not in seen:
            seen.add(event.cursor or "")
            say_event(output, event.body, task_id)
            task = client.get(f"/api/tasks/{task_id}") if event.cursor is not None else task
        if task["state"] in FINAL:
            return say_end(output, task)
        if task["state"] == "input_required" and event is not None and event.event == "input_required":
            say_question(output, task)
    return Exit.UNREACHABLE


def replay(client: HubClient, output: Output, task_id: str, seen: set[str]) -> dict[str, Any]:
    """What has happened so far and was not said yet; then the task as it is."""
    after = 0
    while True:
        page = client.get(f"/api/tasks/{task_id}/events", after=after, limit=500)
        for item in page["events"]:
            if item["cursor"] not in seen:
                seen.add(item["cursor"])
                say_event(output, item, task_id)
        if page["next"] is None or page["count"] < 500:
            break
        after = page["next"]
    return client.get(f"/api/tasks/{task_id}")


def say_question(output: Output, task: dict[str, Any]) -> None:
    question = task.get("question") or {}
    output.note(f"It asks: {question.get('prompt', '')}")
    output.note(f'Answer with: hub tasks answer {task["task_id"]} "..."')


def say_end(output: Output, task: dict[str, Any]) -> Exit:
    code = exit_of(task)
    if output.is_json:
        output.record(task)
        return code
    tone = "good" if code is Exit.COMPLETE else "bad"
    output.line(output.paint(f"{task['state']}  {task['task_id']}", tone))
    if task.get("error"):
        output.line(harmless(str(task["error"])))
    if task.get("result") is not None:
        output.fields({"result": task["result"]})
    return code


def bar(percent: float) -> str:
    full = round(BAR_WIDTH * percent / 100)
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {percent:3.0f} %"


def words_of(payload: Any) -> str:
    """What an event says to a person, in one line."""
    if not isinstance(payload, dict):
        return ""
    parts = []
    if isinstance(payload.get("progress"), int | float):
        parts.append(bar(float(payload["progress"])))
    for name in ("message", "text", "description", "error", "reason", "how", "prompt", "state"):
        if isinstance(payload.get(name), str) and payload[name]:
            parts.append(" ".join(payload[name].split())[:TEXT_LENGTH_MAX])
            break
    if isinstance(payload.get("tokens_out"), int):
        parts.append(f"{payload.get('tokens_in', 0)} tokens in, {payload['tokens_out']} out")
    return "  ".join(parts)


def say_event(output: Output, item: dict[str, Any], task_id: str | None = None) -> None:
    if output.is_json:
        output.record(item)
        return
    clock = time.strftime("%H:%M:%S", time.localtime(item.get("timestamp", 0) / 1000))
    name = item["event"]
    who = item.get("agent_id") or ""
    subject = "" if task_id else f"{item.get('task_id') or '':22} "
    text = f"{clock}  {name:16} {who:14} {subject}{words_of(item.get('payload'))}".rstrip()
    output.line(output.paint(harmless(text), TONES.get(name, "strong")) if name in TONES else harmless(text))


def since_of(text: str | None) -> tuple[str | None, int | None]:
    """A cursor, or how far back: `10m` means everything since then."""
    if text is None:
        return None, None
    if re.fullmatch(r"\d+(ms|s|m|h|d)", text):
        from hub.clock import wall_ms
        from hub.commands.push import duration_ms

        return None, wall_ms() - duration_ms(text)
    return text, None


@click.command("watch")
@click.argument("task", required=False)
@click.option("--last", is_flag=True, help="The task that was pushed last.")
@click.option("--agent", help="Only what this agent does.")
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
    """Watch a task to its end, or the whole feed. Ctrl-C detaches; nothing stops because nobody looks."""
    output = Output(where.pop("as_json"), where.pop("quiet"))
    if task is not None and (last or everything):
        raise click.UsageError("Name a task, or --last, or --all: one of them.")
    with hub_client(**where) as client:
        if last:
            found = client.get("/api/tasks", limit=1)["tasks"]
            if not found:
                raise CommandFailed('There is no task yet. Push one: hub push alice "do it"', Exit.NOT_FOUND)
            task = found[0]["task_id"]
        if task is not None:
            sys.exit(follow_task(client, output, task))
        sys.exit(watch_all(client, output, agent, since))


def watch_all(client: HubClient, output: Output, agent: str | None, since: str | None) -> int:
    cursor, not_before_ms = since_of(since)
    if not_before_ms is not None:
        cursor = "0"
    last = cursor
    try:
        for event in events_with_redial(client, output, since=cursor, task=None, agent=agent):
            if event is None or event.event == "snapshot":
                continue
            last = event.cursor or last
            if not_before_ms is None or event.body.get("timestamp", not_before_ms) >= not_before_ms:
                say_event(output, {"event": event.event, **event.body})
    except KeyboardInterrupt:
        output.note(f"Detached. Come back with: hub watch --all --since {last or '10m'}")
        return int(Exit.INTERRUPTED)
    return int(Exit.COMPLETE)
