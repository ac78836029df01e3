"""The memory behind the checker's rules: what was pushed, how tasks ended, what ran, what watchers saw.

Owns one class for each of these, which takes records one by one and remembers what it needs to judge at the
end. Pure, like `checker.py`, whose parts they are. Never trusts a record more than another: two that disagree
are a violation, whoever is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from hub.history import Record

FINAL: Final = frozenset({"completed", "failed", "cancelled", "dead_letter"})

ENDS: Final = {
    "task_complete": frozenset({"completed"}),
    "task_failed": frozenset({"failed", "dead_letter"}),
    "task_cancelled": frozenset({"cancelled"}),
}
"""What each last event may mean as a state."""

LIVELY: Final = frozenset(
    {
        *("task_queued", "task_assigned", "task_accepted", "task_requeued", "task_recovering"),
        *("task_resumed", "task_cancel"),
    }
)
"""Events that may not follow the last one."""

LOG: Final = "log"
DATABASE: Final = "database"
"""Processes that are no processes: the rows as they are read at the end."""


class Violation(NamedTuple):
    rule: str
    sentence: str
    task: str | None = None


def witness(process: str) -> str:
    """The kind of a process: `sidecar:ada` and `sidecar:grace` are witnesses of one kind."""
    return process.partition(":")[0]


class Pushes:
    """C1, C2, and the half of C5 that is about tasks from nowhere."""

    def __init__(self) -> None:
        self._task_of_key: dict[str, str] = {}
        self._granted: set[str] = set()
        self._asked: set[str] = set()
        self._unsure: set[str] = set()
        self._rows: dict[str, str | None] = {}
        self._row_of_key: dict[str, str] = {}
        self._double_rows: list[Violation] = []

    @property
    def granted(self) -> set[str]:
        return self._granted

    def see(self, record: Record) -> Iterator[Violation]:
        if record.key is not None:
            self._asked.add(record.key)
            if record.type == "info":
                self._unsure.add(record.key)
        if record.type != "ok" or record.task is None:
            return
        self._granted.add(record.task)
        if record.key is not None:
            first = self._task_of_key.setdefault(record.key, record.task)
            if first != record.task:
                yield Violation("C2", f"key {record.key} was answered with {first} and {record.task}", first)

    def see_row(self, record: Record) -> None:
        if record.p != DATABASE or record.task is None:
            return
        self._rows[record.task] = record.key
        if record.key is not None:
            first = self._row_of_key.setdefault(record.key, record.task)
            if first != record.task:
                self._double_rows.append(
                    Violation("C2", f"key {record.key} has the rows {first} and {record.task}", first)
                )

    def judge(self, *, is_complete: bool) -> Iterator[Violation]:
        yield from self._double_rows
        if not self._rows:
            return
        for task in sorted(self._granted - self._rows.keys()):
            yield Violation("C1", "was answered, and has no row", task)
        for key, task in self._task_of_key.items():
            if self._row_of_key.get(key, task) != task:
                yield Violation("C2", f"key {key} was answered with another task than its row", task)
        if is_complete:
            for row, its_key in self._rows.items():
                if row not in self._granted and its_key not in self._asked:
                    yield Violation("C5", "nobody has pushed it", row)

    def figures(self) -> dict[str, int]:
        recovered = {key for key in self._unsure - self._task_of_key.keys() if key in self._row_of_key}
        return {"pushed": len(self._granted), "recovered": len(recovered)}


class Endings:
    """C3, the reading half of C9, and the half of C5 that is about lost tasks."""

    def __init__(self) -> None:
        self.states: dict[str, frozenset[str]] = {}
        """What a task's end can be, by all that was seen of it; empty while it has none."""
        self.completed: dict[str, tuple[int | None, Any]] = {}
        """Generation and result, by the rows."""
        self.generations: dict[str, int] = {}
        """Of the last event of each task."""
        self._ends: dict[str, tuple[str, int]] = {}
        self._reading: dict[tuple[str, str], bool] = {}

    def see_event(self, record: Record) -> Iterator[Violation]:
        """An event with its place in the log."""
        if record.task is None:
            return
        cursor, event = record.value
        epoch, offset = split(cursor)
        end = self._ends.get(record.task)
        if event in ENDS:
            if end is not None and end != (epoch, offset) and end[0] == epoch:
                yield Violation("C3", f"ended twice, at {end[1]} and {offset}", record.task)
            self._ends.setdefault(record.task, (epoch, offset))
            yield from self._narrow(record, ENDS[event])
            if record.gen is not None:
                self.generations[record.task] = record.gen
        elif event in LIVELY and end is not None and end[0] == epoch and offset > end[1]:
            yield Violation("C3", f"{event} at {offset}, after its end at {end[1]}", record.task)

    def see(self, record: Record) -> Iterator[Violation]:
        """A look at the task: in the API, in its row, or by the hub itself."""
        if record.task is None:
            return
        here = (record.p, record.task)
        if record.type == "invoke":
            self._reading[here] = bool(self.states.get(record.task))
            return
        if record.type != "ok":
            return
        state, result = (
            (record.value.get("state"), record.value.get("result"))
            if isinstance(record.value, dict)
            else (record.value, None)
        )
        was_over = self._reading.pop(here, False)
        if state in FINAL:
            yield from self._narrow(record, frozenset({state}))
        else:
            self.states.setdefault(record.task, frozenset())
            if was_over:
                yield Violation("C9", f"{record.p} saw it as {state} after others saw its end", record.task)
        if state == "completed" and record.p == DATABASE:
            self.completed[record.task] = (record.gen, result)

    def _narrow(self, record: Record, possible: frozenset[str]) -> Iterator[Violation]:
        assert record.task is not None
        known = self.states.get(record.task) or possible
        left = known & possible
        if not left:
            yield Violation(
                "C3", f"is {one_of(known)}, and by {record.p} it is {one_of(possible)}", record.task
            )
        self.states[record.task] = left or known

    def judge(self, pushes: Pushes, *, is_drained: bool) -> Iterator[Violation]:
        if is_drained:
            open_rows = {task for task, states in self.states.items() if not states}
            for task in sorted(open_rows | {task for task in pushes.granted if not self.states.get(task)}):
                yield Violation("C5", "was pushed and never ended", task)


