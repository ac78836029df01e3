"""Webhooks that are told of events: who, what, and every try."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE webhooks (
        webhook_id TEXT NOT NULL,
        record TEXT NOT NULL,
        is_enabled INTEGER NOT NULL,
        cursor INTEGER NOT NULL,
        created_wall_ms INTEGER NOT NULL,
        PRIMARY KEY (webhook_id)
    )
    """,
    """
    CREATE TABLE webhook_notices (
        message_id TEXT NOT NULL,
        event_offset INTEGER,
        body TEXT NOT NULL,
        PRIMARY KEY (message_id)
    )
    """,
    "CREATE UNIQUE INDEX notices_by_event ON webhook_notices (event_offset) WHERE event_offset IS NOT NULL",
    """
    CREATE TABLE webhook_deliveries (
        number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        webhook_id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        event TEXT NOT NULL,
        task_id TEXT,
        agent_id TEXT,
        state TEXT NOT NULL,
        tries INTEGER NOT NULL,
        due_wall_ms INTEGER NOT NULL,
        created_wall_ms INTEGER NOT NULL,
        updated_wall_ms INTEGER NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX deliveries_once ON webhook_deliveries (webhook_id, message_id)",
    """
    CREATE INDEX deliveries_due ON webhook_deliveries (webhook_id, due_wall_ms, number)
    WHERE state = 'pending'
    """,
    "CREATE INDEX deliveries_by_webhook ON webhook_deliveries (webhook_id, number)",
    "CREATE INDEX deliveries_by_state ON webhook_deliveries (webhook_id, state, number)",
    "CREATE INDEX deliveries_by_notice ON webhook_deliveries (message_id)",
    "CREATE INDEX deliveries_by_age ON webhook_deliveries (updated_wall_ms) WHERE state <> 'pending'",
    """
    CREATE TABLE webhook_tries (
        number INTEGER NOT NULL,
        delivery INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL,
        status INTEGER,
        error TEXT,
        took_ms INTEGER NOT NULL,
        answer TEXT NOT NULL,
        PRIMARY KEY (number)
    )
    """,
    "CREATE INDEX tries_by_delivery ON webhook_tries (delivery, number)",
    "CREATE INDEX tries_by_age ON webhook_tries (wall_ms)",
)
