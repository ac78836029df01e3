"""What the queue is asked about tasks: unique keys, retries, who submitted, waits, kinds of failure, ends."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE tasks ADD COLUMN unique_key TEXT",
    "ALTER TABLE tasks ADD COLUMN retry_of TEXT",
    "ALTER TABLE tasks ADD COLUMN submitted_by TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE tasks ADD COLUMN waits INTEGER",
    "ALTER TABLE tasks ADD COLUMN fingerprint TEXT",
    "ALTER TABLE tasks ADD COLUMN ended_wall_ms INTEGER",
    """
    UPDATE tasks SET
        retry_of = asked.retry_of,
        submitted_by = coalesce(asked.submitted_by, '')
    FROM (SELECT number, spec ->> '$.retry_of' AS retry_of, spec ->> '$.submitted_by' AS submitted_by
          FROM submissions) AS asked
    WHERE asked.number = tasks.number
    """,
    """
    UPDATE tasks SET ended_wall_ms = updated_wall_ms
    WHERE state IN ('cancelled', 'completed', 'dead_letter', 'failed')
    """,
    """
    UPDATE tasks SET fingerprint = error_fingerprint(life ->> '$.ending.how', plugin, life ->> '$.error')
    WHERE state IN ('dead_letter', 'failed')
    """,
    "CREATE UNIQUE INDEX tasks_by_unique ON tasks (unique_key) WHERE unique_key IS NOT NULL",
    "CREATE INDEX tasks_by_retry ON tasks (retry_of) WHERE retry_of IS NOT NULL",
    "CREATE INDEX tasks_by_fingerprint ON tasks (fingerprint, number) WHERE fingerprint IS NOT NULL",
    "CREATE INDEX tasks_by_end ON tasks (ended_wall_ms) WHERE ended_wall_ms IS NOT NULL",
    "CREATE INDEX tasks_waiting ON tasks (number) WHERE waits IS NOT NULL",
)
