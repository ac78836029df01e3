"""The disk under a journal of the simulated world: what is written survives the process, what is synced
survives power.

Owns the difference between the two, and the moment in which power goes. Satisfies `sidecar.journal.Disk`; the
book of records above it is the shipped one.
"""

from __future__ import annotations


class PowerCut(Exception):
    """The power goes in the middle of a write."""


class Disk:
    """One file."""

    __slots__ = ("_synced", "content", "cut_next", "is_there", "promised")

    def __init__(self) -> None:
        self.content = bytearray()
        self.is_there = False
        self.cut_next = False
        self.promised = 0
        """What was durable when the last write began, and is vouched for by it. What rots behind that looks
        like a torn tail to anybody, so no book can tell."""
        self._synced = 0

    def read(self) -> bytes | None:
        return bytes(self.content) if self.is_there else None

    def append(self, data: bytes) -> None:
        self.promised = self._synced
        self.content += data
        if self.cut_next:
            self.cut_next = False
            raise PowerCut

    def sync(self) -> None:
        self._synced = len(self.content)

    def truncate(self, size: int) -> None:
        del self.content[size:]
        self.promised = min(self.promised, size)
        self.sync()

    def replace(self, data: bytes) -> None:
        """Written anew, synced, renamed, folder synced: as one step, which is what the rename makes of it."""
        self.content = bytearray(data)
        self.is_there = True
        self.promised = 0
        self.sync()

    def set_aside(self) -> str:
        self.is_there = False
        return "a file beside it"

    # --- vices ---------------------------------------------------------------------------------------------

    def lose_power(self, kept: float) -> None:
        """Of what was not synced, a prefix has reached the platter, torn anywhere."""
        del self.content[self._synced + int((len(self.content) - self._synced) * kept) :]
        self._synced = len(self.content)
        self.promised = min(self.promised, self._synced)

    def wipe(self) -> None:
        self.content = bytearray()
        self.is_there = False
        self.promised = self._synced = 0

    def rot(self, at: float) -> bool:
        """A bit has turned over somewhere in what is vouched for."""
        if self.promised:
            self.content[int(at * self.promised)] ^= 0x10
        return self.promised > 0
