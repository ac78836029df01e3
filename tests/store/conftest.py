"""A ledger on a real file, opened for each test and closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store.database import Database, open_database
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries
from tests.store.workload import NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "hub.db"


@pytest.fixture
def database(path: Path) -> Database:
    """Closed by the ledger."""
    return open_database(path)


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(database, free_bytes_min=0)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def queries(database: Database, ledger: SqliteLedger) -> AsyncIterator[Queries]:
    queries = Queries(database, lambda: NOW.wall_ms)
    try:
        yield queries
    finally:
        queries.close()
