"""The sidecar's own account of what it did, for the checker of histories.

Owns a file of JSON lines in the record format that all processes of a chaos run share. Off unless a path is
given. Never read by the sidecar, and never in the way: a line is buffered, and a full disk ends the history
and not the work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from protocol.frames import TaskAck
from sidecar.clock import monotonic_ns
from sidecar.effects import Effect, StartRun
from sidecar.events import DeskEvent, HubSaid, RunEnded
from sidecar.runners.contract import Finished

_encode = msgspec.json.Encoder().encode


class History:
    """Appends one line a start, a finish with a result, an end without one, and a receipt. A `None` path
    writes nothing.

    `process` names the instance: the key of a receipt is the number of its fact, which only that knows.
    """

    def __init__(self, path: Path | None, process: str) -> None:
        self._process = process
        self._count = 0
        self._file: IO[bytes] | None = None if path is None else path.open("ab", buffering=1 << 16)

    def note_heard(self, letters: Sequence[DeskEvent]) -> None:
        """What a turn has heard, before it is recorded: a kill between the two leaves a run that has finished
        and of which nobody is told. The other way round a result would come from nowhere.
        """
        if self._file is None:
            return
        for letter in letters:
            match letter:
                case RunEnded(outcome=Finished(result=result)):
                    self._note("finish", letter.task_id, letter.generation, msgspec.Raw(result))
                case RunEnded():
                    self._note("finish", letter.task_id, letter.generation, kind="fail")
                case HubSaid(frame=TaskAck() as ack) if ack.seq is not None:
                    self._note("ack", ack.task_id, ack.generation, ack.status, str(ack.seq))
                case _:
                    pass
        self._flush()

    def note_decided(self, effects: Sequence[Effect]) -> None:
        """What a turn has decided, once it is recorded and before it is done: what is not recorded will be
        ordered once more.
        """
        if self._file is None:
            return
        for effect in effects:
            if isinstance(effect, StartRun):
                self._note("start", effect.order.task_id, effect.order.generation)
        self._flush()

    def close(self) -> None:
        """Write out what is buffered."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _flush(self) -> None:
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.flush()

    def _note(
        self,
        deed: Literal["start", "finish", "ack"],
        task: str | None,
        generation: int | None,
        value: object = None,
        key: str | None = None,
        kind: Literal["ok", "fail"] = "ok",
    ) -> None:
        if self._file is None:
            return
        self._count += 1
        line: dict[str, Any] = {
            "t": monotonic_ns(),
            "p": self._process,
            "n": self._count,
            "type": kind,
            "f": deed,
        }
        members = {"key": key, "task": task, "gen": generation, "value": value}
        line |= {name: one for name, one in members.items() if one is not None}
        try:
            self._file.write(_encode(line) + b"\n")
        except OSError:
            self.close()
