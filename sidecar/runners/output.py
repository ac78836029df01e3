"""What a program prints: lines for the activity stream, the text for the result, the last words for an error.

Owns the cap: at most `bytes_max` of both streams together are kept and reported, everything behind is only
counted, and the count is said once at the end (L62). Memory stays flat however much is printed. It never
waits and never blocks the program.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sidecar.runners.contract import REPORT_TEXT_LENGTH_MAX, Logged, Reporter

OUTPUT_BYTES_MAX: Final = 128 * 1024
"""Output kept of one run: as JSON text it stays below a result's limit even when a third of it must be
escaped.
"""

LAST_LINES_MAX: Final = 10
LAST_LINE_LENGTH_MAX: Final = 300
"""What an error quotes: enough to see the exception, short enough to be read."""

LAST_CRY: Final = "Fatal Python error"
"""How an interpreter begins to say that it falls. What was called last follows at once, and what began it all
comes at the end: there the first lines tell the cause, not the last.
"""

STREAMS: Final = {1: "stdout", 2: "stderr"}


class Output:
    """Both streams of one run."""

    def __init__(self, report: Reporter, bytes_max: int) -> None:
        self.report = report
        self.left = bytes_max
        self.kept = bytearray()  # of stdout, for the result
        self.last: deque[str] = deque(maxlen=LAST_LINES_MAX)
        self.cry: list[str] = []  # from `LAST_CRY` on
        self.dropped_bytes = 0
        self.dropped_lines = 0
        self._open = dict.fromkeys(STREAMS, b"")  # the beginning of a line

    def heard(self, descriptor: int, piece: bytes) -> None:
        """Take what came out of one descriptor."""
        fits = piece[: self.left]
        self.left -= len(fits)
        if descriptor == 1:
            self.kept += fits
        if fits:
            self._lines(descriptor, fits)
        if len(piece) > len(fits):
            self._drop(piece[len(fits) :])

    def finish(self) -> None:
        """The end: say the lines without a newline, and what was dropped."""
        for number, rest in self._open.items():
            if rest:
                self._say(number, rest)
            self._open[number] = b""
        if self.dropped_bytes:
            self.report(
                Logged(
                    level="warning",
                    kind="output",
                    text=f"{self.dropped_bytes} bytes of output in {self.dropped_lines} lines were dropped",
                )
            )

    def last_words(self) -> str:
        return "\n".join(line[:LAST_LINE_LENGTH_MAX] for line in self.cry or self.last)

    def _lines(self, descriptor: int, piece: bytes) -> None:
        *whole, rest = (self._open[descriptor] + piece).split(b"\n")
        for line in whole:
            self._say(descriptor, line)
        while len(rest) > REPORT_TEXT_LENGTH_MAX:
            self._say(descriptor, rest[:REPORT_TEXT_LENGTH_MAX])
            rest = rest[REPORT_TEXT_LENGTH_MAX:]
        self._open[descriptor] = rest

    def _say(self, descriptor: int, line: bytes) -> None:
        text = line.removesuffix(b"\r").decode(errors="replace").replace("\0", "\ufffd")
        if text.strip():
            self._remember(text)
        stream = f'{{"stream":"{STREAMS[descriptor]}"}}'.encode()
        for start in range(0, max(1, len(text)), REPORT_TEXT_LENGTH_MAX):
            self.report(Logged(kind="output", text=text[start : start + REPORT_TEXT_LENGTH_MAX], data=stream))

    def _remember(self, line: str) -> None:
        self.last.append(line)
        if line.startswith(LAST_CRY):
            self.cry = [line]
        elif self.cry and len(self.cry) < LAST_LINES_MAX:
            self.cry.append(line)

    def _drop(self, piece: bytes) -> None:
        self.dropped_bytes += len(piece)
        self.dropped_lines += piece.count(b"\n")
        tail = piece[-2 * LAST_LINE_LENGTH_MAX :].decode(errors="replace").replace("\0", "\ufffd")
        for line in tail.split("\n")[1:]:
            if line.strip():
                self._remember(line)
