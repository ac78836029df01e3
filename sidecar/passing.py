"""Passing talk of the runs: progress, log and usage, slowed down to what a hub wants to hear.

Owns merging (the newest progress wins and says how many it replaced) and the bounds of what waits. Never
touches a fact: those are never slowed, merged or dropped. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from protocol import limits
from protocol.frames import PassingFrame, TaskLog, TaskProgress, TaskUsage
from protocol.ids import Generation, TaskId
from sidecar.runners.contract import Logged, Progress, Used
from sidecar.wording import clean_count, clean_json_or_none, clean_object_or_none, clean_percent, clean_text

PROGRESS_EVERY_MS: Final = 500
"""Progress and usage of one run: at most two a second each, because people read no faster."""

LOG_EVERY_MS: Final = 100
"""Lines of one run go out together ten times a second, so that a chatty run costs few messages."""

LINE_MS: Final = 34
"""What one line of a run costs: 30 a second, with progress and usage below what a hub allows a slot."""

LINES_AHEAD_MS: Final = 1_000
"""How far ahead of its rate a run may talk: a burst of 29 lines goes out at once, the rest at its pace."""

LOG_LINES_MAX: Final = 256
"""Lines of one run that wait. At the bound the oldest is dropped, and `n` shows the gap."""

LAST_LINES_MAX: Final = 128
"""Of what waits when a run ends, so many go out at once: with the burst before them, less than a hub hears in
one breath."""

DATA_BYTES_MAX: Final = 24 * limits.KIB
TALK_LENGTH_MAX: Final = 6 * limits.KIB
"""Bigger data is left out, longer text is cut: a frame of passing talk always fits."""

assert 1_000 // LINE_MS <= 30, "a run says at most 30 lines a second for long"
assert DATA_BYTES_MAX + 6 * TALK_LENGTH_MAX < limits.PROGRESS_BYTES_MAX, "a control character takes six bytes"


class Passing:
    """What one run said and the hub has not been told yet."""

    __slots__ = (
        "_dropped",
        "_generation",
        "_lines",
        "_lines_paid_ms",
        "_n",
        "_progress",
        "_said_lines_ms",
        "_said_progress_ms",
        "_task_id",
        "_usage",
    )

    def __init__(self, task_id: TaskId, generation: Generation) -> None:
        self._task_id = task_id
        self._generation = generation
        self._progress: Progress | None = None
        self._usage: Used | None = None
        self._lines: deque[TaskLog] = deque(maxlen=LOG_LINES_MAX)
        self._lines_paid_ms = 0
        """Until when the lines that were said have used up the rate."""
        self._n = 0
        self._dropped = 0
        self._said_progress_ms: int | None = None
        self._said_lines_ms: int | None = None

    def hear(self, report: Progress | Logged | Used) -> None:
        """Keep what the run says; `say` gives it out when it is time."""
        match report:
            case Progress():
                self._merge(report)
            case Used():
                self._usage = report
            case Logged():
                self._n += 1
                self._lines.append(
                    TaskLog(
                        task_id=self._task_id,
                        generation=self._generation,
                        n=self._n,
                        level=report.level,
                        kind=clean_text(report.kind, limits.NAME_LENGTH_MAX),
                        text=clean_text(report.text, TALK_LENGTH_MAX),
                        data=clean_json_or_none(report.data, DATA_BYTES_MAX),
                    )
                )

    def lose(self, count: int) -> None:
        """Let the gap show: in `dropped` of the next progress, and in `n` of the next line."""
        self._dropped += count
        self._n += count

    def due_ms(self) -> int | None:
        """When there will be something to say; None when nothing waits."""
        times = []
        if self._progress is not None or self._usage is not None:
            times.append(0 if self._said_progress_ms is None else self._said_progress_ms + PROGRESS_EVERY_MS)
        if self._lines:
            next_ms = 0 if self._said_lines_ms is None else self._said_lines_ms + LOG_EVERY_MS
            times.append(max(next_ms, self._lines_paid_ms + LINE_MS - LINES_AHEAD_MS))
        return min(times, default=None)

    def say(self, now_ms: int, *, everything: bool = False) -> list[PassingFrame]:
        """What is due, or all that waits: the last words go out before the fact that ends the run."""
        frames: list[PassingFrame] = []
        if self._lines and (everything or _is_due(self._said_lines_ms, LOG_EVERY_MS, now_ms)):
            frames += self._say_lines(now_ms, everything)
        if everything or _is_due(self._said_progress_ms, PROGRESS_EVERY_MS, now_ms):
            frames += self._say_progress(now_ms)
        return frames

    def _say_lines(self, now_ms: int, everything: bool) -> list[TaskLog]:
        """As many lines as the rate allows; what is too many waits, and the oldest of that is dropped."""
        paid_ms = max(self._lines_paid_ms, now_ms)
        affordable = (now_ms + LINES_AHEAD_MS - paid_ms) // LINE_MS
        while everything and len(self._lines) > LAST_LINES_MAX:
            self._lines.popleft()
        count = len(self._lines) if everything else min(len(self._lines), affordable)
        if count > 0:
            self._lines_paid_ms = paid_ms + count * LINE_MS
            self._said_lines_ms = now_ms
        return [self._lines.popleft() for _ in range(count)]

    def _merge(self, newer: Progress) -> None:
        older, self._progress = self._progress, newer
        if older is not None:
            self._dropped += 1
            self._progress = Progress(
                progress=older.progress if newer.progress is None else newer.progress,
                message=older.message if newer.message is None else newer.message,
                execution_event=newer.execution_event or older.execution_event,
            )

    def _say_progress(self, now_ms: int) -> list[PassingFrame]:
        frames: list[PassingFrame] = []
        if self._progress is not None:
            message = self._progress.message
            frames.append(
                TaskProgress(
                    task_id=self._task_id,
                    generation=self._generation,
                    progress=clean_percent(self._progress.progress),
                    message=None if message is None else clean_text(message, TALK_LENGTH_MAX),
                    execution_event=clean_object_or_none(self._progress.execution_event, DATA_BYTES_MAX),
                    dropped=self._dropped,
                )
            )
            self._progress, self._dropped = None, 0
        if self._usage is not None:
            used = self._usage
            frames.append(
                TaskUsage(
                    task_id=self._task_id,
                    generation=self._generation,
                    tokens_in=clean_count(used.tokens_in) or 0,
                    tokens_out=clean_count(used.tokens_out) or 0,
                    model=None if used.model is None else clean_text(used.model, limits.NAME_LENGTH_MAX),
                    cost=None if used.cost is None or not 0 <= used.cost <= limits.INTEGER_MAX else used.cost,
                )
            )
            self._usage = None
        if frames:
            self._said_progress_ms = now_ms
        return frames


def _is_due(said_ms: int | None, every_ms: int, now_ms: int) -> bool:
    return said_ms is None or now_ms >= said_ms + every_ms


class Talk:
    """What all runs said and the hub has not been told yet."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[TaskId, Passing] = {}

    def hear(self, task_id: TaskId, generation: Generation, report: Progress | Logged | Used) -> None:
        """Keep what a run says. There is one live run of a task, and `last_words` ends it."""
        passing = self._of.get(task_id)
        if passing is None:
            passing = self._of[task_id] = Passing(task_id, generation)
        passing.hear(report)

    def due_ms(self) -> int | None:
        """When there will be something to say."""
        return min((due for one in self._of.values() if (due := one.due_ms()) is not None), default=None)

    def say(self, now_ms: int) -> Iterator[PassingFrame]:
        """What is due, of all runs."""
        for task_id in self._of:
            yield from self.say_of(task_id, now_ms)

    def say_of(self, task_id: TaskId, now_ms: int) -> list[PassingFrame]:
        """What is due, of one run."""
        return self._of[task_id].say(now_ms)

    def all_of(self, task_id: TaskId, now_ms: int) -> list[PassingFrame]:
        """All that waits, of a run that goes on."""
        passing = self._of.get(task_id)
        return [] if passing is None else passing.say(now_ms, everything=True)

    def lose(self, task_id: TaskId, generation: Generation, count: int) -> None:
        """Some words of a run were dropped before they came here; the next ones say so."""
        passing = self._of.get(task_id)
        if passing is None:
            passing = self._of[task_id] = Passing(task_id, generation)
        passing.lose(count)

    def last_words(self, task_id: TaskId, now_ms: int) -> list[PassingFrame]:
        """All that waits, of a run that is over."""
        passing = self._of.pop(task_id, None)
        return [] if passing is None else passing.say(now_ms, everything=True)
