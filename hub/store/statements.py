"""The statements of the ledger, made of Core expressions once and kept as text.

A batch is written set by set: the rows travel as one JSON array and one statement unpacks it, so that the
writer's thread leaves and takes the interpreter's lock once a set and not once a row. With a busy event loop
beside it, taking that lock can cost milliseconds each time (ADR 0003). Never runs a statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import Insert
from sqlmodel import SQLModel

from hub.core.task import FINAL, State
from hub.store import rows, tables

DIALECT: Final = sqlite.dialect()

OPEN_STATES: Final = tuple(sorted(state.value for state in State if state not in FINAL))
FINAL_STATES: Final = tuple(sorted(state.value for state in FINAL))


def table(row: type[SQLModel]) -> Any:
    """The Core table of a SQLModel class, whose columns SQLModel does not type."""
    return SQLModel.metadata.tables[str(row.__tablename__)]


TASKS: Final = table(tables.TaskRow)
SUBMISSIONS: Final = table(tables.SubmissionRow)
EVENTS: Final = table(tables.EventRow)
INSTANCES: Final = table(tables.InstanceRow)
AGENTS: Final = table(tables.AgentRow)
PROGRESS: Final = table(tables.ProgressRow)
OUTBOX: Final = table(tables.LetterRow)
RUNS: Final = table(tables.RunRow)


def text_of(statement: ClauseElement) -> str:
    """The statement as SQL, with `?` for its one parameter."""
    return str(statement.compile(dialect=DIALECT))


def text_alone(statement: ClauseElement) -> str:
    """A statement without a parameter, its constants written out."""
    return str(statement.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))


def unpacked(names: Iterable[str]) -> Select[Any]:
    """The members of each array in the array that is the statement's parameter, under these names."""
    each = func.jsonb_each(bindparam("rows")).table_valued("value")
    values: list[ColumnElement[Any]] = [
        each.c.value.op("->>")(literal_column(str(index))).label(name) for index, name in enumerate(names)
    ]
    return select(*values).select_from(each)


def insert_into(target: Any, names: tuple[str, ...]) -> Insert:
    return insert(target).from_select(list(names), unpacked(names))


def moved() -> ClauseElement:
    """Compare and set, row by row. A final task is left alone whatever is expected of it (D3)."""
    given = unpacked(rows.MOVED_COLUMNS).subquery("given")
    values: Mapping[str, Any] = {name: given.c[name] for name in rows.MOVED_COLUMNS[2:]}
    return (
        update(TASKS)
        .values(values)
        .where(TASKS.c.number == given.c.number)
        .where(TASKS.c.version == given.c.expected)
        .where(TASKS.c.state.not_in([literal_column(f"'{state}'") for state in FINAL_STATES]))
    )


def found(target: Any, name: str, *columns: Any) -> Select[Any]:
    """These columns of the rows whose column `name` is in the JSON array that is the parameter."""
    each = func.json_each(bindparam("rows")).table_valued("value")
    return select(*columns).select_from(each.join(target, target.c[name] == each.c.value))


def whole(*columns: Any, is_brief: bool = False) -> Select[Any]:
    """A task with what was asked: what `rows.task_of` takes; in brief, without what may be large of it."""
    task = [TASKS.c[name] for name in rows.COLUMNS]
    spec = [SUBMISSIONS.c[name] for name in rows.SPEC_COLUMNS]
    both = TASKS.join(SUBMISSIONS, SUBMISSIONS.c.number == TASKS.c.number)
    shown = [in_brief(column) for column in (*task, *spec)] if is_brief else [*task, *spec]
    return select(*shown, *columns).select_from(both)


BRIEF_LENGTH: Final = 500
"""Characters of a description in brief: more than a line of any table shows."""


def in_brief(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of a task without result, inputs and metadata, and with the beginning of the description."""
    match column.key:
        case "life":
            return func.json_remove(column, "$.result").label(column.key)
        case "spec":
            return func.json_remove(column, "$.inputs", "$.metadata").label(column.key)
        case "description":
            return func.substr(column, 1, BRIEF_LENGTH).label(column.key)
        case _:
            return column


def found_whole(name: str) -> Select[Any]:
    each = func.json_each(bindparam("rows")).table_valued("value")
    return whole().where(TASKS.c[name].in_(select(each.c.value)))


def waited_for() -> Select[Any]:
    """The tasks for which open ones wait: none of them may be forgotten."""
    waiter = TASKS.alias("waiter")
    each = func.json_each(waiter.c.life, "$.waits_for").table_valued("value")
    return select(each.c.value).select_from(waiter.join(each, true())).where(waiter.c.waits.is_not(None))


EVENT_COLUMNS: Final = ("offset", "event", "task_id", "agent_id", "generation", "timestamp", "payload")
INSTANCE_COLUMNS: Final = ("instance_id", "agent_id", "mark", "boot_id", "connection", "seen_wall_ms")

LETTER_COLUMNS: Final = ("kind", "key", "target", "payload", "task_id", "wall_ms")

PLACES: Final = text_of(
    found(TASKS, "task_id", TASKS.c.task_id, TASKS.c.number, TASKS.c.version, TASKS.c.state)
)
KEYS: Final = text_of(found(TASKS, "idempotency_key", TASKS.c.idempotency_key))
UNIQUE_KEYS: Final = text_of(found(TASKS, "unique_key", TASKS.c.unique_key))
NEW_TASKS: Final = text_of(insert_into(TASKS, rows.NEW_COLUMNS))
NEW_SUBMISSIONS: Final = text_of(insert_into(SUBMISSIONS, ("number", *rows.SPEC_COLUMNS)))
MOVED_TASKS: Final = text_of(moved())
NEW_EVENTS: Final = text_of(insert_into(EVENTS, EVENT_COLUMNS))
NEW_LETTERS: Final = text_of(insert_into(OUTBOX, LETTER_COLUMNS))
LOADED_TASKS: Final = text_alone(whole().where(TASKS.c.state.in_(OPEN_STATES)).order_by(TASKS.c.number))
LOADED_PROGRESS: Final = text_alone(
    select(PROGRESS.c.task_id, PROGRESS.c.generation, PROGRESS.c.progress)
    .select_from(PROGRESS.join(TASKS, TASKS.c.task_id == PROGRESS.c.task_id))
    .where(TASKS.c.state.in_(OPEN_STATES))
)
FOUND_BY_ID: Final = text_of(found_whole("task_id"))
OUTCOMES: Final = text_of(
    found(
        TASKS,
        "task_id",
        TASKS.c.task_id,
        TASKS.c.state,
        TASKS.c.life.op("->>")(literal_column("'$.ending.how'")),
        TASKS.c.life.op("->>")(literal_column("'$.ending.whose_fault'")),
    )
)
FOUND_BY_KEY: Final = text_of(found_whole("idempotency_key"))
FOUND_BY_UNIQUE_KEY: Final = text_of(found_whole("unique_key"))
