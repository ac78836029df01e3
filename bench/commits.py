"""The raw limit of the disk: bare SQLite commits with the hub's own driver and settings.

Owns the two figures beside which the hub's are read: one small row a commit, and a batch of rows a commit.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import apsw

ROW = ("task-0123456789abcdef", "x" * 300)


def open_bare(path: Path, durability: str) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={durability.upper()}")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, id TEXT, body TEXT)")
    return connection


def commits_a_second(folder: Path, durability: str, rows: int, seconds: float) -> float:
    """Commits a second, each of so many rows."""
    path = folder / f"bare-{durability}-{rows}-{time.perf_counter_ns()}.db"
    connection = open_bare(path, durability)
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO t (id, body) VALUES (?, ?)", [ROW] * rows)
        connection.execute("COMMIT")
        count += 1
    rate = count / (time.perf_counter() - start)
    connection.close()
    return rate


def fsync_s(folder: Path, times: int = 50) -> float:
    """The median of one append and fdatasync."""
    found = []
    descriptor = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(times):
        start = time.perf_counter()
        os.write(descriptor, b"x" * 200)
        os.fdatasync(descriptor)
        found.append(time.perf_counter() - start)
    os.close(descriptor)
    return sorted(found)[len(found) // 2]
