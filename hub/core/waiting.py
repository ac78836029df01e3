"""The queue: every task that could be given away now, in lines by what they ask for.

Owns who stands in which line, which line comes first, the ageing of those who wait, and the one task of each
key's queue that stands for all of it. Never looks at an agent.

A line stands in the group of one word that an agent must have for it, so that a free agent is led to the
lines that it may serve, best first, and nobody looks through the others.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from heapq import merge
from typing import Final

from hub.core.deadlines import Deadlines
from hub.core.demands import Demand, demand_of
from hub.core.line import Entry, Group, Line, Ranked
from hub.core.rations import Queue, Rations
from hub.core.task import Task
from hub.core.words import FLEET_WORD
from protocol.ids import TaskId

RISES_MAX: Final = 1_000
"""Tasks that rise in one pass; who is left out rises in the next. A pass stays short after a long sleep."""

AHEAD: Final = 1 << 60
"""What comes back goes before those of the same age."""

ADMISSIONS_MAX: Final = 1_000
"""Queues of keys that are settled in one pass: keys with more queues are worked off over several."""


class Waiting:
    """Everything that waits for nothing but a seat and its key."""

    __slots__ = (
        "_ageing_ms",
        "_arrivals",
        "_entries",
        "_lines",
        "_number_with",
        "_rising",
        "_tickets",
        "_unsettled",
        "groups",
        "parked",
        "rations",
        "stirred",
    )

    def __init__(self, rations: Rations, number_with: Callable[[str], int], ageing_ms: int) -> None:
        """`number_with` says how many agents a word finds: the rarest leads to a line."""
        self.rations = rations
        self._number_with = number_with
        self._ageing_ms = ageing_ms
        self._arrivals = 0
        self._tickets = 0
        self._entries: dict[TaskId, Entry] = {}
        self._lines: dict[tuple[Demand, TaskId | None], Line] = {}
        self._rising: Deadlines[TaskId] = Deadlines(lambda task_id: self._entries[task_id].rise_ms)
        self._unsettled: deque[Queue] = deque()
        self.groups: dict[Group, list[Ranked]] = {}
        """Lines by what leads to them, best first."""
        self.stirred: dict[Line, None] = {}
        """Lines with another front than at the last pass."""
        self.parked = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._entries

    @property
    def lines(self) -> int:
        return len(self._lines)

    # --- coming and going --------------------------------------------------------------------------------

    def enter(self, task: Task, now_ms: int, *, is_apart: bool = False) -> None:
        """Wait. Entering twice keeps the place."""
        if task.task_id in self._entries:
            return
        self._arrivals += 1
        arrival = self._arrivals - AHEAD if task.generation else self._arrivals
        entry = Entry(task, demand_of(task.spec), arrival, is_apart=is_apart)
        self._entries[task.task_id] = entry
        self._arm(entry, now_ms)
        if task.spec.concurrency_key is None:
            self._stand(entry)
        else:
            self._park(entry)

    def leave(self, task_id: TaskId, *, is_served: bool = False) -> None:
        """It waits no more: it is given away, or over."""
        entry = self._entries.pop(task_id, None)
        if entry is None:
            return
        self._rising.forget(task_id)
        queue = entry.queue
        if entry.line is not None:
            self._unstand(entry, is_served=is_served)
        if queue is not None:
            if queue.delegate is entry:
                queue.delegate = None
                self._unsettle(queue)
            else:
                self._unpark(entry)
            self.rations.drop_empty(queue)

    def stir(self, task_id: TaskId) -> None:
        """Somebody may have it who might not before."""
        entry = self._entries.get(task_id)
        if entry is not None and entry.line is not None:
            self.stirred[entry.line] = None

    def serve(self, entry: Entry, now_ms: int) -> None:
        """It is given away: its turn is over, and its key has begun one more."""
        self.leave(entry.task_id, is_served=True)
        self.rations.begin(entry.spec, entry.task_id, now_ms)

    # --- lines -------------------------------------------------------------------------------------------

    def _stand(self, entry: Entry) -> None:
        owner = entry.task_id if entry.is_apart else None
        line = self._lines.get((entry.demand, owner))
        if line is None:
            words = tuple(entry.demand.words())
            group = (entry.demand.slot, min(words, key=self._number_with, default=FLEET_WORD))
            line = self._lines[entry.demand, owner] = Line(entry.demand, owner, words, group)
        line.add(entry, self._new_ticket())
        self._tidy(line)

    def _unstand(self, entry: Entry, *, is_served: bool = False) -> None:
        line = entry.line
        assert line is not None, "only who stands in line can leave it"
        line.remove(entry, is_served=is_served)
        self._tidy(line)

    def _tidy(self, line: Line) -> None:
        """In its group by the rank of its front; a front that is new is worth a look."""
        front, before = line.first(), line.place
        if front is not None and before is not None and before[:3] == front.rank:
            return
        if before is not None:
            self._out_of_group(line, before)
        if front is None:
            line.place = None
            self.stirred.pop(line, None)
            del self._lines[line.demand, line.owner]
            return
        line.place = (*front.rank, line)
        insort(self.groups.setdefault(line.group, []), line.place)
        self.stirred[line] = None

    def _out_of_group(self, line: Line, place: Ranked) -> None:
        group = self.groups[line.group]
        del group[bisect_left(group, place)]
        if not group:
            del self.groups[line.group]

    def ready(self, line: Line, now_ms: int) -> Entry | None:
        """The front of a line, as far as its key lets it begin. Who stands there for a key that has become
        full goes back to its queue.
        """
        while (front := line.first()) is not None:
            barred = self.rations.why_not(front.spec, now_ms)
            if barred is None:
                return front
            queue = front.queue
            assert queue is not None, "only keys bar what stands in line"
            self._recall(queue)
            if barred.opens_ms is not None:
                self.rations.wake(queue.key, barred.opens_ms)
        return None

    def best_lines(self) -> Iterator[Line]:
        """Every line, best first."""
        for place in merge(*self.groups.values()):
            yield place[3]

    # --- ageing ------------------------------------------------------------------------------------------

    def _arm(self, entry: Entry, from_ms: int) -> None:
        if entry.level > 0:
            entry.rise_ms = from_ms + self._ageing_ms
            self._rising.watch(entry.task_id, entry.rise_ms)

    def age(self, now_ms: int) -> None:
        """Who has waited long enough rises a level, and has its submitter's next turn there."""
        left = RISES_MAX
        while left and (due := self._rising.pop_due(now_ms, left)):
            left -= len(due)
            for task_id in due:
                self._rise(self._entries[task_id])

    def _rise(self, entry: Entry) -> None:
        is_standing = entry.line is not None
        if is_standing:
            self._unstand(entry)
        else:
            self._unpark(entry)
        entry.level -= 1
        self._arm(entry, entry.rise_ms)
        if is_standing:
            self._stand(entry)
        else:
            self._park(entry)

    # --- keys --------------------------------------------------------------------------------------------

    def _park(self, entry: Entry) -> None:
        queue = self.rations.queue_for(entry)
        queue.park(entry, self._new_ticket())
        self.parked += 1
        self._unsettle(queue)

    def _unpark(self, entry: Entry, *, is_admitted: bool = False) -> None:
        assert entry.queue is not None, "who waits and stands in no line is parked"
        entry.queue.unpark(entry, is_admitted=is_admitted)
        self.parked -= 1

    def _unsettle(self, queue: Queue) -> None:
        if not queue.is_unsettled:
            queue.is_unsettled = True
            self._unsettled.append(queue)

    def _recall(self, queue: Queue) -> None:
        entry, queue.delegate = queue.delegate, None
        assert entry is not None, "somebody stands in line for it"
        self._unstand(entry)
        queue.park(entry, self._new_ticket(), is_back=True)
        self.parked += 1

    def admit(self, now_ms: int, left: int = ADMISSIONS_MAX) -> int:
        """The best of each queue stands in line for it, as far as its key has room. How many more may be
        settled in this pass is given and returned.
        """
        for queue in self.rations.pop_freed(now_ms, left):
            self._unsettle(queue)
        while self._unsettled and left > 0:
            queue = self._unsettled.popleft()
            queue.is_unsettled = False
            self._settle(queue, now_ms)
            left -= 1
        return left

    def _settle(self, queue: Queue, now_ms: int) -> None:
        best, delegate = queue.best(), queue.delegate
        if best is None or (delegate is not None and delegate.level <= best.level):
            return
        if delegate is not None:
            self._recall(queue)
        barred = self.rations.why_not(best.spec, now_ms)
        if barred is None:
            self._unpark(best, is_admitted=True)
            queue.delegate = best
            self._stand(best)
        elif barred.opens_ms is not None:
            self.rations.wake(queue.key, barred.opens_ms)

    def _new_ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def next_ms(self) -> int | None:
        """When a pass is due although nothing happens: a queue is not settled, or a rate lets one begin."""
        return 0 if self._unsettled else self.rations.next_ms()
