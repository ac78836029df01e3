"""One line at the foot of a terminal, drawn anew in place while other lines scroll above it.

Owns the drawing, the bar, the elapsed time and the place where an answer is typed. It is mute where nobody
sees it: in a pipe, or in JSON. Never knows what the line is about, and reads no clock: it is given one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from console.harmless import harmless_line
from console.output import Output, cut

TICK_S: Final = 1.0
BAR_WIDTH: Final = 20
CLEAR: Final = "\r\x1b[2K"


def bar(percent: float) -> str:
    full = min(BAR_WIDTH, max(0, round(BAR_WIDTH * percent / 100)))
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {percent:3.0f} %"


def elapsed(ms: int) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class FootLine:
    """Use as a context; `show` says what stands there, `lifted` makes room for a line above."""

    def __init__(self, output: Output, wall_ms: Callable[[], int]) -> None:
        self._output = output
        self._wall_ms = wall_ms
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._since_ms: int | None = None
        self._percent: float | None = None
        self._words = ""
        self._prompt: str | None = None
        self.is_seen = output.out.isatty() and not output.is_json and not output.quiet

    def __enter__(self) -> FootLine:
        if self.is_seen:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self.is_seen:
            self._ticker.join()
            self._write(CLEAR)

    def begin(self, since_ms: int) -> None:
        """Something runs since then: from now on there is a line."""
        with self._lock:
            self._since_ms, self._percent = since_ms, None
            self._draw()

    def show(self, percent: float | None = None, words: str | None = None) -> None:
        with self._lock:
            self._percent = self._percent if percent is None else percent
            self._words = self._words if words is None else words
            self._draw()

    def hold(self, prompt: str | None) -> None:
        """Somebody types at the foot, behind the prompt: nothing else is drawn there until it is None."""
        with self._lock:
            self._prompt = prompt
            if self.is_seen:
                self._write(CLEAR + (prompt or ""))
            self._draw()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Other lines are written meanwhile, on either stream."""
        with self._lock:
            if self.is_seen:
                self._write(CLEAR)
            yield
            if self.is_seen and self._prompt is not None:
                self._write(self._prompt)
            self._draw()

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        is_free = self.is_seen and self._prompt is None and not self._ended.is_set()
        if not is_free or self._since_ms is None:
            return
        parts = [
            bar(self._percent) if self._percent is not None else "",
            elapsed(self._wall_ms() - self._since_ms),
            harmless_line(self._words),
        ]
        text = cut("  ".join(part for part in parts if part), self._output.columns - 1)
        self._write(CLEAR + self._output.paint(text, "soft"))

    def _write(self, text: str) -> None:
        self._output.out.write(text)
        self._output.out.flush()
