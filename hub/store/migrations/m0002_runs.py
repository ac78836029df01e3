"""Runs of plugins, their schedules, and the letters to Redis."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE outbox (
        letter_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        target TEXT NOT NULL,
        payload TEXT NOT NULL,
        task_id TEXT NOT NULL,
        wall_ms INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE runs (
        number INTEGER NOT NULL,
        plugin_run_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        plugin TEXT NOT NULL,
        digest TEXT NOT NULL,
        origin TEXT NOT NULL,
        route TEXT NOT NULL,
        created_wall_ms INTEGER NOT NULL,
        ended_wall_ms INTEGER,
        is_briefing INTEGER NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    "CREATE UNIQUE INDEX runs_by_id ON runs (plugin_run_id)",
    "CREATE INDEX runs_by_digest ON runs (digest, number)",
    "CREATE INDEX runs_by_user ON runs (user_id, number)",
    "CREATE INDEX runs_by_plugin ON runs (plugin, number)",
    "CREATE INDEX runs_by_end ON runs (ended_wall_ms)",
    "CREATE INDEX runs_briefings ON runs (number) WHERE is_briefing = 1",
    """
    CREATE TABLE schedules (
        schedule_id TEXT NOT NULL,
        plugin TEXT NOT NULL,
        user_id TEXT NOT NULL,
        record TEXT NOT NULL,
        is_paused INTEGER NOT NULL,
        next_due_wall_ms INTEGER,
        created_wall_ms INTEGER NOT NULL,
        PRIMARY KEY (schedule_id)
    )
    """,
    "CREATE INDEX schedules_by_due ON schedules (next_due_wall_ms)",
)