class Runs:
    """C4, C6, C7 and C10: what runners did, against what became of it."""

    def __init__(self) -> None:
        self._starts: Counter[tuple[str, str, int]] = Counter()
        self._finishes: dict[tuple[str, str, int], Any] = {}
        self._tasks: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._last_generation: dict[str, int] = {}
        """Above it nothing may be assigned or started: a cancel was granted, or the task has ended."""
        self._assigned: dict[str, int] = {}

    def see(self, record: Record) -> Iterator[Violation]:
        if record.task is None:
            return
        if record.f == "cancel":
            if record.type == "ok" and record.gen is not None:
                self._nothing_after(record.task, record.gen)
            return
        if record.gen is None or record.type != "ok":
            return
        run = (witness(record.p), record.task, record.gen)
        if record.f == "finish":
            self._finishes[run] = record.value
            return
        generations = self._tasks[run[:2]]
        if generations and record.gen < max(generations):
            yield Violation("C7", f"generation {record.gen} started after {max(generations)}", record.task)
        generations.add(record.gen)
        self._starts[run] += 1
        if self._starts[run] == 2:
            yield Violation("C6", f"generation {record.gen} was started twice", record.task)

    def see_event(self, record: Record) -> None:
        if record.task is None or record.gen is None:
            return
        event = record.value[1]
        if event == "task_assigned":
            self._assigned[record.task] = max(record.gen, self._assigned.get(record.task, 0))
        elif event in {"task_cancel", "task_cancelled"}:
            self._nothing_after(record.task, record.gen)

    def _nothing_after(self, task: str, generation: int) -> None:
        self._last_generation[task] = min(generation, self._last_generation.get(task, generation))

    def judge(self, endings: Endings, is_complete: bool, is_hub_only: bool) -> Iterator[Violation]:
        yield from self._judge_results(endings, is_complete)
        for (_, task), generations in self._tasks.items():
            end = endings.generations.get(task)
            if end is not None and end < max(generations):
                yield Violation("C7", f"generation {end} ended it after {max(generations)} started", task)
            yield from self._judge_cancel(task, max(generations), "started")
            if is_hub_only and len(generations) > 1:
                yield Violation("C6", f"ran {len(generations)} times although only hubs were harmed", task)
        for task, generation in self._assigned.items():
            yield from self._judge_cancel(task, generation, "assigned")

    def _judge_results(self, endings: Endings, is_complete: bool) -> Iterator[Violation]:
        kinds = {kind for kind, _, _ in self._starts}
        for task, (generation, result) in endings.completed.items():
            assert generation is not None, "a completed task was assigned"
            for kind in kinds:
                run = (kind, task, generation)
                if run in self._finishes:
                    if self._finishes[run] != result:
                        yield Violation("C4", f"its result is not that of generation {generation}", task)
                elif is_complete or run in self._starts:
                    yield Violation("C4", f"is complete, and generation {generation} never finished", task)

    def _judge_cancel(self, task: str, generation: int, what: str) -> Iterator[Violation]:
        last = self._last_generation.get(task)
        if last is not None and generation > last:
            yield Violation("C10", f"generation {generation} was {what} after the cancel of {last}", task)

    def figures(self) -> dict[str, int]:
        ran: defaultdict[str, set[int]] = defaultdict(set)
        for (_, task), generations in self._tasks.items():
            ran[task] |= generations
        starts = sum(map(len, ran.values()))
        return {"starts": starts, "waste": starts - len(ran)}


