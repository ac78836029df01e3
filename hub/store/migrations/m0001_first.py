"""The first tables."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE agents (
        agent_id TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (agent_id)
    )
    """,
    """
    CREATE TABLE audit (
        number INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL,
        action TEXT NOT NULL,
        actor TEXT NOT NULL,
        address TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    """
    CREATE TABLE events (
        "offset" INTEGER NOT NULL,
        event TEXT NOT NULL,
        task_id TEXT,
        agent_id TEXT,
        generation INTEGER,
        timestamp INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY ("offset")
    )
    """,
    'CREATE INDEX events_by_task ON events (task_id, "offset")',
    """
    CREATE UNIQUE INDEX events_one_ending ON events (task_id)
    WHERE event IN ('task_cancelled', 'task_complete', 'task_failed') AND task_id IS NOT NULL
    """,
    """
    CREATE TABLE instances (
        instance_id TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        mark INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        connection INTEGER NOT NULL,
        owner TEXT DEFAULT '' NOT NULL,
        owner_epoch INTEGER DEFAULT 0 NOT NULL,
        seen_wall_ms INTEGER NOT NULL,
        PRIMARY KEY (instance_id)
    )
    """,
    """
    CREATE TABLE logs (
        line_id INTEGER NOT NULL,
        task_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (line_id)
    )
    """,
    "CREATE INDEX logs_by_task ON logs (task_id, line_id)",
    """
    CREATE TABLE mail (
        agent_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        sender TEXT NOT NULL,
        message_type TEXT NOT NULL,
        payload TEXT NOT NULL,
        reply_to TEXT,
        wall_ms INTEGER NOT NULL,
        PRIMARY KEY (agent_id, seq)
    )
    """,
    "CREATE INDEX mail_by_age ON mail (wall_ms)",
    """
    CREATE TABLE mailboxes (
        agent_id TEXT NOT NULL,
        last_seq INTEGER NOT NULL,
        PRIMARY KEY (agent_id)
    )
    """,
    """
    CREATE TABLE meta (
        number INTEGER NOT NULL,
        epoch TEXT NOT NULL,
        generation_floor INTEGER NOT NULL,
        durability TEXT NOT NULL,
        is_clean INTEGER NOT NULL,
        is_backup INTEGER NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    """
    CREATE TABLE progress (
        task_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL,
        progress TEXT NOT NULL,
        lines INTEGER NOT NULL,
        line_bytes INTEGER NOT NULL,
        PRIMARY KEY (task_id)
    )
    """,
    """
    CREATE TABLE strays (
        number INTEGER NOT NULL,
        agent_id TEXT NOT NULL,
        instance_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        generation INTEGER,
        frame_type TEXT NOT NULL,
        frame TEXT NOT NULL,
        wall_ms INTEGER NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    """
    CREATE TABLE submissions (
        number INTEGER NOT NULL,
        description TEXT NOT NULL,
        spec TEXT NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    """
    CREATE TABLE tasks (
        number INTEGER NOT NULL,
        task_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        priority INTEGER NOT NULL,
        plugin TEXT,
        agent_id TEXT,
        generation INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        strikes INTEGER NOT NULL,
        holder TEXT,
        last_holder TEXT,
        owner TEXT DEFAULT '' NOT NULL,
        owner_epoch INTEGER DEFAULT 0 NOT NULL,
        connection INTEGER DEFAULT 0 NOT NULL,
        idempotency_key TEXT,
        created_wall_ms INTEGER NOT NULL,
        updated_wall_ms INTEGER NOT NULL,
        due_wall_ms INTEGER,
        life TEXT NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    "CREATE INDEX tasks_by_agent ON tasks (agent_id, number)",
    "CREATE UNIQUE INDEX tasks_by_id ON tasks (task_id)",
    "CREATE UNIQUE INDEX tasks_by_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX tasks_by_plugin ON tasks (plugin, number) WHERE plugin IS NOT NULL",
    "CREATE INDEX tasks_by_state ON tasks (state, number)",
    """
    CREATE TABLE tokens (
        token_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        role TEXT NOT NULL,
        agent_id TEXT,
        record TEXT NOT NULL,
        created_wall_ms INTEGER NOT NULL,
        expires_wall_ms INTEGER NOT NULL,
        used_wall_ms INTEGER NOT NULL,
        revoked_wall_ms INTEGER,
        PRIMARY KEY (token_id)
    )
    """,
    "CREATE INDEX tokens_by_agent ON tokens (agent_id)",
    "CREATE UNIQUE INDEX tokens_by_digest ON tokens (digest)",
)
