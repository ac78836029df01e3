"""The hub's own account of what it promised, for the checker of histories.

Owns a file of JSON lines in the record format that all processes of a chaos run share, writing it and reading
it back. Off unless a path is given. Never read by the running hub, and never in the way: a line is buffered,
and a full disk ends the history, not the hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from hub import clock

Kind = Literal["invoke", "ok", "fail", "info"]
Deed = Literal[
    "push", "cancel", "input", "start", "finish", "ack", "event", "terminal", "drain", "exit", "log", "gauge"
]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line: `t` monotonic nanoseconds, `p` the process, `n` its count, which begins anew with it.

    `fail` means that it certainly did not happen, `info` that it may have. The value of an event is its
    cursor and its name; `snapshot` and `reset` are events of type `info`.
    """

    t: int
    p: str
    n: int
    type: Kind
    f: Deed
    key: str | None = None
    task: str | None = None
    gen: int | None = None
    value: Any = None


class History:
    """Appends records; a `None` path writes nothing."""

    def __init__(self, path: Path | None, process: str = "hub") -> None:
        self._process = process
        self._count = 0
        self._encoder = msgspec.json.Encoder()
        self._file: IO[bytes] | None = path.open("ab", buffering=1 << 16) if path is not None else None

    @property
    def is_kept(self) -> bool:
        return self._file is not None

    def note(
        self,
        type: Kind,  # noqa: A002  the record format's own name
        f: Deed,
        *,
        key: str | None = None,
        task: str | None = None,
        gen: int | None = None,
        value: object = None,
    ) -> None:
        if self._file is None:
            return
        self._count += 1
        record = Record(
            t=clock.monotonic_ns(),
            p=self._process,
            n=self._count,
            type=type,
            f=f,
            key=key,
            task=task,
            gen=gen,
            value=value,
        )
        try:
            self._file.write(self._encoder.encode(record) + b"\n")
        except OSError:
            self.close()

    def flush(self) -> None:
        """Called once a turn: what was promised must be readable after a kill."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError:
                self._file = None

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                return


def read(paths: Iterable[Path]) -> list[Record]:
    """The records of all these files, in the order of their time. A line cut short by a kill is left out."""
    return sorted((record for path in paths for record in records_of(path)), key=attrgetter("t"))


def records_of(path: Path) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(Record)
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError:
                continue
