"""The ledger on SQLite: what is written down and counts.

Owns the writer's thread and the queue before it: one transaction a batch, in the order in which they were
handed in, and nobody is answered before the commit has returned. A full disk is said and nothing was written;
after any other failure of the disk nothing is ever acknowledged again. Passing talk is written when no fact
waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import apsw

from hub.core.dependencies import Outcome
from hub.core.effects import EpochRenewed
from hub.core.task import Now
from hub.ports import Batch, Committed, Found, Loaded, StorageBroken, StorageFull
from hub.store import dbapi, rows
from hub.store.database import Database, set_synchronous
from hub.store.writing import (
    find_outcomes,
    find_tasks,
    read_agents,
    read_instances,
    read_open_tasks,
    read_places,
    write_batch,
)
from protocol.ids import TaskId
from protocol.limits import MIB

T = TypeVar("T")
Act = Callable[[apsw.Connection], T]

FREE_BYTES_MIN: Final = 256 * MIB
"""Below this much free disk no new task is taken, so that results of the old ones still find room."""


class Job(Generic[T]):
    """One transaction, or one look, that somebody waits for."""

    def __init__(
        self, act: Act[T], *, is_passing: bool = False, is_batch: bool = False, is_read: bool = False
    ) -> None:
        self.act = act
        self.is_read = is_read
        self.is_passing = is_passing
        self.is_batch = is_batch
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    def settle(self, value: T | None, error: BaseException | None) -> None:
        """From the writer's thread: wake whoever waits, unless their loop is gone."""
        try:
            self.loop.call_soon_threadsafe(self._set, value, error)
        except RuntimeError:
            return  # the loop is closed: nobody is left to be told

    def _set(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


class SqliteLedger:
    """Implements `ports.Ledger`; `close` ends the thread. `write` is for the owners of other tables."""

    def __init__(self, database: Database, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self.database = database
        self.broken: str | None = None
        """Why nothing can be acknowledged any more; None while all is well."""
        self.free_bytes_min = free_bytes_min
        self.is_busy = False
        """Whether a transaction is under way."""
        self.on_letters: Callable[[], None] | None = None
        """Called in the loop of the hub when a batch has put letters into the outbox."""
        self._places = read_places(database.writer)
        self._next_places = self._places
        self._has_new_epoch = False
        self._facts: deque[Job[Any]] = deque()
        self._passing: deque[Job[Any]] = deque()
        self._is_closing = False
        self._bell = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    # --- the port -------------------------------------------------------------------------------------------

    async def load(self, now: Now) -> Loaded:
        """Everything that is open, and every instance and agent."""

        def read(connection: apsw.Connection) -> Loaded:
            self.database.shift_ms = rows.wall_less_mono(now)
            return Loaded(
                tasks=read_open_tasks(connection, self.database.shift_ms),
                instances=read_instances(connection),
                agents=read_agents(connection),
                epoch=self.database.epoch,
                generation_floor=self.database.meta.generation_floor,
                last_offset=self._places.last_offset,
            )

        return await self._ask(Job(read, is_read=True))

    async def commit(self, batch: Batch) -> Committed:
        """Make a batch durable in one transaction and return only then."""
        if batch.has_new_tasks:
            self._check_room()
        committed = await self._ask(Job(lambda connection: self._write(connection, batch), is_batch=True))
        if committed.letters and self.on_letters is not None:
            self.on_letters()
        return committed

    async def find(self, tasks: frozenset[TaskId], keys: frozenset[str]) -> Found:
        """Rows for `Wants`, final tasks included."""
        return await self._ask(
            Job(
                lambda connection: Found(
                    find_tasks(connection, sorted(tasks), sorted(keys), self.database.shift_ms)
                ),
                is_read=True,
            )
        )

    async def look_up(self, tasks: frozenset[TaskId]) -> tuple[Outcome, ...]:
        """How these stand: one outcome for each, also for those of which there is no row."""
        return await self._ask(Job(lambda connection: find_outcomes(connection, sorted(tasks)), is_read=True))

    # --- for other owners -----------------------------------------------------------------------------------

    async def write(self, act: Act[T]) -> T:
        """Run `act` in a transaction of its own, as durable as a batch. What it raises undoes it."""
        return await self._ask(Job(act))

    async def look(self, act: Act[T]) -> T:
        """Read on the writer's connection, after all that was handed in before."""
        return await self._ask(Job(act, is_read=True))

    async def write_passing(self, act: Act[T]) -> T:
        """The same for talk that may be lost: only when nothing else waits, and without a sync of its own."""
        return await self._ask(Job(act, is_passing=True))

    async def close(self) -> None:
        """Finish what was asked, end the thread and close the database."""
        with self._bell:
            self._is_closing = True
            self._bell.notify()
        await asyncio.to_thread(self._thread.join)
        try:
            self.database.close(is_clean=self.broken is None)
        except apsw.Error:
            if self.broken is None:
                raise  # a disk that was given up already may fail once more

    @property
    def waiting(self) -> int:
        """Transactions that are handed in and not begun."""
        return len(self._facts) + len(self._passing)

    def has_room(self) -> bool:
        """Whether new tasks would be taken."""
        return self.database.free_bytes() >= self.free_bytes_min

    # --- inside ---------------------------------------------------------------------------------------------

    def _check_room(self) -> None:
        free_bytes = self.database.free_bytes()
        if free_bytes < self.free_bytes_min:
            raise StorageFull(
                f"{free_bytes // MIB} MiB of disk are free; new tasks need {self.free_bytes_min // MIB}",
                is_for_pushes_only=True,
            )

    async def _ask(self, job: Job[T]) -> T:
        with self._bell:
            assert not self._is_closing, "the ledger is closed"
            (self._passing if job.is_passing else self._facts).append(job)
            self._bell.notify()
        return await job.future

    def _run(self) -> None:
        """The writer's thread."""
        while (job := self._take()) is not None:
            self.is_busy = True
            try:
                value = self._transact(job)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it; the thread serves the next
                job.settle(None, error)
            else:
                job.settle(value, None)
            self.is_busy = False

    def _take(self) -> Job[Any] | None:
        with self._bell:
            while not (self._facts or self._passing or self._is_closing):
                self._bell.wait()
            if self._facts:
                return self._facts.popleft()
            return self._passing.popleft() if self._passing else None

    def _write(self, connection: apsw.Connection, batch: Batch) -> Committed:
        self.database.shift_ms = rows.wall_less_mono(batch.now)
        committed, self._next_places = write_batch(connection, batch, self._places)
        self._has_new_epoch = any(isinstance(change, EpochRenewed) for change in batch.changes)
        return committed

    def _transact(self, job: Job[T]) -> T:
        if self.broken is not None:
            raise StorageBroken(self.broken)
        try:
            value = self._in_transaction(job)
        except apsw.Error as error:
            raise self._judged(job, error) from error
        if job.is_batch:
            self._places = self._next_places
            if self._has_new_epoch:
                self.database.reread_meta()
        return value

    def _judged(self, job: Job[T], error: apsw.Error) -> Exception:
        """What a failure means. Nothing was written, or nobody may be told anything any more."""
        if self.broken is None and isinstance(error, apsw.FullError):
            return StorageFull("the disk is full")
        if self.broken is None and isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return StorageFull("another program holds the lock on the database")
        if (
            self.broken is None
            and isinstance(error, (apsw.ConstraintError, apsw.SQLError))
            and not job.is_batch
        ):
            return dbapi.translated(error)
        self._break(f"{type(error).__name__}: {error}")
        return StorageBroken(self.broken)

    def _break(self, reason: str) -> None:
        self.broken = self.broken or reason

    def _in_transaction(self, job: Job[T]) -> T:
        connection = self.database.writer
        if job.is_read:
            return job.act(connection)
        is_unsynced = job.is_passing and self.database.durability == "full"
        if is_unsynced:
            set_synchronous(connection, "normal")
        try:
            connection.execute("BEGIN IMMEDIATE")
            value = job.act(connection)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                self._roll_back(connection)
            if is_unsynced:
                set_synchronous(connection, "full")
        return value

    def _roll_back(self, connection: apsw.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except apsw.Error as error:
            self._break(f"a failed transaction could not be undone: {error}")
