"""Waiting tasks and free seats: who gets what.

Owns one synchronous pass over both, and the choice among the agents that fit. Never assigns: it names pairs.

After a pass nothing waits in line for an agent that is free and fits. So the next one looks only at lines
with a new front (`stirred`) and at agents with a slot that was not free before (`hungry`), and for each agent
only at the lines that one of its words leads to, best first. A task that nobody can take stands in nobody's
way (L16), and where nothing has changed nothing is looked at (L17).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

from hub.core.demands import Scene, first_rule
from hub.core.fleet import BEGINNING, Bits, Fleet
from hub.core.line import Entry, Group, Line, Rank, Ranked
from hub.core.seats import Agent
from hub.core.waiting import ADMISSIONS_MAX, Waiting
from hub.core.words import label_word
from protocol.ids import TaskId

CANDIDATES_MAX: Final = 16
"""Fitting agents that are compared for one task: enough to spread the load, and a bound for the pass."""

PREFERRED_MAX: Final = 16
"""Preferred labels, in the order of their names, that are counted for one task."""

LOOKS_MAX: Final = 1_000
"""Lines that are looked at in vain for hungry agents in one pass; the next pass goes on where it stopped."""

SKIPS_MAX: Final = 10_000
"""Lines of one pass that are stepped over because all who are hungry have just declined what stands there. An
agent that declines all it is given meets all of these again each time; beyond, they are looked at.
"""


class Effort:
    """How much a hub's passes have looked at: what must not grow with the queue or the fleet."""

    __slots__ = ("candidates", "looks")

    def __init__(self) -> None:
        self.looks = 0
        """Fronts of lines."""
        self.candidates = 0
        """Agents that were compared."""


class Cursor:
    """A group of lines that some hungry agent may serve, and how far it was walked."""

    __slots__ = ("at", "group")

    def __init__(self, group: Group, at: Rank) -> None:
        self.group = group
        self.at = at


Step = tuple[Rank, int, Line | Cursor]


