"""How much of a concurrency key may be at work at once, and how often its tasks may begin.

Owns what each key holds, when its tasks began, and the queues of those that are parked with it. Each task is
judged by its own limit and rate. Never puts a task in line: `waiting.py` does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import Struct

from hub.core.deadlines import Deadlines
from hub.core.demands import KEY_AT_LIMIT, KEY_AT_RATE, Demand
from hub.core.line import GARBAGE_MIN, Entry, Turns
from hub.core.task import Rate, Spec
from protocol.ids import TaskId

RATE_COUNT_MAX: Final = 1_000
"""Beginnings of one key that are remembered, 36 KiB at most: a rate with a higher count is judged as one of
this."""

KEYS_IDLE_MAX: Final = 100_000
"""Keys that nobody holds or waits for, remembered until their window is over. When there are more, the oldest
is forgotten, and every key that is not known is taken for just used at that moment."""

SWEEP_MAX: Final = 16
"""Idle keys whose window is not over yet that one pass looks at."""


class Barred(Struct, frozen=True):
    """Why a task of a key may not begin now, and when it may if nothing else changes."""

    rule: str
    opens_ms: int | None = None


class Terms(Struct, frozen=True):
    """What the tasks of one queue have in common: whoever of them may begin, the best of them may."""

    demand: Demand
    owner: TaskId | None
    limit: int | None
    rate: Rate | None


Parked = tuple[int, int, int, int, int, Entry]
"""Level, tag, age, arrival, ticket."""


class Queue:
    """Tasks of one key with one demand and the same terms. The best of them stands in line for all, while
    the key has room: by level, then in turn between submitters, then by age, as in a line.
    """

    __slots__ = ("_heap", "_turns", "delegate", "is_unsettled", "key", "live", "terms")

    def __init__(self, key: str, terms: Terms) -> None:
        self.key = key
        self.terms = terms
        self.delegate: Entry | None = None
        self.live = 0
        """Parked ones."""
        self.is_unsettled = False
        self._heap: list[Parked] = []
        self._turns: dict[int, Turns] = {}
        """By level, where there has been somebody."""

    @property
    def is_empty(self) -> bool:
        return self.delegate is None and self.live == 0

    def park(self, entry: Entry, ticket: int, *, is_back: bool = False) -> None:
        """`is_back`: it has stood in line already, and its turn is not over."""
        turns = self._turns.setdefault(entry.level, Turns())
        is_in_turn = entry.is_in_turn and not is_back
        entry.tag = turns.tag_for(entry.spec.submitted_by) if is_in_turn else turns.served
        entry.queue = self
        entry.ticket = ticket
        heappush(self._heap, (entry.level, entry.tag, entry.created_ms, entry.arrival, ticket, entry))
        self.live += 1

    def unpark(self, entry: Entry, *, is_admitted: bool = False) -> None:
        """It is parked here no more; its place is cleaned up later (L110)."""
        turns = self._turns[entry.level]
        if is_admitted:
            turns.serve(entry.tag)
        elif entry.tag > turns.served:
            turns.give_back(entry.spec.submitted_by)
        entry.ticket = 0
        self.live -= 1
        if len(self._heap) > GARBAGE_MIN + 2 * self.live:
            self._heap = [place for place in self._heap if place[4] == place[5].ticket]
            heapify(self._heap)

    def best(self) -> Entry | None:
        while self._heap:
            place = self._heap[0]
            if place[4] == place[5].ticket:
                return place[5]
            heappop(self._heap)
        return None


class Key:
    """One concurrency key."""

    __slots__ = ("begun", "begun_by", "holdings", "queues", "since_ms")

    def __init__(self, since_ms: int | None) -> None:
        self.holdings: set[Hashable] = set()
        """Held tasks, and revoked runs that may still be alive."""
        self.begun: deque[int] = deque(maxlen=RATE_COUNT_MAX)
        self.begun_by: dict[TaskId, int] = {}
        """When the held ones began."""
        self.since_ms = since_ms
        """What began before is not known: it is taken for just used then."""
        self.queues: dict[Terms, Queue] = {}

    def opens_ms(self, rate: Rate) -> int:
        """From when on one more may begin: no window of `per_ms` has more than `count` beginnings."""
        count = min(rate.count, RATE_COUNT_MAX)
        if len(self.begun) >= count:
            return self.begun[-count] + rate.per_ms
        return 0 if self.since_ms is None else self.since_ms + rate.per_ms

    def is_over(self, now_ms: int, longest_ms: int) -> bool:
        """Whether nothing that it remembers matters any more."""
        return not self.begun or self.begun[-1] + longest_ms <= now_ms


class Rations:
    """All keys that somebody holds, waits for, or may not begin again yet."""

    __slots__ = ("_idle", "_keys", "_longest_ms", "_since_ms", "_wake_ms", "_wakes", "freed")

    def __init__(self, since_ms: int | None = None) -> None:
        """`since_ms`: a life of the hub begins, and what began in the one before is not known."""
        self._since_ms = since_ms
        self._longest_ms = 0
        """The longest window that anybody has asked for, of any key: who names a rate counts those that named
        none, so what they began is remembered as long.
        """
        self._keys: dict[str, Key] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._wake_ms: dict[str, int] = {}
        self._wakes: Deadlines[str] = Deadlines(self._wake_ms.get)
        self.freed: dict[str, None] = {}
        """Keys that have more room than before."""

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, name: str) -> Key:
        found = self._keys.get(name)
        if found is None:
            found = self._keys[name] = Key(self._since_ms)
        self._idle.pop(name, None)
        return found

    # --- who has it --------------------------------------------------------------------------------------

    def hold(self, name: str, holding: Hashable) -> None:
        self.key(name).holdings.add(holding)

    def let_go(self, name: str, holding: Hashable) -> None:
        key = self._keys.get(name)
        if key is None or holding not in key.holdings:
            return
        key.holdings.discard(holding)
        if isinstance(holding, str):
            key.begun_by.pop(TaskId(holding), None)
        self.freed[name] = None
        self.rest(name)

    def begin(self, spec: Spec, task_id: TaskId, now_ms: int) -> None:
        if spec.concurrency_key is None:
            return
        key = self.key(spec.concurrency_key)
        key.begun.append(now_ms)
        key.begun_by[task_id] = now_ms

    def take_back(self, name: str, task_id: TaskId) -> None:
        """It has not begun after all: nobody would have it."""
        key = self._keys.get(name)
        began_ms = None if key is None else key.begun_by.pop(task_id, None)
        if key is not None and began_ms is not None and began_ms in key.begun:
            key.begun.remove(began_ms)
            self.freed[name] = None

    # --- who may begin -----------------------------------------------------------------------------------

    def why_not(self, spec: Spec, now_ms: int) -> Barred | None:
        """By its own limit and rate, against all that is known of its key."""
        if spec.concurrency_key is None:
            return None
        key = self._keys.get(spec.concurrency_key) or Key(self._since_ms)
        if spec.limit is not None and len(key.holdings) >= spec.limit:
            return Barred(KEY_AT_LIMIT)
        opens_ms = 0 if spec.rate is None else key.opens_ms(spec.rate)
        return Barred(KEY_AT_RATE, opens_ms) if opens_ms > now_ms else None

    def queue_for(self, entry: Entry) -> Queue:
        """Where this task is parked."""
        spec = entry.spec
        assert spec.concurrency_key is not None, "only what has a key is parked with it"
        key = self.key(spec.concurrency_key)
        if spec.rate is not None:
            self._longest_ms = max(self._longest_ms, spec.rate.per_ms)
        owner = entry.task_id if entry.is_apart else None
        terms = Terms(entry.demand, owner, spec.limit, spec.rate)
        queue = key.queues.get(terms)
        if queue is None:
            queue = key.queues[terms] = Queue(spec.concurrency_key, terms)
        return queue

    def drop_empty(self, queue: Queue) -> None:
        if queue.is_empty:
            del self._keys[queue.key].queues[queue.terms]
            self.rest(queue.key)

    # --- when to look again ------------------------------------------------------------------------------

    def wake(self, name: str, at_ms: int) -> None:
        """Its rate lets one more begin then."""
        self._wake_ms[name] = min(at_ms, self._wake_ms.get(name, at_ms))
        self._wakes.watch(name, self._wake_ms[name])

    def pop_freed(self, now_ms: int, opened_max: int) -> Iterator[Queue]:
        """The queues that nobody stands in line for, of every key that has more room now; of those that time
        has opened at most so many.
        """
        self._sweep(now_ms)
        for name in self._wakes.pop_due(now_ms, opened_max):
            del self._wake_ms[name]
            self.freed[name] = None
        freed, self.freed = self.freed, {}
        for name in freed:
            key = self._keys.get(name)
            for queue in () if key is None else key.queues.values():
                if queue.delegate is None:
                    yield queue

    def next_ms(self) -> int | None:
        return 0 if self.freed else self._wakes.next_ms()

    # --- forgetting --------------------------------------------------------------------------------------

    def rest(self, name: str) -> None:
        """When nobody holds it or waits for it, it is remembered until its window is over."""
        key = self._keys[name]
        if key.holdings or key.queues:
            return
        self._idle[name] = None
        if len(self._idle) > KEYS_IDLE_MAX:
            oldest = next(iter(self._idle))
            begun = self._keys[oldest].begun
            self._since_ms = max((self._since_ms or 0, *begun)) if begun else self._since_ms
            self._forget(oldest)

    def _sweep(self, now_ms: int) -> None:
        """Forget what is over. What is not goes to the end, and only so many of these are looked at."""
        looks = SWEEP_MAX
        while self._idle and looks:
            name = next(iter(self._idle))
            if self._keys[name].is_over(now_ms, self._longest_ms):
                self._forget(name)
            else:
                self._idle.move_to_end(name)
                looks -= 1

    def _forget(self, name: str) -> None:
        del self._keys[name]
        self._idle.pop(name, None)
        if self._wake_ms.pop(name, None) is not None:
            self._wakes.forget(name)
