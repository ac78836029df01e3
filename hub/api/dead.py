"""Dead letters: the list of them, and how many there are of each kind.

Owns the two answers. Running one again, or many, is `tasks.py` and `bulk.py`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from hub.api import problems
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.filters import LIST_FILTERS, filter_of
from hub.api.tasks import page_of
from hub.api.views_tasks import TaskPage
from hub.auth import Scope
from hub.core.task import State
from hub.store.dead import DeadGroup, DeadLetters


class DeadGroupView(Struct, frozen=True, kw_only=True):
    """Dead letters with one fingerprint: the same ending, plugin and shape of the error."""

    fingerprint: str
    how: str
    whose_fault: str | None
    error: str
    plugin: str | None
    count: int
    retried: int
    """Of those, the ones that were run again."""
    first_seen_at: int
    last_seen_at: int
    example: str
    """The newest of them."""


class DeadGroupPage(Struct, frozen=True, kw_only=True):
    groups: tuple[DeadGroupView, ...]
    count: int
    next: str | None


def view_group(group: DeadGroup) -> DeadGroupView:
    return DeadGroupView(
        fingerprint=group.fingerprint,
        how=group.how,
        whose_fault=group.whose_fault,
        error=group.error,
        plugin=group.plugin,
        count=group.count,
        retried=group.retried,
        first_seen_at=group.first_seen_wall_ms,
        last_seen_at=group.last_seen_wall_ms,
        example=group.example,
    )


async def list_dead_letters(call: Call) -> Told:
    return await page_of(call, replace(filter_of(call), state=State.DEAD_LETTER))


async def list_groups(call: Call) -> Told:
    """Each kind of failure once, the one that came last first."""
    cursor = call.request.query_params.get("cursor") or None
    page = await DeadLetters(call.parts.queries).groups(cursor=cursor, limit=call.page_rows())
    if page is None:
        raise problems.invalid_field("cursor", "invalid", "That cursor is not one of ours; start without it.")
    views = tuple(view_group(group) for group in page.groups)
    return Told(200, DeadGroupPage(groups=views, count=len(views), next=page.next))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/tasks/dead-letter",
        "List dead letters",
        list_dead_letters,
        Scope.TASKS_READ,
        reply=TaskPage,
        query=LIST_FILTERS,
        refusals=(422,),
    ),
    Endpoint(
        "GET",
        "/api/tasks/dead-letter/groups",
        "Count dead letters by kind of failure",
        list_groups,
        Scope.TASKS_READ,
        reply=DeadGroupPage,
        query=("cursor", "limit"),
        refusals=(422,),
    ),
)
