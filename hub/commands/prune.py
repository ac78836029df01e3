"""`hub db prune`: forget what is over and old, at a hub that runs or in the file of one that does not.

Owns which of the two it is. What goes, and what never does, is `store/retention.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from console.output import CommandFailed, Exit, Output
from hub.commands.bulk import make_sure
from hub.commands.options import opened

if TYPE_CHECKING:
    from hub.settings import Settings

COUNTS = ("tasks", "events", "log_lines")
Ask = Callable[[bool], dict[str, Any]]
"""Once, as a rehearsal or not: what the API answers."""


def prune(
    output: Output,
    settings: Settings,
    age_ms: int | None,
    where: dict[str, Any],
    *,
    is_dry_run: bool,
    is_sure: bool,
) -> None:
    from hub.store.backup import version_at
    from hub.store.database import is_in_use
    from hub.store.migrations import MIGRATIONS

    if where["hub_url"] or is_in_use(settings.database_file):
        _, client = opened(where)
        body = {} if age_ms is None else {"older_than_ms": age_ms}
        with client:

            def ask(dry_run: bool) -> dict[str, Any]:
                return client.post("/api/admin/prune", {**body, "dry_run": dry_run})

            carry_out(output, ask, is_dry_run=is_dry_run, is_sure=is_sure)
        return
    if not settings.database_file.exists():
        raise CommandFailed(f"There is no database at {settings.database_file}.", Exit.NOT_FOUND)

    if version_at(settings.database_file) < len(MIGRATIONS):
        raise CommandFailed("Its tables are older than this program: hub db upgrade first.", Exit.FAILED)

    def ask_file(dry_run: bool) -> dict[str, Any]:
        return asyncio.run(in_file(settings, age_ms, is_dry_run=dry_run))

    carry_out(output, ask_file, is_dry_run=is_dry_run, is_sure=is_sure)


def carry_out(output: Output, ask: Ask, *, is_dry_run: bool, is_sure: bool) -> None:
    """Count, ask, and forget step by step until nothing old is left."""
    told = ask(True)
    if is_dry_run or not any(told[name] for name in COUNTS):
        output.fields(told)
        return
    more = "at least " if told["more"] else ""
    said = f"{told['tasks']} tasks, {told['events']} events and {told['log_lines']} lines of logs"
    make_sure(f"Forget {more}{said} for good?", is_sure=is_sure)
    last = total = ask(False)
    while last["more"] and any(last[name] for name in COUNTS):
        last = ask(False)
        total = {**last, **{name: total[name] + last[name] for name in COUNTS}}
    output.fields(total)


async def in_file(settings: Settings, age_ms: int | None, *, is_dry_run: bool) -> dict[str, Any]:
    """The same without a hub, which is kept out meanwhile."""
    from hub.disk import kept_by
    from hub.store.database import open_database
    from hub.store.ledger import SqliteLedger
    from hub.store.queries import Queries
    from hub.store.retention import STEPS_MAX, Kept, Retention

    kept = kept_by(settings) if age_ms is None else Kept.everything(age_ms)
    database = open_database(settings.database_file, settings.durability)
    ledger = SqliteLedger(database)
    queries = Queries(database)
    try:
        retention = Retention(ledger, queries, kept=kept)
        found = await (retention.count() if is_dry_run else retention.prune(STEPS_MAX))
    finally:
        queries.close()
        await ledger.close()
    counts = {"tasks": found.tasks, "events": found.events, "log_lines": found.lines}
    return {"dry_run": is_dry_run, **counts, "more": found.more}
