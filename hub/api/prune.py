"""POST /api/admin/prune: forget what is over and older than the caller says, while the hub runs.

Owns the bounds of it. What is kept whatever its age, and how it goes, is `store/retention.py`'s.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from hub.api.endpoint import Call, Endpoint, Told
from hub.auth import Scope
from hub.disk import kept_by
from hub.store.retention import AGE_MS_MAX, AGE_MS_MIN, Kept, Retention

PRUNE_STEPS_MAX: Final = 40
"""Of 250 rows each, of each kind: then the caller hears how it goes, and asks again for the rest."""


class PruneBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without an age: what this hub's settings say is old."""

    older_than_ms: Annotated[int, Meta(ge=AGE_MS_MIN, le=AGE_MS_MAX)] | None = None
    dry_run: bool = True


class PruneView(Struct, frozen=True, kw_only=True):
    dry_run: bool
    tasks: int
    """Runs of plugins included."""
    events: int
    log_lines: int
    more: bool
    """There is more: say it again."""


async def prune(call: Call) -> Told:
    body = await call.body(PruneBody)
    now = call.parts.clock.now
    retention = Retention(
        call.parts.ledger,
        call.parts.queries,
        lambda: now().wall_ms,
        kept=kept_of(call, body),
        on_forgotten=call.parts.dispatcher.forget,
    )
    if body.dry_run:
        found = await retention.count()
    else:
        await call.note("pruned", said_of(body))
        found = await retention.prune(PRUNE_STEPS_MAX)
    view = PruneView(
        dry_run=body.dry_run, tasks=found.tasks, events=found.events, log_lines=found.lines, more=found.more
    )
    return Told(200, view)


def said_of(body: PruneBody) -> str:
    return "what is past its age" if body.older_than_ms is None else f"older than {body.older_than_ms} ms"


def kept_of(call: Call, body: PruneBody) -> Kept:
    return kept_by(call.parts.settings) if body.older_than_ms is None else Kept.everything(body.older_than_ms)


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/admin/prune",
        "Forget what is over and old",
        prune,
        Scope.AGENTS_ADMIN,
        reply=PruneView,
        body=PruneBody,
        refusals=(422, 503),
        tag="admin",
    ),
)
