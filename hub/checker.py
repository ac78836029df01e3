"""Whether a system kept its promises, judged from what its processes and its clients wrote down.

Records go in, in the order of their time, each looked at once; violations come out. The rules C1 to C15 are
one sentence each in `RULES`. Pure: reads no file and no clock, so that it judges a chaos run, a doctored
history and a live hub (`hub doctor --audit`) alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.json import Encoder

from hub.history import Record
from hub.verdicts import Endings, Pushes, Runs, Violation, Watchers

RULES: Final = {
    "C1": "every answered push has its task",
    "C2": "one key, one task",
    "C3": "one end for each task, the same wherever one looks",
    "C4": "a completed task has the result of that very generation",
    "C5": "nothing is lost and nothing comes from nowhere",
    "C6": "a generation starts once",
    "C7": "an older run beside a newer one never decides the task",
    "C8": "a watcher sees every event once, in order, or a reset",
    "C9": "what one has seen, the next who looks sees too",
    "C10": "nothing is assigned after a cancel was granted",
    "C11": "a fact counts once, however often it is said",
    "C12": "no journal and no outbox holds anything back",
    "C13": "no process ends or complains in a way that nobody has foreseen",
    "C14": "what a process uses comes back to where it was",
    "C15": "no secret is written anywhere",
}

GROWTH_MAX: Final = 1.05
"""A gauge may end five per cent above its beginning."""

VIOLATIONS_KEPT_MAX: Final = 100
"""Of each rule; all are counted."""

WITHOUT_EFFECT: Final = frozenset({"duplicate", "stale", "refused"})


class Scope(NamedTuple):
    """What may be concluded from what is missing."""

    is_drained: bool = False
    """All work had time to end: what has not ended is lost."""
    is_complete: bool = False
    """All pushers and runners wrote histories: what nobody wrote down did not happen."""
    is_hub_only: bool = False
    """Only hubs and links were harmed: each task ran once."""
    canaries: tuple[str, ...] = ()
    """Values that must not turn up."""


class Verdict(NamedTuple):
    violations: tuple[Violation, ...]
    counts: dict[str, int]
    """How many violations of each rule, those not kept included."""
    figures: dict[str, int]

    @property
    def is_clean(self) -> bool:
        return not self.counts


class Receipts:
    """C11: the receipts of one fact (`key` is instance and number) name an effect once at most."""

    def __init__(self) -> None:
        self._effects: dict[tuple[str, str], str] = {}

    def see(self, record: Record) -> Iterator[Violation]:
        if record.key is None or record.value in WITHOUT_EFFECT:
            return
        place = (record.p, record.key)
        if place in self._effects:
            yield Violation(
                "C11", f"fact {record.key} had an effect twice: {self._effects[place]}, {record.value}"
            )
        self._effects[place] = str(record.value)


class Checker:
    """Feed it records in the order of their time, then ask for the verdict."""

    def __init__(self, scope: Scope = Scope()) -> None:  # noqa: B008  a NamedTuple of constants
        self._scope = scope
        self._pushes = Pushes()
        self._endings = Endings()
        self._runs = Runs()
        self._watchers = Watchers()
        self._receipts = Receipts()
        self._kept: defaultdict[str, list[Violation]] = defaultdict(list)
        self._counts: Counter[str] = Counter()
        self._records = 0
        self._encode = Encoder().encode

    def see(self, record: Record) -> None:
        self._records += 1
        self._watchers.note_life(record)
        self._note(self._judge(record))
        if self._scope.canaries:
            self._note(self._look_for_secrets(record))

    def verdict(self) -> Verdict:
        """What all the records together say. Call it once, at the end."""
        scope = self._scope
        self._note(self._pushes.judge(is_complete=scope.is_complete))
        self._note(self._endings.judge(self._pushes, is_drained=scope.is_drained))
        self._note(self._runs.judge(self._endings, scope.is_complete, scope.is_hub_only))
        self._note(self._watchers.judge())
        figures = {
            "records": self._records,
            "tasks": len(self._endings.states),
            **self._pushes.figures(),
            **self._runs.figures(),
            **self._watchers.figures(),
        }
        kept = tuple(one for rule in RULES for one in self._kept[rule])
        return Verdict(kept, dict(self._counts), figures)

    def _note(self, violations: Iterable[Violation]) -> None:
        for violation in violations:
            self._counts[violation.rule] += 1
            if len(self._kept[violation.rule]) < VIOLATIONS_KEPT_MAX:
                self._kept[violation.rule].append(violation)

    def _judge(self, record: Record) -> Iterator[Violation]:
        match record.f:
            case "push":
                yield from self._pushes.see(record)
            case "event":
                yield from self._see_event(record)
            case "terminal":
                yield from self._endings.see(record)
                self._pushes.see_row(record)
            case "start" | "finish" | "cancel":
                yield from self._runs.see(record)
            case "ack":
                yield from self._receipts.see(record)
            case "drain" | "exit" | "log" | "gauge":
                yield from at_the_end(record)
            case "input":
                pass  # answers of people are told apart by their events

    def _see_event(self, record: Record) -> Iterator[Violation]:
        yield from self._watchers.see(record)
        if record.type == "ok":
            yield from self._endings.see_event(record)
            self._runs.see_event(record)

    def _look_for_secrets(self, record: Record) -> Iterator[Violation]:
        text = self._encode(record).decode()
        for canary in self._scope.canaries:
            if canary in text:
                yield Violation("C15", f"{record.p} wrote a secret in its record {record.n}", record.task)


def at_the_end(record: Record) -> Iterator[Violation]:
    """C12, C13, C14: what a process left behind when it was done."""
    match record.f:
        case "drain" if record.value:
            yield Violation("C12", f"{record.p} still holds {record.value} after the drain")
        case "exit" if record.type == "fail":
            yield Violation("C13", f"{record.p} ended with {record.value}")
        case "log" if record.type == "fail":
            yield Violation("C13", f"{record.p} logged: {record.value}")
        case "gauge" if has_grown(record.value):
            yield Violation("C14", f"{record.key} of {record.p} went from and to {record.value}")
        case _:
            pass


def has_grown(value: Any) -> bool:
    before, after = value
    return bool(after > before * GROWTH_MAX)


def check(records: Iterable[Record], scope: Scope = Scope()) -> Verdict:  # noqa: B008  a NamedTuple of constants
    """The verdict on records that are already in the order of their time."""
    checker = Checker(scope)
    for record in records:
        checker.see(record)
    return checker.verdict()
