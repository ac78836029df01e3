"""The last words of a task, for whoever waits on its channel (contracts §4).

Owns the text of a success, which names what there is of files, deployment, queries, cost and summary, and of
an error, which names the phase that failed and the cause. Reads results of any shape and believes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from hub.core.runs import error_of
from hub.core.task import State, Task

CONTENT_LENGTH_MAX: Final = 16_384
"""Characters of the last words: a page of text. The whole result is in the API."""

NAMES_MAX: Final = 50
"""Files or queries that are named one by one; of more only the number of the rest."""

NAME_LENGTH_MAX: Final = 500
"""Characters of one of them: a long path, or the head of a query."""

FILES: Final = ("files_modified", "filesModified", "modified_files", "files_changed", "files")
DEPLOYMENT: Final = ("deployment_url", "deploymentUrl", "deployed_url", "deploy_url", "url")
QUERIES: Final = ("database_queries", "databaseQueries", "db_queries", "queries")
COST: Final = ("total_cost", "totalCost", "total_cost_usd", "cost_usd", "cost")
SUMMARY: Final = ("summary", "agent_summary", "agentSummary", "output", "text", "message", "content")
"""By which names results have been seen to say it; the first that has something counts."""

WITHIN: Final = ("output", "result")
"""Members in which a result may have been wrapped."""

ITEM_NAMES: Final = ("path", "file", "name", "query", "sql")
"""What an item of a list is called, when it is an object."""

DONE: Final = "The task is complete."

_encode: Final = msgspec.json.Encoder().encode


def content_of(task: Task) -> str:
    """The member `content` of the one final message."""
    error = error_of(task)
    content = success(task) if error is None else failure(task, error)
    return clipped(content, CONTENT_LENGTH_MAX)


# --- success ------------------------------------------------------------------------------------------------


def success(task: Task) -> str:
    found = None if task.result is None else msgspec.json.decode(task.result)
    if isinstance(found, str):
        found = read(found)
    if isinstance(found, str):
        return found if found.strip() else DONE
    lines = tuple(said(found, task)) if isinstance(found, Mapping) else ()
    if lines:
        return "\n".join(lines)
    return DONE if not found else str(_encode(found), "utf-8")


def said(result: Mapping[str, Any], task: Task) -> Iterator[str]:
    """A line for each thing that there is, the summary first."""
    summary = text_of(member(result, SUMMARY))
    if summary:
        yield summary
    yield from listed("Files modified", member(result, FILES))
    deployment = text_of(member(result, DEPLOYMENT))
    if deployment:
        yield f"Deployment: {clipped(deployment, NAME_LENGTH_MAX)}"
    yield from listed("Database queries", member(result, QUERIES))
    cost = cost_of(member(result, COST), task)
    if cost:
        yield f"Total cost: {cost}"


def member(result: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first member of these names that has something, here or one level deeper."""
    places = [result, *(inner for name in WITHIN if isinstance(inner := read(result.get(name)), Mapping))]
    for name in names:
        for place in reversed(places):
            value = place.get(name)
            if has_something(value) and not isinstance(read(value), Mapping):
                return value
    return None


def has_something(value: object) -> bool:
    """Zero is something, nothing and emptiness are not."""
    return value is not None and value not in ("", [], {}) and not isinstance(value, bool)


def read(value: object) -> object:
    """An object that lies in a text; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def listed(title: str, value: object) -> Iterator[str]:
    """A number as a number, a list by its names."""
    if isinstance(value, int | float):
        yield f"{title}: {value:g}"
    elif isinstance(value, str):
        yield f"{title}: {clipped(value, NAME_LENGTH_MAX)}"
    elif isinstance(value, list):
        shown = [f"- {name_of(one)}" for one in value[:NAMES_MAX]]
        rest = len(value) - len(shown)
        yield "\n".join([f"{title} ({len(value)}):", *shown, *([f"- and {rest} more"] if rest else [])])


def name_of(item: object) -> str:
    if isinstance(item, Mapping):
        item = next((item[name] for name in ITEM_NAMES if isinstance(item.get(name), str)), item)
    text = item if isinstance(item, str) else str(_encode(item), "utf-8")
    return clipped(" ".join(text.split()), NAME_LENGTH_MAX)


def text_of(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def cost_of(value: object, task: Task) -> str:
    """As the result says it, or as the run has reported it; a number is of US dollars."""
    if value is None and task.usage is not None:
        value = task.usage.cost
    if isinstance(value, int | float):
        return f"${value:.4f}"
    return clipped(text_of(value), NAME_LENGTH_MAX)


# --- failure ------------------------------------------------------------------------------------------------


def failure(task: Task, error: str) -> str:
    """Where it was, and what went wrong there."""
    return f"{phase_of(task)}: {sentence(error)}"


def phase_of(task: Task) -> str:
    """The phase in which it ended: what the run said last of itself."""
    word = "Stopped" if task.state is State.CANCELLED else "Failed"
    message = clipped(" ".join((task.message or "").split()), NAME_LENGTH_MAX)
    if message:
        return f"{word} in the phase “{message}”"
    return f"{word} before it started" if task.started_wall_ms is None else f"{word} while it was running"


def sentence(text: str) -> str:
    """With an end, so that it reads as one."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def clipped(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[: length_max - 1] + "…"
