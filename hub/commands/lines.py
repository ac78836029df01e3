"""Many tasks from the lines of a text: `hub push --lines`.

Owns how lines become batches and how the answers are told: what was made on standard output, what was refused
on standard error with the number of its line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from console.output import CommandFailed, Exit, Output

if TYPE_CHECKING:
    from hub.commands.client import HubClient

LINES_A_BATCH_MAX: Final = 1_000
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of the tasks of one batch, as JSON: half of what the hub takes at once."""

Numbered = tuple[int, dict[str, Any]]


def tasks_of(text: str, body: dict[str, Any]) -> list[Numbered]:
    """One task for each line that says something, with its number. A key counts for the whole text: each line
    has one of its own made of it.
    """
    tasks = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            task = body | {"description": line}
            if "idempotency_key" in body:
                task["idempotency_key"] = f"{body['idempotency_key']}:{number}"
            tasks.append((number, task))
    if not tasks:
        raise CommandFailed("There is no line with a task in it.", Exit.USAGE)
    return tasks


def batches_of(tasks: list[Numbered]) -> Iterator[list[Numbered]]:
    """So many at once, in number and in bytes."""
    batch: list[Numbered] = []
    size = 0
    for numbered in tasks:
        length = len(json.dumps(numbered[1]))
        if batch and (len(batch) >= LINES_A_BATCH_MAX or size + length > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(numbered)
        size += length
    if batch:
        yield batch


def push_lines(client: HubClient, output: Output, tasks: list[Numbered]) -> None:
    """Push them all; the exit code is 1 when any was refused."""
    made = refused = 0
    for batch in batches_of(tasks):
        items = client.post("/api/tasks/batch", {"tasks": [task for _, task in batch]})["items"]
        for (number, _), item in zip(batch, items, strict=True):
            if item["code"] == 201:
                made += 1
                say_made(output, number, item)
            else:
                refused += 1
                print(f"line {number}: {reason_of(item)}", file=sys.stderr)
    output.note(f"{made} pushed" + (f", {refused} refused" if refused else ""))
    if refused:
        sys.exit(int(Exit.FAILED))


def say_made(output: Output, number: int, item: dict[str, Any]) -> None:
    if output.is_json and not output.quiet:
        output.record({"line": number, "task_id": item["task_id"], "status": item["status"]})
    else:
        output.line(item["task_id"])


def reason_of(item: dict[str, Any]) -> str:
    faults = "; ".join(f"{one['field']}: {one['detail']}" for one in item.get("errors", ()))
    return f"{item.get('error', item['code'])}: {faults or item.get('detail', '')}"
