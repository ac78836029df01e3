"""The filters of tasks, as the query string of lists and exports and the body of bulk have them.

Owns their names and what each may be. Never looks for a task.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from hub.api import problems
from hub.api.bodies import KEY_LENGTH_MAX, AgentName, Key, Name, WallMs
from hub.api.endpoint import Call
from hub.core.task import Priority, State
from hub.store.task_filters import TaskFilter
from protocol.limits import INTEGER_MAX, NAME_LENGTH_MAX

FILTERS: Final = (
    "state",
    "agent_id",
    "plugin",
    "priority",
    "q",
    "label",
    "fingerprint",
    "submitted_by",
    "unique_key",
    "concurrency_key",
    "after",
    "before",
    "task_ids",
    "retry_of",
)
LIST_FILTERS: Final = (*FILTERS, "cursor", "limit", "brief")

IDS_MAX: Final = 500
"""Task ids in one filter: as many as a page of tasks has rows."""

LENGTHS_MAX: Final = {
    "unique_key": KEY_LENGTH_MAX,
    "concurrency_key": KEY_LENGTH_MAX,
    "label": 2 * NAME_LENGTH_MAX + 1,
}
"""Of the others a filter has as many characters as a name: nothing is longer that it could be held against,
and SQLite refuses patterns beyond 50,000 bytes.
"""

StateWord = Literal[
    "queued",
    "assigned",
    "running",
    "input_required",
    "recovering",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
    "dead_letter",
]
PriorityWord = Literal["urgent", "high", "normal", "low"]
Ids = Annotated[tuple[Key, ...], Meta(min_length=1, max_length=IDS_MAX)]


class FilterBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks are meant; all that is given must hold. A word that is none of these is refused: a typo
    must not mean more tasks."""

    state: StateWord | None = None
    agent_id: AgentName | None = None
    plugin: Name | None = None
    priority: PriorityWord | None = None
    q: Name | None = None
    label: Annotated[str, Meta(min_length=1, max_length=LENGTHS_MAX["label"])] | None = None
    """`name=value`."""
    fingerprint: Name | None = None
    submitted_by: Name | None = None
    unique_key: Key | None = None
    concurrency_key: Key | None = None
    after: WallMs | None = None
    """Pushed then or later, in unix milliseconds."""
    before: WallMs | None = None
    """Pushed before."""
    task_ids: Ids | None = None
    """One of these; in a query string they are parted by commas."""
    retry_of: Ids | None = None
    """What runs one of these again."""


def chosen(call: Call, name: str, allowed: list[str]) -> str | None:
    """One of a few words in the query string; an unknown one is 422, not silence."""
    said = call.request.query_params.get(name)
    if said is not None and said not in allowed:
        raise problems.invalid_field(name, "invalid", f"Expected one of {', '.join(allowed)}.")
    return said


def text_of(call: Call, name: str) -> str | None:
    """Words to be found, no longer than anything that they could be found in."""
    said = call.request.query_params.get(name)
    most = LENGTHS_MAX.get(name, NAME_LENGTH_MAX)
    if said is not None and len(said) > most:
        raise problems.invalid_field(name, "too_long", f"At most {most} characters.")
    return said


def pattern_of(said: str | None, field: str) -> str | None:
    """To SQLite a pattern ends at U+0000: it would mean more tasks than are meant."""
    if said is not None and "\x00" in said:
        raise problems.invalid_field(field, "invalid", "U+0000 is not allowed.")
    return said


def label_of(said: str | None, field: str) -> tuple[str, str] | None:
    """`name=value`: the first = parts them."""
    if said is None:
        return None
    name, equals, value = said.partition("=")
    if not name or not equals:
        raise problems.invalid_field(field, "invalid", "Expected name=value.")
    return name, value


def moment_of(call: Call, name: str) -> int | None:
    if not call.request.query_params.get(name):
        return None
    return call.integer(name, 0, most=INTEGER_MAX)


def ids_of(call: Call, name: str) -> tuple[str, ...] | None:
    """Ids parted by commas."""
    said = call.request.query_params.get(name)
    if said is None:
        return None
    ids = tuple(said.split(","))
    if not all(ids) or len(ids) > IDS_MAX:
        raise problems.invalid_field(name, "invalid", f"Expected 1 to {IDS_MAX} task ids, parted by commas.")
    return ids


def is_brief(call: Call) -> bool:
    """Whether a list leaves out what may be large: results, inputs, metadata, the rest of descriptions."""
    return chosen(call, "brief", ["true", "false"]) == "true"


def filter_of(call: Call) -> TaskFilter:
    """The query string of a list."""
    state = chosen(call, "state", [s.value for s in State])
    priority = chosen(call, "priority", [p.word for p in Priority])
    return TaskFilter(
        state=State(state) if state else None,
        agent_id=text_of(call, "agent_id"),
        plugin=text_of(call, "plugin"),
        priority=Priority[priority.upper()] if priority else None,
        text=pattern_of(text_of(call, "q"), "q"),
        label=label_of(text_of(call, "label"), "label"),
        fingerprint=text_of(call, "fingerprint"),
        submitted_by=text_of(call, "submitted_by"),
        unique_key=text_of(call, "unique_key"),
        concurrency_key=text_of(call, "concurrency_key"),
        after_wall_ms=moment_of(call, "after"),
        before_wall_ms=moment_of(call, "before"),
        task_ids=ids_of(call, "task_ids"),
        retry_of=ids_of(call, "retry_of"),
    )


def filter_of_body(body: FilterBody) -> TaskFilter:
    return TaskFilter(
        state=State(body.state) if body.state else None,
        agent_id=body.agent_id,
        plugin=body.plugin,
        priority=Priority[body.priority.upper()] if body.priority else None,
        text=pattern_of(body.q, "filter.q"),
        label=label_of(body.label, "filter.label"),
        fingerprint=body.fingerprint,
        submitted_by=body.submitted_by,
        unique_key=body.unique_key,
        concurrency_key=body.concurrency_key,
        after_wall_ms=body.after,
        before_wall_ms=body.before,
        task_ids=body.task_ids,
        retry_of=body.retry_of,
    )
