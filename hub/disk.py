"""What of a hub outlives it: ledger, log, audit and history, opened together and closed in good order.

Owns the order (the last write comes before the end of the ledger), and how long what is over outlives it.
Never decides what is written.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from hub.audit import Audit
from hub.clock import HubClock
from hub.history import History
from hub.settings import Settings
from hub.store.database import Database, open_database
from hub.store.ledger import SqliteLedger
from hub.store.passing import PassingKept
from hub.store.queries import Queries
from hub.store.retention import Kept


@dataclass(frozen=True, slots=True)
class Disk:
    """Whoever writes and reads what outlives the hub."""

    database: Database
    ledger: SqliteLedger
    passing: PassingKept
    audit: Audit
    queries: Queries
    history: History


def disk_of(settings: Settings, clock: HubClock, stack: AsyncExitStack) -> Disk:
    """Opened now; the last write comes before the end of the ledger."""
    database = open_database(settings.database_file, settings.durability)
    ledger = SqliteLedger(database, free_bytes_min=settings.free_bytes_min)
    stack.push_async_callback(ledger.close)
    passing = PassingKept(ledger)
    stack.push_async_callback(passing.flush)
    audit = Audit(ledger, clock)
    stack.push_async_callback(audit.flush)
    queries = Queries(database)
    stack.callback(queries.close)
    history = History(settings.history_file)
    stack.callback(history.close)
    return Disk(database, ledger, passing, audit, queries, history)


def kept_by(settings: Settings) -> Kept:
    """How long this hub keeps what is over."""
    return Kept(
        talk_ms=settings.talk_kept_ms,
        events_ms=settings.events_kept_ms,
        tasks_ms=settings.tasks_kept_ms,
        runs_ms=settings.runs_kept_ms,
    )
