"""What a database says of itself, as records for the checker: its tasks, and its log of events.

Owns one read-only look at the file, in one transaction, so that tasks and events belong together also while a
hub is writing. Never judges and never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from hub import clock
from hub.history import Record
from hub.store.database import BUSY_MS
from hub.verdicts import DATABASE, LOG

TASKS: Final = "SELECT task_id, state, generation, idempotency_key, life FROM tasks ORDER BY number"
EVENTS: Final = 'SELECT "offset", event, task_id, generation FROM events ORDER BY "offset"'


class Life(msgspec.Struct, frozen=True):
    """The one part of a task's life that the checker compares."""

    result: msgspec.Raw = msgspec.Raw(b"null")


def result_in(life: str) -> Any:
    """A result as runs have noted it; as its text where it has a number that no program here can hold."""
    text = msgspec.json.decode(life, type=Life).result
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return bytes(text).decode()


def records_of_database(path: Path) -> Iterator[Record]:
    """Every event of the log in its order, then every task as its row has it."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MS)
    try:
        connection.execute("BEGIN")
        (epoch,) = connection.execute("SELECT epoch FROM meta").fetchone() or ("",)
        numbers = count(1)
        for offset, event, task_id, generation in connection.execute(EVENTS):
            yield Record(
                t=clock.monotonic_ns(),
                p=LOG,
                n=next(numbers),
                type="ok",
                f="event",
                task=task_id,
                gen=generation,
                value=[f"{epoch}:{offset}", event],
            )
        for task_id, state, generation, key, life in connection.execute(TASKS):
            yield Record(
                t=clock.monotonic_ns(),
                p=DATABASE,
                n=next(numbers),
                type="ok",
                f="terminal",
                key=key,
                task=task_id,
                gen=generation,
                value={"state": state, "result": result_in(life)},
            )
    finally:
        connection.close()