class Watchers:
    """C8 and C9: what each watcher saw, against the log and against what others had seen before it looked."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[str, int] | None] = {}
        self._lives: dict[str, int] = {}
        self._looking: dict[str, dict[str, int]] = {}
        self._newest: dict[str, int] = {}
        self._log: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._in_log: dict[str, tuple[int, int]] = {}
        self._seen = 0
        self._resets = 0

    def note_life(self, record: Record) -> None:
        """Of any kind: a process that has begun anew may say much before it says where it is in the log."""
        if record.n <= self._lives.get(record.p, 0):
            self._places.pop(record.p, None)
        self._lives[record.p] = record.n

    def see(self, record: Record) -> Iterator[Violation]:
        if record.type == "invoke":
            self._looking[record.p] = dict(self._newest)
            return
        cursor, event = record.value
        epoch, offset = split(cursor)
        if record.type == "info":
            yield from self._see_remark(record.p, event, epoch, offset)
            return
        self._seen += 1
        yield from self._see_place(record.p, epoch, offset)
        yield from self._see_content(record, event, epoch, offset)
        self._newest[epoch] = max(offset, self._newest.get(epoch, 0))

    def _see_remark(self, watcher: str, event: str, epoch: str, offset: int) -> Iterator[Violation]:
        """`reset` allows the next place to be anywhere, `snapshot` says where it is."""
        if event == "reset":
            self._resets += 1
            self._places[watcher] = None
        elif event == "snapshot":
            floor = self._looking.pop(watcher, {}).get(epoch, 0)
            if offset < floor:
                yield Violation("C9", f"{watcher} was shown {offset} when others had seen {floor}")
            place = self._places.get(watcher)
            if place is not None and place != (epoch, offset):
                yield Violation(
                    "C8", f"{watcher} was moved from {place} to {cursor_of(epoch, offset)} unasked"
                )
            self._places[watcher] = (epoch, offset)

    def _see_place(self, watcher: str, epoch: str, offset: int) -> Iterator[Violation]:
        place = self._places.get(watcher)
        if place is not None and place != (epoch, offset - 1):
            yield Violation(
                "C8", f"{watcher} saw {cursor_of(epoch, offset)} after {cursor_of(*place)}, without a reset"
            )
        self._places[watcher] = (epoch, offset)
        if watcher == LOG:
            first, _ = self._in_log.get(epoch, (offset, offset))
            self._in_log[epoch] = (first, offset)

    def _see_content(self, record: Record, event: str, epoch: str, offset: int) -> Iterator[Violation]:
        content = (event, record.task, record.gen)
        first = self._log.setdefault((epoch, offset), content)
        if first != content:
            yield Violation(
                "C8", f"{record.p} saw {content} at {offset}, where others saw {first}", record.task
            )

    def judge(self) -> Iterator[Violation]:
        for epoch, (_, last) in self._in_log.items():
            newest = self._newest[epoch]
            if newest > last:
                yield Violation("C8", f"somebody saw {cursor_of(epoch, newest)}, and the log ends at {last}")

    def figures(self) -> dict[str, int]:
        return {"events_seen": self._seen, "resets": self._resets}


def split(cursor: str) -> tuple[str, int]:
    epoch, _, offset = cursor.rpartition(":")
    return epoch, int(offset)


def cursor_of(epoch: str, offset: int) -> str:
    return f"{epoch}:{offset}"


def one_of(states: frozenset[str]) -> str:
    return " or ".join(sorted(states))
