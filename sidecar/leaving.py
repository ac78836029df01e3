"""The end of a sidecar's process: taking nothing more, and the moment when nothing is left to do.

Owns how far it has come. Pure: says nothing, and stops no run; the desk does.
"""

from __future__ import annotations


class Leaving:
    """From "takes work" over "finishes what it has" to "has left", and never back. `once`: the first run is
    the last.
    """

    __slots__ = ("_has_left", "is_draining", "is_stopping", "once")

    def __init__(self, *, once: bool) -> None:
        self.once = once
        self.is_draining = False
        """No new work is taken."""
        self.is_stopping = False
        """What it has is stopped, too."""
        self._has_left = False

    def drain(self) -> bool:
        """Take no more; False when that was so already."""
        was_taking = not self.is_draining
        self.is_draining = True
        return was_taking

    def is_time(self, *, has_runs: bool, has_facts: bool, has_link: bool) -> bool:
        """With empty hands and all receipts, true once; whoever is told to go does not wait for a hub that
        is away.
        """
        if not self.is_draining or has_runs or self._has_left:
            return False
        self._has_left = not has_facts or self.is_stopping or not (has_link or self.once)
        return self._has_left
