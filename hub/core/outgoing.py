"""What Redis hears of a task that has ended: one letter for whoever listens, in the turn of the ending.

Owns when there is a letter, its key, its target and its members (contracts §3 and §4). The words of an ending
are in `wording.py`. Never publishes: letters lie in the outbox until the hub's relay has delivered them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw

from hub.core import runs, wording
from hub.core.effects import LetterPosted
from hub.core.task import State, Task
from protocol.ids import TaskId

RESULTS: Final = "plugin:results"
"""The stream of results."""

_encode: Final = msgspec.json.Encoder().encode


def final_key(task_id: TaskId) -> str:
    """Of the marker behind which nothing is published on the channel of this task any more."""
    return task_id


def letters_of(task: Task) -> Iterator[LetterPosted]:
    """What must be told of a task that is final now."""
    channel, run = task.spec.stream_id, task.spec.run
    if channel is not None:
        is_error = task.state is not State.COMPLETED
        members: dict[str, object] = {
            "complete": True,
            "content": wording.content_of(task),
            "isError": is_error,
        }
        yield LetterPosted(
            kind="final",
            key=final_key(task.task_id),
            target=channel,
            payload=Raw(_encode(members)),
            task_id=task.task_id,
        )
    if run is not None and run.origin == "stream":
        members = {
            "plugin_run_id": run.plugin_run_id,
            "status": runs.status_of(task).value,
            "output": runs.output_of(task),
            "error": runs.error_of(task),
        }
        yield LetterPosted(
            kind="result",
            key=run.plugin_run_id,
            target=RESULTS,
            payload=Raw(_encode(members)),
            task_id=task.task_id,
        )
