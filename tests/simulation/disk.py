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

    __slots__ = ("_synced", "content", "cut_next", "is_there")

    def __init__(self) -> None:
        self.content = bytearray()
        self.is_there = False
        self.cut_next = False
        self._synced = 0

    def read(self) -> bytes | None:
        return bytes(self.content) if self.is_there else None

    def append(self, data: bytes) -> None:
        self.content += data
        if self.cut_next:
            self.cut_next = False
            raise PowerCut

    def sync(self) -> None:
        self._synced = len(self.content)

    def truncate(self, size: int) -> None:
        del self.content[size:]
        self.sync()

    def replace(self, data: bytes) -> None:
        """Written anew, synced, renamed, folder synced: as one step, which is what the rename makes of it."""
        self.content = bytearray(data)
        self.is_there = True
        self.sync()

    def set_aside(self) -> str:
        self.is_there = False
        return "a file beside it"

    # --- vices ---------------------------------------------------------------------------------------------

    def lose_power(self, kept: float) -> None:
        """Of what was not synced, a prefix has reached the platter, torn anywhere."""
        del self.content[self._synced + int((len(self.content) - self._synced) * kept) :]
        self._synced = len(self.content)

    def wipe(self) -> None:
        self.content = bytearray()
        self.is_there = False
        self._synced = 0
