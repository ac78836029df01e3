"""Every table of the ledger, declared once.

Owns names, types and indexes. Migrations bring a database here, and a test proves that all of them together
make exactly these. Never writes a row: `writing.py` writes tasks, events and marks, and each other table has
an owner.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

BIG: Final = BigInteger().with_variant(Integer(), "sqlite")
"""Milliseconds and offsets need 64 bits, which SQLite's INTEGER has and PostgreSQL's has not."""

ENDINGS: Final = ("task_cancelled", "task_complete", "task_failed")
"""The events of which a task has at most one (D3); a failure that is tried again is a `task_requeued`."""

ENDS: Final = text("event IN ('task_cancelled', 'task_complete', 'task_failed') AND task_id IS NOT NULL")


class TaskRow(SQLModel, table=True):
    """Where a task stands. Rewritten at every change, so what never changes lies in `submissions`."""

    __tablename__: ClassVar[str] = "tasks"
    __table_args__ = (
        Index("tasks_by_id", "task_id", unique=True),
        Index(
            "tasks_by_key",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("tasks_by_state", "state", "number"),
        Index("tasks_by_agent", "agent_id", "number"),
        Index("tasks_by_plugin", "plugin", "number", sqlite_where=text("plugin IS NOT NULL")),
        Index("tasks_by_unique", "unique_key", unique=True, sqlite_where=text("unique_key IS NOT NULL")),
        Index("tasks_by_retry", "retry_of", sqlite_where=text("retry_of IS NOT NULL")),
        Index("tasks_by_fingerprint", "fingerprint", "number", sqlite_where=text("fingerprint IS NOT NULL")),
        Index("tasks_by_end", "ended_wall_ms", sqlite_where=text("ended_wall_ms IS NOT NULL")),
        Index("tasks_waiting", "number", sqlite_where=text("waits IS NOT NULL")),
    )

    number: int = Field(sa_type=BIG, primary_key=True, description="in the order of pushes; pages go by it")
    task_id: str = Field(sa_type=Text)
    version: int = Field(sa_type=BIG)
    state: str = Field(sa_type=Text)
    priority: int = Field(sa_type=Integer)
    plugin: str | None = Field(sa_type=Text)
    agent_id: str | None = Field(sa_type=Text, description="who has it, had it last, or is meant")
    generation: int = Field(sa_type=BIG)
    attempt: int = Field(sa_type=Integer)
    strikes: int = Field(sa_type=Integer)
    holder: str | None = Field(sa_type=Text, description="instance that has it in hand")
    last_holder: str | None = Field(sa_type=Text, description="instance that had it before")
    owner: str = Field(sa_column=Column("owner", Text, nullable=False, server_default=text("''")))
    owner_epoch: int = Field(sa_column=Column("owner_epoch", BIG, nullable=False, server_default=text("0")))
    connection: int = Field(sa_column=Column("connection", BIG, nullable=False, server_default=text("0")))
    idempotency_key: str | None = Field(sa_type=Text)
    created_wall_ms: int = Field(sa_type=BIG)
    updated_wall_ms: int = Field(sa_type=BIG)
    due_wall_ms: int | None = Field(sa_type=BIG)
    life: str = Field(sa_type=Text, description="everything else that changes, as JSON")
    unique_key: str | None = Field(sa_type=Text, description="while the task is open")
    retry_of: str | None = Field(sa_type=Text)
    submitted_by: str = Field(
        sa_column=Column("submitted_by", Text, nullable=False, server_default=text("''"))
    )
    waits: int | None = Field(sa_type=Integer, description="for how many tasks, while it does for any")
    fingerprint: str | None = Field(sa_type=Text, description="of the failure, when it ended in one")
    ended_wall_ms: int | None = Field(sa_type=BIG)


class SubmissionRow(SQLModel, table=True):
    """What was asked: written once, however often the task moves."""

    __tablename__: ClassVar[str] = "submissions"

    number: int = Field(sa_type=BIG, primary_key=True)
    description: str = Field(sa_type=Text)
    spec: str = Field(sa_type=Text, description="the rest of it, as JSON")


class EventRow(SQLModel, table=True):
    """The log that the feed is the tail of. Offsets have no gap; the newest row is never deleted."""

    __tablename__: ClassVar[str] = "events"
    __table_args__ = (
        Index("events_by_task", "task_id", "offset"),
        Index("events_one_ending", "task_id", unique=True, sqlite_where=ENDS, postgresql_where=ENDS),
    )

    offset: int = Field(sa_type=BIG, primary_key=True)
    event: str = Field(sa_type=Text)
    task_id: str | None = Field(sa_type=Text)
    agent_id: str | None = Field(sa_type=Text)
    generation: int | None = Field(sa_type=BIG)
    timestamp: int = Field(sa_type=BIG)
    payload: str = Field(sa_type=Text)


class InstanceRow(SQLModel, table=True):
    __tablename__: ClassVar[str] = "instances"

    instance_id: str = Field(sa_type=Text, primary_key=True)
    agent_id: str = Field(sa_type=Text)
    mark: int = Field(sa_type=BIG)
    boot_id: str = Field(sa_type=Text)
    connection: int = Field(sa_type=BIG)
    owner: str = Field(sa_column=Column("owner", Text, nullable=False, server_default=text("''")))
    owner_epoch: int = Field(sa_column=Column("owner_epoch", BIG, nullable=False, server_default=text("0")))
    seen_wall_ms: int = Field(sa_type=BIG)


class AgentRow(SQLModel, table=True):
    __tablename__: ClassVar[str] = "agents"

    agent_id: str = Field(sa_type=Text, primary_key=True)
    record: str = Field(sa_type=Text, description="an AgentRecord as JSON")


class StrayRow(SQLModel, table=True):
    """Facts about tasks that the hub does not know."""

    __tablename__: ClassVar[str] = "strays"

    number: int = Field(sa_type=BIG, primary_key=True)
    agent_id: str = Field(sa_type=Text)
    instance_id: str = Field(sa_type=Text)
    task_id: str = Field(sa_type=Text)
    generation: int | None = Field(sa_type=BIG)
    frame_type: str = Field(sa_type=Text)
    frame: str = Field(sa_type=Text)
    wall_ms: int = Field(sa_type=BIG)


class MailboxRow(SQLModel, table=True):
    """Where a mailbox stands; it outlives its messages, so that a number is never used twice."""

    __tablename__: ClassVar[str] = "mailboxes"

    agent_id: str = Field(sa_type=Text, primary_key=True)
    last_seq: int = Field(sa_type=BIG)


class MailRow(SQLModel, table=True):
    __tablename__: ClassVar[str] = "mail"
    __table_args__ = (Index("mail_by_age", "wall_ms"),)

    agent_id: str = Field(sa_type=Text, primary_key=True)
    seq: int = Field(sa_type=BIG, primary_key=True)
    message_id: str = Field(sa_type=Text)
    sender: str = Field(sa_type=Text)
    message_type: str = Field(sa_type=Text)
    payload: str = Field(sa_type=Text)
    reply_to: str | None = Field(sa_type=Text)
    wall_ms: int = Field(sa_type=BIG)


class MailToldRow(SQLModel, table=True):
    """Up to which message of its box an agent was told over its link, as it has shown."""

    __tablename__: ClassVar[str] = "mail_told"

    agent_id: str = Field(sa_type=Text, primary_key=True)
    told_seq: int = Field(sa_type=BIG)


class TokenRow(SQLModel, table=True):
    """Every token but the token: only its digest under the pepper. A join code is a token of that role."""

    __tablename__: ClassVar[str] = "tokens"
    __table_args__ = (Index("tokens_by_digest", "digest", unique=True), Index("tokens_by_agent", "agent_id"))

    token_id: str = Field(sa_type=Text, primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)
    role: str = Field(sa_type=Text)
    agent_id: str | None = Field(sa_type=Text)
    record: str = Field(sa_type=Text, description="labels and limits, as JSON")
    created_wall_ms: int = Field(sa_type=BIG)
    expires_wall_ms: int = Field(sa_type=BIG)
    used_wall_ms: int = Field(sa_type=BIG)
    revoked_wall_ms: int | None = Field(sa_type=BIG)


class AuditRow(SQLModel, table=True):
    """Who did what. Append only."""

    __tablename__: ClassVar[str] = "audit"

    number: int = Field(sa_type=BIG, primary_key=True)
    wall_ms: int = Field(sa_type=BIG)
    action: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    address: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)


class LogRow(SQLModel, table=True):
    """The kept lines of a task's activity stream, up to its cap."""

    __tablename__: ClassVar[str] = "logs"
    __table_args__ = (Index("logs_by_task", "task_id", "line_id"),)

    line_id: int = Field(sa_type=BIG, primary_key=True)
    task_id: str = Field(sa_type=Text)
    generation: int = Field(sa_type=BIG)
    wall_ms: int = Field(sa_type=BIG)
    line: str = Field(sa_type=Text, description="n, level, kind, text and data, as JSON")


