"""What has happened to a task so far: its committed history and the kept lines of its log, told in order.

Owns the reading of both, page by page, and which of it was told already: what the live feed brings twice is
told once, and lines that nobody was there to hear are found in the log. Never writes anything down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from console.output import Output
from console.story import told
from console.values import in_path

if TYPE_CHECKING:
    from hub.commands.client import HubClient

PAGE_EVENTS: Final = 500
PAGE_LINES: Final = 500


def history(client: HubClient, task_id: str) -> Iterator[dict[str, Any]]:
    """The committed events of a task, oldest first."""
    after: int | None = 0
    while after is not None:
        page = client.get(f"/api/tasks/{in_path(task_id)}/events", after=after, limit=PAGE_EVENTS)
        yield from page["events"]
        after = page["next"] if page["count"] == PAGE_EVENTS else None


def log_lines(client: HubClient, task_id: str, after: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """The kept lines of a task's log, oldest first, each with the place that its page reaches to. Lines that
    are on their way to the disk have no place yet: they come once more with the next look.
    """
    place, is_full = after, True
    while is_full:
        page = client.get(f"/api/tasks/{in_path(task_id)}/log", after=place, limit=PAGE_LINES)
        place, is_full = page["next"] or place, page["count"] == PAGE_LINES
        for line in page["lines"]:
            yield line, place


def say_log(output: Output, lines: Iterable[dict[str, Any]]) -> None:
    """A whole log for a person: every run is a story of its own."""
    for number, (_, of_run) in enumerate(groupby(lines, lambda line: line.get("generation"))):
        if number:
            output.line(output.paint("— another attempt —", "soft"))
        for step in told(of_run, is_whole=True):
            output.line(output.paint(step.indented, step.tone) if step.tone else step.indented)


BEGINS: Final = frozenset({"task_queued", "task_assigned", "task_accepted", "task_resumed"})


def rank_of(item: dict[str, Any]) -> int:
    """What comes first of one millisecond: a run begins, says its lines, and then the fact that follows."""
    if item["event"] == "task_log":
        return 1
    return 0 if item["event"] in BEGINS else 2


class Untold(NamedTuple):
    """Something to be told, as the feed says it, and how many lines are missing before it."""

    item: dict[str, Any]
    missing: int


class Account:
    """What was told of a task: every event and every line once."""

    def __init__(self, client: HubClient, task_id: str) -> None:
        self._client = client
        self._task_id = task_id
        self._events: set[str] = set()
        self._lines: dict[Any, int] = {}
        """The highest number told, by generation."""
        self._place = 0

    def untold(self) -> list[Untold]:
        """Everything that is kept and was not told yet, in the order of its time; told with this."""
        events = list(history(self._client, self._task_id))
        lines = self.untold_lines()
        found = [Untold(item, 0) for item in events if self.is_new_event(item["cursor"])]
        return sorted([*found, *lines], key=lambda one: (one.item["timestamp"], rank_of(one.item)))

    def untold_lines(self) -> list[Untold]:
        """The same of the log alone. Whoever asks again after a failure misses nothing: first all is read."""
        read = list(log_lines(self._client, self._task_id, self._place))
        self._place = read[-1][1] if read else self._place
        return [
            Untold(self._as_event(line), missing)
            for line, _ in read
            if (missing := self.missing_before(line)) is not None
        ]

    def is_new_event(self, cursor: str) -> bool:
        """Whether it is told for the first time now."""
        is_new = cursor not in self._events
        self._events.add(cursor)
        return is_new

    def missing_before(self, line: dict[str, Any]) -> int | None:
        """How many lines are missing before this one, which is told now; None: it was told already."""
        generation, number = line.get("generation"), line.get("n")
        if not isinstance(number, int):
            return 0
        last = self._lines.get(generation, 0)
        if number <= last:
            return None
        self._lines[generation] = number
        return number - last - 1

    def is_ahead(self, line: dict[str, Any]) -> bool:
        """Whether lines before it were not told."""
        number = line.get("n")
        return isinstance(number, int) and number > self._lines.get(line.get("generation"), 0) + 1

    def _as_event(self, line: dict[str, Any]) -> dict[str, Any]:
        """A kept line as the feed would have brought it."""
        payload = {name: line[name] for name in ("n", "generation", "level", "kind", "text", "data")}
        return {
            "event": "task_log",
            "task_id": self._task_id,
            "generation": line["generation"],
            "timestamp": line["timestamp"],
            "payload": payload,
        }
