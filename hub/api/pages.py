"""Pages of lists that are in memory: by the name of each thing, in the order of names.

Owns the cursor, which is the last name that was seen. Without a limit the answer is the whole list, as
programs that know no pages expect it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from hub.api.endpoint import Call

T = TypeVar("T")

PAGED: Final = ("cursor", "limit")


def page_of_names(call: Call, things: Iterable[T], name_of: Callable[[T], str]) -> tuple[list[T], str | None]:
    """What comes after the cursor, and the cursor of the page after it; None when there is nothing more."""
    query = call.request.query_params
    if not query.get("limit") and not query.get("cursor"):
        return list(things), None
    most, cursor = call.page_rows(), query.get("cursor") or ""
    rest = sorted((thing for thing in things if name_of(thing) > cursor), key=name_of)
    return rest[:most], name_of(rest[most - 1]) if len(rest) > most else None
