"""Whether a fleet was used as it should be: slots, and the order of priorities.

Owns two looks at what was written down: the sidecars' own accounts of starts and ends, and the hub's log of
events. Pure: reads no file and no clock. What tasks became is the checker's business (`hub/checker.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from hub.history import Record
from protocol.limits import ACCEPT_MS

LEVELS: Final = ("urgent", "high", "normal", "low")

CLOCK_SLOP_MS: Final = 2_000
"""A pause that has just ended may be worked off a turn later; the hub counts it by another clock than the
log.
"""


class Broken(NamedTuple):
    rule: str
    sentence: str


class Line(NamedTuple):
    """An event of the hub's log."""

    event: str
    task: str | None
    agent: str | None
    wall_ms: int
    payload: Mapping[str, Any]


def slots_exceeded(records: Iterable[Record], slots: int) -> Iterator[Broken]:
    """No sidecar ever ran more than it offers, by its own account: a start takes a slot, any end frees it."""
    running: dict[str, set[tuple[str | None, int | None]]] = defaultdict(set)
    counts: dict[str, int] = {}
    for record in records:
        if not record.p.startswith("sidecar:") or record.f not in {"start", "finish", "ack"}:
            continue
        if record.n <= counts.get(record.p, 0):
            running[record.p].clear()  # it was started again, and its runs died with it
        counts[record.p] = record.n
        run = (record.task, record.gen)
        if record.f == "start":
            running[record.p].add(run)
            if len(running[record.p]) > slots:
                yield Broken("slots", f"{record.p} ran {len(running[record.p])} at once, and has {slots}")
        elif record.f == "finish":
            running[record.p].discard(run)


class Queue:
    """Who waits, by the log, level by level."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self._waiting: tuple[dict[str, int], ...] = ({}, {}, {}, {})
        """For each level who waits, and from when on it might be given to somebody."""
        self._last: dict[str, str] = {}
        """Who had a waiting task last."""
        self._declined: dict[str, set[str]] = defaultdict(set)
        """By whom a task was declined: it is not offered there again for a while."""

    def enter(self, line: Line) -> None:
        assert line.task is not None
        if line.event == "task_queued":
            self.levels[line.task] = LEVELS.index(line.payload["priority"])
        if line.payload.get("cause") == "rejected" and line.agent is not None:
            self._declined[line.task].add(line.agent)
        if line.agent is not None:
            self._last[line.task] = line.agent
        pause_ms = line.payload.get("delay_ms", 0)
        self._waiting[self.levels[line.task]][line.task] = line.wall_ms + pause_ms

    def note_return(self, line: Line) -> None:
        """Whoever comes back with a result in hand is waited for, rather than doing its work twice."""
        for level in self._waiting:
            for task, since_ms in level.items():
                if self._last.get(task) == line.agent:
                    level[task] = max(since_ms, line.wall_ms + ACCEPT_MS)

    def leave(self, task: str) -> None:
        for level in self._waiting:
            level.pop(task, None)

    def passed_over(self, line: Line) -> str | None:
        """A task that waited, was more urgent, and could have been given to this agent."""
        assert line.task is not None
        assert line.agent is not None
        for level in self._waiting[: self.levels[line.task]]:
            for task, since_ms in level.items():
                could = since_ms + CLOCK_SLOP_MS < line.wall_ms
                if could and line.agent not in self._declined[task]:
                    return task
        return None


ENDS: Final = frozenset({"task_complete", "task_failed", "task_cancelled"})


def passed_over(lines: Iterable[Line]) -> Iterator[Broken]:
    """Nothing was given away while something more urgent could have been. All tasks ask for anybody."""
    queue = Queue()
    for line in lines:
        if line.event == "agent_joined":
            queue.note_return(line)
        if line.task is None:
            continue
        if line.event in {"task_queued", "task_requeued"}:
            queue.enter(line)
        elif line.event in ENDS:
            queue.leave(line.task)
        elif line.event == "task_assigned":
            queue.leave(line.task)
            first = queue.passed_over(line)
            if first is not None:
                waited = f"while the more urgent {first} waited"
                yield Broken("priority", f"{line.task} went to {line.agent} {waited}")
