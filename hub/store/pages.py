"""Pages as SQL: rows in one text, bounded in number and in bytes, and the cursors between them.

Owns the shapes that every bounded read shares. Never runs a statement, and knows no table.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select

INTEGER_MAX: Final = 2**63 - 1
"""The place before the newest row: where a page without a cursor begins."""


def as_one(statement: Select[Any]) -> Select[Any]:
    """The rows of a statement, in its order, as one JSON array of arrays."""
    inner = statement.subquery("page")
    return select(func.json_group_array(func.json_array(*inner.c))).select_from(inner)


def within_bytes(
    page: Select[Any], big: tuple[str, ...], key: str, *, bytes_max: int, descending: bool
) -> Select[Any]:
    """As many rows of a page as have room together, one at least, each with how many there were.

    `big` names the columns that weigh, `key` the one by which the page is ordered.
    """
    inner = page.subquery("candidates")
    weight = sum((func.length(inner.c[name]) for name in big[1:]), func.length(inner.c[big[0]]))
    running = func.sum(weight).over(order_by=ordered(inner.c[key], descending=descending))
    weighed = select(
        *inner.c, func.count().over().label("count"), weight.label("own_bytes"), running.label("bytes")
    ).subquery("weighed")
    return (
        select(*[weighed.c[column.name] for column in inner.c], weighed.c["count"])
        .where(or_(weighed.c.bytes <= bytes_max, weighed.c.bytes == weighed.c.own_bytes))
        .order_by(ordered(weighed.c[key], descending=descending))
        .limit(-1)
    )


def ordered(key: ColumnElement[Any], *, descending: bool) -> ColumnElement[Any]:
    return key.desc() if descending else key.asc()


def number_of(cursor: str | None) -> int | None:
    """The place a cursor means; None if it is none of ours."""
    if cursor is None:
        return INTEGER_MAX
    is_ours = cursor.isascii() and cursor.isdigit() and len(cursor) < len(str(INTEGER_MAX))
    return int(cursor) if is_ours else None
