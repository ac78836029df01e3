"""Facts on which this program has broken: remembered, so that a hub does not break on them for ever.

Owns the file of poisoned facts (instance and number) and what such a fact becomes: one that is receipted
`refused`, so that the instance's other facts get through. Never decides what is poison: the dispatcher does,
when the board has failed on a letter, just before the hub ends.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import msgspec

from hub.core.events import BadFactHeard, Event, FrameHeard
from hub.store.permissions import private_file
from protocol.frames import Fact
from protocol.ids import InstanceId, Seq

POISONED_MAX: Final = 1_000
"""Facts remembered. So many different ones mean that something else is broken: the oldest are forgotten."""

logger = logging.getLogger(__name__)


class Poisoned(msgspec.Struct, frozen=True):
    """One fact, and the sentence with which the board failed on it."""

    instance_id: InstanceId
    seq: Seq
    reason: str


class Poison:
    """The facts in the file, in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[str, int], Poisoned] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._remember(line)

    def _remember(self, line: bytes) -> None:
        try:
            one = msgspec.json.decode(line, type=Poisoned)
        except msgspec.MsgspecError:
            return  # the hub died while it wrote: the fact breaks it once more, and is written then
        self._known[one.instance_id, one.seq] = one
        while len(self._known) > POISONED_MAX:
            del self._known[next(iter(self._known))]

    def __len__(self) -> int:
        return len(self._known)

    def note(self, event: Event, reason: str) -> None:
        """The hub is about to end because of this letter; a fact will come again, and is worth a line."""
        if not isinstance(event, FrameHeard) or not isinstance(event.frame, Fact) or event.frame.seq is None:
            return
        one = Poisoned(event.sender.instance_id, event.frame.seq, reason[:500])
        private_file(self._path)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def defused(self, event: Event) -> Event:
        """The letter itself; for a poisoned fact one that says that it could not be read."""
        if not self._known or not isinstance(event, FrameHeard) or not isinstance(event.frame, Fact):
            return event
        frame = event.frame
        found = self._known.get((event.sender.instance_id, frame.seq or 0))
        if found is None or frame.seq is None:
            return event
        extra = {"task_id": frame.task_id, "instance_id": found.instance_id, "seq": found.seq}
        logger.error("! a fact on which this hub has broken before is refused: %s", found.reason, extra=extra)
        return BadFactHeard(sender=event.sender, seq=frame.seq, task_id=frame.task_id)