class Pass:
    """One pass over everything that could have changed since the last."""

    def __init__(self, waiting: Waiting, fleet: Fleet, now_ms: int, effort: Effort) -> None:
        self._waiting, self._fleet, self._now_ms, self._effort = waiting, fleet, now_ms, effort
        self._steps: list[Step] = []
        self._numbers = 0
        self._admissions = ADMISSIONS_MAX
        self._looks_left = LOOKS_MAX
        self._skips_left = SKIPS_MAX
        self._seen = BEGINNING
        self._hungry: dict[str, Bits] = {}

    def pairs(self) -> Iterator[tuple[TaskId, Agent]]:
        """The caller seats each pair before it asks for the next, so that slots and keys are counted as they
        fill.
        """
        self._waiting.age(self._now_ms)
        self._admissions = self._waiting.admit(self._now_ms, self._admissions)
        self._fleet.settle_touched(self._now_ms)
        self._send_out()
        while self._next_steps():
            rank, _, step = heappop(self._steps)
            if isinstance(step, Cursor):
                yield from self._walk(step, rank)
            elif step.place is not None and rank_of(step.place) == rank:
                yield from self._look(step)  # else it has another front by now, and comes in its turn
        self._end()

    # --- which line is next ------------------------------------------------------------------------------

    def _send_out(self) -> None:
        """A cursor for each group that a hungry agent may serve, from where the first of them goes on."""
        groups, starts = self._waiting.groups, dict[Group, Rank]()
        for agent_id, at in self._fleet.hungry.items():
            agent = self._fleet.agents[agent_id]
            for kind in self._fleet.free_kinds(agent):
                self._hungry[kind] = self._hungry.get(kind, 0) | agent.bit
                for group in ((kind, word) for word in agent.listed):
                    if group in groups:
                        starts[group] = min(at, starts.get(group, at))
        for group, at in starts.items():
            self._advance(Cursor(group, at))

    def _next_steps(self) -> bool:
        """Lines with a new front join in, also those that got one in this pass."""
        stirred, self._waiting.stirred = self._waiting.stirred, {}
        for line in stirred:
            assert line.place is not None, "a line without a front is no line"
            self._push(line.place[:3], line)
        return bool(self._steps)

    def _push(self, rank: Rank, step: Line | Cursor) -> None:
        self._numbers += 1
        heappush(self._steps, (rank, self._numbers, step))

    def _walk(self, cursor: Cursor, rank: Rank) -> Iterator[tuple[TaskId, Agent]]:
        """The line to which a cursor was sent, if it still stands there; and on to the next."""
        if self._looks_left <= 0:
            return
        self._looks_left -= 1
        cursor.at = self._seen = rank
        lines = self._waiting.groups.get(cursor.group, [])
        index = bisect_left(lines, rank, key=rank_of)
        if index < len(lines) and rank_of(lines[index]) == rank:
            yield from self._look(lines[index][3])
        self._advance(cursor)

    def _advance(self, cursor: Cursor) -> None:
        """To the next line of its group, while an agent is hungry for it."""
        kind = cursor.group[0]
        lines = self._waiting.groups.get(cursor.group)
        hungry = self._hungry[kind] & self._fleet.free_for(kind, ())
        if lines is None or not hungry:
            return
        index = bisect_right(lines, cursor.at, key=rank_of)
        while index < len(lines) and self._skips_left and self._is_declined(lines[index][3], hungry):
            self._skips_left -= 1
            index += 1
        if index < len(lines):
            self._push(rank_of(lines[index]), cursor)

    def _is_declined(self, line: Line, hungry: Bits) -> bool:
        """By all of them."""
        return line.owner is not None and not hungry & ~self._fleet.decliners(line.owner)

    def _end(self) -> None:
        """Nobody is hungry any more, or the rest of the lines is for the next pass."""
        hungry, self._fleet.hungry = self._fleet.hungry, {}
        if self._looks_left <= 0:
            for agent_id, at in hungry.items():
                if self._fleet.free_kinds(self._fleet.agents[agent_id]):
                    self._fleet.hungry[agent_id] = max(at, self._seen)

    # --- one line ----------------------------------------------------------------------------------------

    def _look(self, line: Line) -> Iterator[tuple[TaskId, Agent]]:
        self._effort.looks += 1
        front, entry = line.first(), self._waiting.ready(line, self._now_ms)
        if entry is not front:
            return  # who stood in front has gone back to its key: the line is stirred, and comes in its turn
        agent = None if entry is None else self._choose(line, entry)
        if entry is None or agent is None:
            return  # nobody for this line: it waits until an agent that could serve it has a slot
        self._waiting.serve(entry, self._now_ms)
        if entry.spec.sticky_key is not None:
            self._fleet.sticky.note(entry.spec.sticky_key, agent.agent_id)
        yield entry.task_id, agent
        self._fleet.given(agent)
        self._fleet.settle(agent, self._now_ms)
        self._admissions = self._waiting.admit(self._now_ms, self._admissions)

    def _choose(self, line: Line, entry: Entry) -> Agent | None:
        """Who had the last one of its key; else, of those with the most of the labels that it prefers, the
        least loaded.
        """
        fitting = self._fleet.free_for(line.demand.slot, line.words, entry.task_id)
        if not fitting:
            return None
        scene = Scene(entry.task_id, self._now_ms, is_hub_draining=False)
        for bits in (self._had_the_last(entry, fitting), *self._by_preference(entry, fitting)):
            agent = self._least_loaded(line, bits, scene)
            if agent is not None:
                return agent
        return None

    def _had_the_last(self, entry: Entry, fitting: Bits) -> Bits:
        key = entry.spec.sticky_key
        agent_id = None if key is None else self._fleet.sticky.agent_of(key)
        return 0 if agent_id is None else fitting & self._fleet.agents[agent_id].bit

    def _by_preference(self, entry: Entry, fitting: Bits) -> Iterator[Bits]:
        """Those with all of the labels first, then those with all but one, and so on."""
        with_so_many = [fitting]
        for name, value in sorted(entry.spec.preferred_labels.items())[:PREFERRED_MAX]:
            having = self._fleet.with_word(label_word(name, value))
            with_so_many.append(0)
            for number in range(len(with_so_many) - 1, 0, -1):
                with_so_many[number] |= with_so_many[number - 1] & having
        return reversed(with_so_many)

    def _least_loaded(self, line: Line, bits: Bits, scene: Scene) -> Agent | None:
        best: Agent | None = None
        kind, fitting = line.demand.slot, 0
        for agent in self._fleet.in_turn(bits):
            self._effort.candidates += 1
            if first_rule(line.demand, agent, scene) is not None:
                continue
            if best is None or is_less_loaded(agent, best, kind):
                best = agent
            fitting += 1
            if fitting >= CANDIDATES_MAX or not (agent.taken[kind] or agent.load):
                break
        return best


def rank_of(place: Ranked) -> Rank:
    return place[:3]


def is_less_loaded(agent: Agent, other: Agent, kind: str) -> bool:
    """By the share of its slots that is taken; what it reports of itself only orders those that are alike."""
    ours = agent.taken[kind] * other.slots_of(kind)
    theirs = other.taken[kind] * agent.slots_of(kind)
    return ours < theirs or (ours == theirs and (agent.load or 0.0) < (other.load or 0.0))


def pairs(
    waiting: Waiting, fleet: Fleet, now_ms: int, *, is_hub_draining: bool, effort: Effort
) -> Iterator[tuple[TaskId, Agent]]:
    """One pass; none while the hub is draining."""
    if not is_hub_draining:
        yield from Pass(waiting, fleet, now_ms, effort).pairs()


def next_ms(waiting: Waiting, fleet: Fleet, *, is_hub_draining: bool) -> int | None:
    """When the next pass is due although nothing happens: the last one was cut, or a key opens then."""
    if is_hub_draining:
        return None
    return 0 if fleet.hungry else waiting.next_ms()
