"""The ledgers under the contract, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.ledgers import InMemory, OnSqlite, Subject


@pytest.fixture(params=["memory", "sqlite"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    subject: Subject = InMemory() if request.param == "memory" else OnSqlite(tmp_path)
    try:
        yield subject
    finally:
        await subject.close()