class ProgressRow(SQLModel, table=True):
    """The last progress of a run, for whoever asks after a restart. It may be a second old, or lost."""

    __tablename__: ClassVar[str] = "progress"

    task_id: str = Field(sa_type=Text, primary_key=True)
    generation: int = Field(sa_type=BIG)
    wall_ms: int = Field(sa_type=BIG)
    progress: str = Field(sa_type=Text, description="progress, message and usage, as JSON")
    lines: int = Field(sa_type=Integer, description="log lines kept")
    line_bytes: int = Field(sa_type=BIG, description="and their size")


class LetterRow(SQLModel, table=True):
    """What Redis has not heard yet. Numbers are never used again: who deletes one means no later one."""

    __tablename__: ClassVar[str] = "outbox"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_autoincrement": True}

    letter_id: int = Field(sa_type=Integer, primary_key=True)
    kind: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text, description="of the marker in Redis")
    target: str = Field(sa_type=Text, description="channel or stream")
    payload: str = Field(sa_type=Text)
    task_id: str = Field(sa_type=Text)
    wall_ms: int = Field(sa_type=BIG)


class RunRow(SQLModel, table=True):
    """By what a run is found: the rest is its task, which has the same number. Its status is not here."""

    __tablename__: ClassVar[str] = "runs"
    __table_args__ = (
        Index("runs_by_id", "plugin_run_id", unique=True),
        Index("runs_by_digest", "digest", "number"),
        Index("runs_by_user", "user_id", "number"),
        Index("runs_by_plugin", "plugin", "number"),
        Index("runs_by_end", "ended_wall_ms"),
        Index("runs_briefings", "number", sqlite_where=text("is_briefing = 1")),
    )

    number: int = Field(sa_type=BIG, primary_key=True)
    plugin_run_id: str = Field(sa_type=Text)
    task_id: str = Field(sa_type=Text)
    user_id: str = Field(
        sa_type=Text, description="in digits: an unsigned integer has one bit more than ours"
    )
    plugin: str = Field(sa_type=Text)
    digest: str = Field(sa_type=Text)
    origin: str = Field(sa_type=Text)
    route: str = Field(sa_type=Text)
    created_wall_ms: int = Field(sa_type=BIG)
    ended_wall_ms: int | None = Field(sa_type=BIG)
    is_briefing: int = Field(sa_type=Integer, description="1 for a completed run whose output is one")


class ScheduleRow(SQLModel, table=True):
    """Runs that begin by the clock."""

    __tablename__: ClassVar[str] = "schedules"
    __table_args__ = (Index("schedules_by_due", "next_due_wall_ms"),)

    schedule_id: str = Field(sa_type=Text, primary_key=True)
    plugin: str = Field(sa_type=Text)
    user_id: str = Field(sa_type=Text)
    record: str = Field(sa_type=Text, description="cron, zone, settings and what was missed, as JSON")
    is_paused: int = Field(sa_type=Integer)
    next_due_wall_ms: int | None = Field(sa_type=BIG)
    created_wall_ms: int = Field(sa_type=BIG)


class MetaRow(SQLModel, table=True):
    """One row about the database itself."""

    __tablename__: ClassVar[str] = "meta"

    number: int = Field(sa_type=Integer, primary_key=True)
    epoch: str = Field(sa_type=Text)
    generation_floor: int = Field(sa_type=BIG)
    durability: str = Field(sa_type=Text)
    is_clean: int = Field(sa_type=Integer, description="0 while a hub has it open")
    is_backup: int = Field(sa_type=Integer, description="1 in a copy: whoever opens it begins a new epoch")
