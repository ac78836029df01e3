"""Ledgers under the contract: each can be made to fail, and started again on what it has kept.

Owns the shape `Subject` and its two kinds. Never judges: `test_ledger.py` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from hub.ports import Ledger
from hub.store.database import open_database
from hub.store.ledger import FREE_BYTES_MIN, SqliteLedger
from hub.store.writing import letter_row
from tests.doubles_ledger import WaitingLedger
from tests.store.disk import Disk

NO_ROOM = 1 << 62


class Subject(ABC):
    """A ledger, and the hand that makes it fail."""

    @property
    @abstractmethod
    def ledger(self) -> Ledger:
        """The one that is open now."""

    @abstractmethod
    async def letters(self) -> list[tuple[str, ...]]:
        """What lies in the outbox: kind, key, target, payload and task."""

    @abstractmethod
    async def restart(self) -> None:
        """End without a word, and start on what is durable."""

    @abstractmethod
    def fill(self, *, is_full: bool) -> None:
        """No byte more can be written, or again."""

    @abstractmethod
    def run_low(self) -> None:
        """There is little room left: enough for results, not for new tasks."""

    @abstractmethod
    def break_disk(self) -> None:
        """From now on writes and syncs fail."""

    @abstractmethod
    async def close(self) -> None: ...


class InMemory(Subject):
    def __init__(self) -> None:
        self._ledger = WaitingLedger()

    @property
    def ledger(self) -> WaitingLedger:
        return self._ledger

    async def letters(self) -> list[tuple[str, ...]]:
        return [letter_row(letter) for letter in self._ledger.durable.letters]

    async def restart(self) -> None:
        self._ledger = self._ledger.restarted()

    def fill(self, *, is_full: bool) -> None:
        self._ledger.is_full = is_full

    def run_low(self) -> None:
        self._ledger.is_low = True

    def break_disk(self) -> None:
        self._ledger.is_broken = True

    async def close(self) -> None:
        return


class OnSqlite(Subject):
    """The shipped one, on a real file, over a disk that can fail."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state" / "hub.db"
        self._disk = Disk()
        self._free_bytes_min = 0
        self._ledger = self._open()

    def _open(self) -> SqliteLedger:
        database = open_database(self._path, vfs=self._disk.name)
        return SqliteLedger(database, free_bytes_min=self._free_bytes_min)

    @property
    def ledger(self) -> SqliteLedger:
        return self._ledger

    async def letters(self) -> list[tuple[str, ...]]:
        sql = "SELECT kind, key, target, payload, task_id FROM outbox ORDER BY letter_id"
        found = await self._ledger.look(lambda connection: connection.execute(sql).fetchall())
        return [tuple(str(value) for value in row) for row in found]

    async def restart(self) -> None:
        self._ledger.broken = "the process is gone"
        await self._ledger.close()
        self._disk.heal()
        self._ledger = self._open()

    def fill(self, *, is_full: bool) -> None:
        self._disk.is_full = is_full

    def run_low(self) -> None:
        assert FREE_BYTES_MIN < NO_ROOM
        self._ledger.free_bytes_min = NO_ROOM

    def break_disk(self) -> None:
        self._disk.fail_sync_at = self._disk.syncs + 1

    async def close(self) -> None:
        try:
            await self._ledger.close()
        finally:
            self._disk.unregister()
