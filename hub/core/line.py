"""One line of waiting tasks that ask for the same, and who in it is next.

Owns the order within a line: strictly by level, then in turn between submitters, then by age. Never knows an
agent, a key or another line.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from hub.core.demands import Demand
from hub.core.task import Priority, Spec, Task
from protocol.ids import TaskId

if TYPE_CHECKING:
    from hub.core.rations import Queue

LEVELS: Final = len(Priority)

GARBAGE_MIN: Final = 64
"""Below so many entries nothing is worth a rebuild."""

Rank = tuple[int, int, int]
"""Level, age, arrival: which of two lines is served first. Arrivals differ, so ranks do."""

Group = tuple[str, str]
"""Kind of slot and the word by which a line is found."""


class Entry:
    """One task that waits: in a line, or parked with its key."""

    __slots__ = (
        "arrival",
        "created_ms",
        "demand",
        "is_apart",
        "is_in_turn",
        "level",
        "line",
        "queue",
        "rise_ms",
        "spec",
        "tag",
        "task_id",
        "ticket",
    )

    def __init__(self, task: Task, demand: Demand, arrival: int, *, is_apart: bool) -> None:
        self.task_id = task.task_id
        self.spec: Spec = task.spec
        self.demand = demand
        self.level = int(task.spec.priority)
        """Its priority, less one for each time that it has waited long enough."""
        self.created_ms = task.created_wall_ms
        self.arrival = arrival
        self.is_in_turn = task.generation == 0
        """Whether it waits for its submitter's turn; what has come back is next in turn."""
        self.is_apart = is_apart
        """Somebody has declined it: it has a line of its own, so that it stands in nobody's way."""
        self.tag = 0
        self.ticket = 0
        """Of its newest place; what a heap holds of older ones is dead."""
        self.rise_ms = 0
        self.line: Line | None = None
        self.queue: Queue | None = None

    @property
    def rank(self) -> Rank:
        return (self.level, self.created_ms, self.arrival)


class Turns:
    """Whose turn it is, on one level of one line: start-time fair tags. Each submitter's tasks have ascending
    tags, and who comes to a line in which others wait begins where these are now.
    """

    __slots__ = ("_last", "_prune_at", "served")

    def __init__(self) -> None:
        self.served = 0
        """The tag of what was last served."""
        self._last: dict[str, int] = {}
        self._prune_at = GARBAGE_MIN

    def __len__(self) -> int:
        return len(self._last)

    def tag_for(self, submitter: str) -> int:
        tag = self._last[submitter] = max(self.served, self._last.get(submitter, 0)) + 1
        if len(self._last) > self._prune_at:
            self._last = {name: tag for name, tag in self._last.items() if tag > self.served}
            self._prune_at = GARBAGE_MIN + 2 * len(self._last)
        return tag

    def give_back(self, submitter: str) -> None:
        """One of its tasks has left unserved: its later ones do not wait for that."""
        if submitter in self._last:
            self._last[submitter] -= 1

    def serve(self, tag: int) -> None:
        self.served = max(self.served, tag)


Place = tuple[int, int, int, int, Entry]
"""Tag, age, arrival, ticket."""

Ranked = tuple[int, int, int, "Line"]
"""A line by the rank of its front."""


class Line:
    """Tasks with one demand, or one task that stands apart."""

    __slots__ = ("_heaps", "_turns", "demand", "group", "live", "owner", "place", "words")

    def __init__(self, demand: Demand, owner: TaskId | None, words: tuple[str, ...], group: Group) -> None:
        self.demand = demand
        self.owner = owner
        """The task that stands apart here, if one does."""
        self.words = words
        self.group = group
        self.live = 0
        self.place: Ranked | None = None
        """Where it stands in its group."""
        self._heaps: tuple[list[Place], ...] = tuple([] for _ in range(LEVELS))
        self._turns = tuple(Turns() for _ in range(LEVELS))

    def add(self, entry: Entry, ticket: int) -> None:
        turns = self._turns[entry.level]
        entry.tag = turns.tag_for(entry.spec.submitted_by) if entry.is_in_turn else turns.served
        entry.ticket = ticket
        entry.line = self
        heappush(self._heaps[entry.level], (entry.tag, entry.created_ms, entry.arrival, entry.ticket, entry))
        self.live += 1

    def remove(self, entry: Entry, *, is_served: bool) -> None:
        """Its place is cleaned up when it comes to the front, or when most places are dead (L110)."""
        turns = self._turns[entry.level]
        if is_served:
            turns.serve(entry.tag)
        elif entry.is_in_turn:
            turns.give_back(entry.spec.submitted_by)
        entry.ticket = 0
        entry.line = None
        self.live -= 1
        heap = self._heaps[entry.level]
        if len(heap) > GARBAGE_MIN + 2 * self.live:
            heap[:] = [place for place in heap if place[3] == place[4].ticket]
            heapify(heap)

    def first(self) -> Entry | None:
        """Who is next."""
        for heap in self._heaps:
            while heap:
                place = heap[0]
                if place[3] == place[4].ticket:
                    return place[4]
                heappop(heap)
        return None
