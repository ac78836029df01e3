"""What the outbox holds: one letter for every end that somebody waits for, in the commit of that end.

Owns invariants 37 and 38, beside the 34 of reliability §3.5. Never delivers a letter: the hub's relay does,
and its tests have a real Redis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from hub.core.effects import LetterPosted
from hub.core.runs import RunStatus, status_of
from hub.core.task import Task
from tests.simulation.invariants import Truth, demand, invariant

ORDER: Final = {
    RunStatus.PENDING: 0,
    RunStatus.PROCESSING: 1,
    RunStatus.COMPLETED: 2,
    RunStatus.FAILED: 2,
}


@invariant(37)
def an_end_has_its_letters(truth: Truth, rows: Iterable[Task], posted: Sequence[LetterPosted]) -> None:
    """A batch holds one final letter for each task with a stream id that it ends, one result for each run
    that came by stream, and no other; no channel hears a second end.
    """
    due = Counter(one for row in rows if row.is_final for one in letters_due(row))
    found = Counter((letter.kind, letter.target, letter.task_id) for letter in posted)
    demand(37, due == found, f"due were {sorted(due.elements())}, posted are {sorted(found.elements())}")
    for letter in posted:
        if letter.kind == "final":
            demand(37, letter.target not in truth.channels, f"{letter.target} hears a second end")
            truth.channels.add(letter.target)


def letters_due(row: Task) -> Iterable[tuple[str, str, str]]:
    if row.spec.stream_id is not None:
        yield "final", row.spec.stream_id, row.task_id
    if row.spec.run is not None and row.spec.run.origin == "stream":
        yield "result", "plugin:results", row.task_id


@invariant(38)
def a_status_is_never_set_back(before: Task | None, row: Task) -> None:
    """Pending, processing, and one end: whatever is lost and done again in between (L85)."""
    if before is not None:
        was, now = status_of(before), status_of(row)
        is_on = ORDER[now] > ORDER[was] or now is was
        demand(38, is_on, f"{row.task_id} was {was} and is {now}")


def after_restore(truth: Truth, letters: Iterable[LetterPosted]) -> None:
    """Yesterday's file: an end that was posted after it was copied is posted again."""
    truth.channels = {letter.target for letter in letters if letter.kind == "final"}
