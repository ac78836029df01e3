"""The tables of outgoing webhooks, declared once.

Owns names, types and indexes of who is told of events, of what they are told, and of every try. Never writes
a row: `webhooks.py` does.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Index, Integer, Text, text
from sqlmodel import Field, SQLModel

from hub.store.tables import BIG

IS_PENDING = text("state = 'pending'")
IS_OVER = text("state <> 'pending'")
IS_EVENT = text("event_offset IS NOT NULL")


class WebhookRow(SQLModel, table=True):
    """Who is told. No secret is here: secrets follow from the pepper and from what `record` names."""

    __tablename__: ClassVar[str] = "webhooks"

    webhook_id: str = Field(sa_type=Text, primary_key=True)
    record: str = Field(sa_type=Text, description="address, filter and keys, as JSON")
    is_enabled: int = Field(sa_type=Integer)
    cursor: int = Field(sa_type=BIG, description="offset of the last event that was looked at for it")
    created_wall_ms: int = Field(sa_type=BIG)


class NoticeRow(SQLModel, table=True):
    """What is told, once for all who are told it."""

    __tablename__: ClassVar[str] = "webhook_notices"
    __table_args__ = (Index("notices_by_event", "event_offset", unique=True, sqlite_where=IS_EVENT),)

    message_id: str = Field(sa_type=Text, primary_key=True)
    event_offset: int | None = Field(sa_type=BIG)
    body: str = Field(sa_type=Text)


class DeliveryRow(SQLModel, table=True):
    """One notice for one of them. A number is never used again: people and logs name it."""

    __tablename__: ClassVar[str] = "webhook_deliveries"
    __table_args__ = (
        Index("deliveries_once", "webhook_id", "message_id", unique=True),
        Index("deliveries_due", "webhook_id", "due_wall_ms", "number", sqlite_where=IS_PENDING),
        Index("deliveries_by_webhook", "webhook_id", "number"),
        Index("deliveries_by_state", "webhook_id", "state", "number"),
        Index("deliveries_by_notice", "message_id"),
        Index("deliveries_by_age", "updated_wall_ms", sqlite_where=IS_OVER),
        {"sqlite_autoincrement": True},
    )

    number: int = Field(sa_type=Integer, primary_key=True)
    webhook_id: str = Field(sa_type=Text)
    message_id: str = Field(sa_type=Text)
    event: str = Field(sa_type=Text)
    task_id: str | None = Field(sa_type=Text)
    agent_id: str | None = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    tries: int = Field(sa_type=Integer, description="of the round that is on")
    due_wall_ms: int = Field(sa_type=BIG)
    created_wall_ms: int = Field(sa_type=BIG)
    updated_wall_ms: int = Field(sa_type=BIG)


class TryRow(SQLModel, table=True):
    """One try of a delivery, and what came of it."""

    __tablename__: ClassVar[str] = "webhook_tries"
    __table_args__ = (Index("tries_by_delivery", "delivery", "number"), Index("tries_by_age", "wall_ms"))

    number: int = Field(sa_type=BIG, primary_key=True)
    delivery: int = Field(sa_type=BIG)
    wall_ms: int = Field(sa_type=BIG)
    status: int | None = Field(sa_type=Integer)
    error: str | None = Field(sa_type=Text)
    took_ms: int = Field(sa_type=BIG)
    answer: str = Field(sa_type=Text, description="its beginning, made harmless")
