"""What the sidecar says to a run: answers of people and the word to stop, one JSON object a line.

Owns the thread that listens, and SIGTERM as another way to be told. Never ends the process: when the sidecar
is gone, the guard of the run kills it.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import Any, Final

import msgspec

from crews.line import Line
from crews.people import People
from crews.stopping import Stopping

ANSWERS_FD: Final = 4
"""Where a run hears: the descriptor after the one it reports on, as for a command."""

LINE_BYTES_MAX: Final = 1024 * 1024
"""What one frame of the hub may hold: no answer is longer."""


class _Word(msgspec.Struct):
    request_id: str | None = None
    value: Any = None
    stop: str | None = None


_word = msgspec.json.Decoder(_Word).decode


class Hearing:
    """Listens in a thread of its own from `start` on, until the process ends."""

    def __init__(self, line: Line, stopping: Stopping, people: People, fd: int = ANSWERS_FD) -> None:
        self._line = line
        self._stopping = stopping
        self._people = people
        self._fd = fd
        self._open = bytearray()
        self._skipping = False
        self._told_fd, self._tell_fd = os.pipe()

    def start(self) -> None:
        """Call it in the main thread: only there a signal can be caught."""
        os.set_blocking(self._tell_fd, False)
        signal.signal(signal.SIGTERM, lambda *_: os.write(self._tell_fd, b"T"))
        threading.Thread(target=self._listen, name="hearing", daemon=True).start()

    def _listen(self) -> None:
        waiting = [self._fd, self._told_fd]
        while True:
            ready, _, _ = select.select(waiting, (), ())
            if self._told_fd in ready:
                os.read(self._told_fd, 1024)
                self._stopping.ask("terminated")
            if self._fd in ready and not self._read():
                waiting.remove(self._fd)  # nobody answers any more; TERM may still come

    def _read(self) -> bool:
        piece = os.read(self._fd, 1 << 16)
        *whole, rest = piece.split(b"\n")
        for end in whole:
            self._grow(end)
            self._end_of_line()
        self._grow(rest)
        return bool(piece)

    def _grow(self, piece: bytes) -> None:
        if self._skipping or len(self._open) + len(piece) > LINE_BYTES_MAX:
            self._skipping = True
            self._open.clear()
        else:
            self._open += piece

    def _end_of_line(self) -> None:
        raw, skipped = bytes(self._open), self._skipping
        self._open.clear()
        self._skipping = False
        if skipped:
            self._complain(f"a line of more than {LINE_BYTES_MAX} bytes came as an answer and was left out")
        elif raw.strip():
            self._take(raw)

    def _take(self, raw: bytes) -> None:
        try:
            word = _word(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as trouble:
            self._complain(f"an answer was unreadable: {trouble}")
            return
        if word.stop is not None:
            self._stopping.ask(word.stop)
        if word.request_id is not None:
            self._people.answered(word.request_id, word.value)

    def _complain(self, text: str) -> None:
        self._line.say(log=text, level="warning", kind="warning")
