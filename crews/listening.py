"""From a crew's events to the lines that a run says.

Owns the sink round a kickoff: it hears every event of this run and of no other, in order, on the thread that
emits it. Trouble of ours never reaches the crew; a stop that was asked for does, at each piece of a model's
text. Never decides what an event means (`crews.activity`) and never writes itself (`crews.line`).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from crews import clock
from crews.activity import told, told_at_the_end
from crews.pace import Pace
from crews.progress import Meter
from crews.telling import Moment, Story, Told

CUTTABLE: Final = frozenset({"llm_stream_chunk", "llm_thinking_chunk"})
"""Events at which a run may be cut: a model talks, and nothing that it started is half done."""

HELD_MAX: Final = 64
"""Events that wait for an earlier one where the framework tells them out of order."""


class Says(Protocol):
    """Whoever takes a line: `crews.line.Line`."""

    def say(self, **members: object) -> object: ...


class Stops(Protocol):
    """Whoever knows that the run must stop: `crews.stopping.Stopping`."""

    def check(self) -> None: ...


class Listener:
    """Hears one run. Callable as a sink, from every thread."""

    def __init__(self, line: Says, story: Story, stop: Stops | None = None) -> None:
        self.story = story
        self._line = line
        self._stop = stop
        self._lock = threading.Lock()
        self._pace = Pace(clock.monotonic_s())
        self._percent_said: int | None = None
        self._tokens_said = (0, 0)
        self._left_out = 0
        self._troubles: set[str] = set()

    @property
    def tokens(self) -> int:
        """All tokens so far, in and out."""
        return self.story.tally.total.tokens_in + self.story.tally.total.tokens_out

    @property
    def usage(self) -> dict[str, Any]:
        """What the run has used so far, as its `usage` line says it."""
        return self.story.tally.line()

    def __call__(self, source: Any, event: Any) -> None:
        kind = str(getattr(event, "type", ""))
        if self._stop is not None and kind in CUTTABLE:
            self._stop.check()
        try:
            with self._lock:
                self._hear(source, event)
        except Exception as error:  # noqa: BLE001  the edge to the crew: whatever is wrong with us is not its trouble
            self._admit(kind, error)

    def close_talk(self) -> None:
        """Say what still waits: streamed text, the last numbers, how much was left out."""
        with self._lock:
            now = _now()
            for entry in told_at_the_end(self.story, now):
                self._tell(entry, now)
            self._say_what_was_left_out()
            rest = self._news(None)
            if rest:
                self._line.say(**rest)

    def _hear(self, source: Any, event: Any) -> None:
        now = _now()
        for entry in told(self.story, source, event, now):
            self._tell(entry, now)

    def _tell(self, entry: Told, now: Moment) -> None:
        news = self._news(entry.message)
        if entry.kind == "chunk":
            news.pop("usage", None)  # it goes with what tells the end of the call
        is_trouble = entry.level != "info"
        if not self._pace.has_room(1 + len(news), now.s, is_weighty=entry.is_weighty, is_trouble=is_trouble):
            self._left_out += 1
            return
        if not (entry.is_weighty or is_trouble):
            self._say_what_was_left_out()
        self._percent_said = self.story.meter.percent
        if "usage" in news:
            self._tokens_said = self._tokens()
        self._line.say(**news, log=entry.text, level=entry.level, kind=entry.kind, data=entry.data)

    def _news(self, message: str | None) -> dict[str, Any]:
        """Progress and usage that have not been said yet."""
        news: dict[str, Any] = {}
        percent = self.story.meter.percent
        if message is not None or percent != self._percent_said:
            news["progress"] = percent
        if message is not None:
            news["message"] = message
        if self._tokens() != self._tokens_said:
            news["usage"] = self.story.tally.line()
        return news

    def _tokens(self) -> tuple[int, int]:
        return self.story.tally.total.tokens_in, self.story.tally.total.tokens_out

    def _say_what_was_left_out(self) -> None:
        if self._left_out:
            count, self._left_out = self._left_out, 0
            noun = "line was" if count == 1 else "lines were"
            text = f"{count} {noun} left out: more was done than can be told"
            self._line.say(log=text, level="info", kind="warning")

    def _admit(self, kind: str, error: Exception) -> None:
        """Say, once for each kind of event, that it could not be told."""
        if kind not in self._troubles:
            self._troubles.add(kind)
            text = f"an event could not be told ({kind}): {type(error).__name__}: {error}"
            with contextlib.suppress(OSError):  # the line itself may be what is broken
                self._line.say(log=text[:500], level="warning", kind="warning")


@contextmanager
def listening(
    line: Says,
    *,
    tasks: int,
    begun_at: int = 0,
    task_ids: Iterable[str] = (),
    stop: Stops | None = None,
    through: Callable[[Listener], contextlib.AbstractContextManager[None]] | None = None,
) -> Iterator[Listener]:
    """Hear everything that happens inside this block, and tell it; at its end say what still waits."""
    meter = Meter(tasks, begun_at=begun_at, task_ids=task_ids)
    listener = Listener(line, Story(meter), stop)
    try:
        with (through or by_the_best_way)(listener):
            yield listener
    finally:
        listener.close_talk()


def by_the_best_way(listener: Listener) -> contextlib.AbstractContextManager[None]:
    """The sink where this crewai has it, else its bus."""
    try:
        from crewai.events import stream_context  # noqa: PLC0415  undocumented: it may be gone in another version
    except ImportError:
        return by_bus(listener)
    named = ("add_stream_sink", "reset_stream_sinks")
    return (
        by_sink(listener, stream_context)
        if all(hasattr(stream_context, n) for n in named)
        else by_bus(listener)
    )


@contextmanager
def by_sink(listener: Listener, stream_context: Any) -> Iterator[None]:
    """Scoped to this context: other crews of the process are not heard."""
    token = stream_context.add_stream_sink(listener)
    try:
        yield
    finally:
        stream_context.reset_stream_sinks(token)


@contextmanager
def by_bus(listener: Listener) -> Iterator[None]:
    """The documented way: every kind of event for itself, from a pool of threads, out of order. It hears
    every crew of its process, and so fits a process that runs one; a stop is then seen at the gates alone.
    """
    from crewai.events.base_events import BaseEvent  # noqa: PLC0415  whoever has the sink needs neither
    from crewai.events.event_bus import crewai_event_bus  # noqa: PLC0415  see above

    in_order = InOrder(listener)

    def hear(source: Any, event: Any) -> None:
        in_order.add(source, event)

    kinds = list(_below(BaseEvent))
    for kind in kinds:
        crewai_event_bus.register_handler(kind, hear)
    try:
        yield
        crewai_event_bus.flush()
    finally:
        for kind in kinds:
            crewai_event_bus.off(kind, hear)
        in_order.close()


class InOrder:
    """Puts events that come a little out of order back into theirs, by their own numbers."""

    def __init__(self, hear: Callable[[Any, Any], None]) -> None:
        self._hear = hear
        self._lock = threading.Lock()
        self._tie = itertools.count()
        self._held: list[tuple[int, int, Any, Any]] = []
        self._next = 1

    def add(self, source: Any, event: Any) -> None:
        with self._lock:
            number = getattr(event, "emission_sequence", None) or 0
            heapq.heappush(self._held, (number, next(self._tie), source, event))
            while self._held and (self._held[0][0] <= self._next or len(self._held) > HELD_MAX):
                self._release()

    def close(self) -> None:
        with self._lock:
            while self._held:
                self._release()

    def _release(self) -> None:
        number, _, source, event = heapq.heappop(self._held)
        self._next = max(self._next, number + 1)
        self._hear(source, event)


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    below: type[Any]
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _now() -> Moment:
    return Moment(clock.wall_ms(), clock.monotonic_s())
