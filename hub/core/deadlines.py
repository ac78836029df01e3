"""Who must be looked at when: one heap with lazy deletion.

Owns no meaning: a key is a task or an agent. A later deadline for a key costs nothing until the old one
comes up, so that renewing a lease with every heartbeat pushes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=str)


GARBAGE_MIN: Final = 1_024
"""Below this many entries nothing is worth a rebuild."""


class Deadlines(Generic[Key]):
    """`due_of` says when a key is really due now; the heap only knows when to ask."""

    __slots__ = ("_ask_at", "_due_of", "_heap")

    def __init__(self, due_of: Callable[[Key], int | None]) -> None:
        self._due_of = due_of
        self._heap: list[tuple[int, Key]] = []
        self._ask_at: dict[Key, int] = {}

    def watch(self, key: Key, due_ms: int | None) -> None:
        """This key has a deadline now, perhaps another one than before."""
        if due_ms is None:
            return
        asked_at = self._ask_at.get(key)
        if asked_at is None or due_ms < asked_at:
            self._ask_at[key] = due_ms
            heappush(self._heap, (due_ms, key))

    def forget(self, key: Key) -> None:
        """This key is gone. The heap is rebuilt when most of it is about such keys (L110)."""
        if self._ask_at.pop(key, None) is not None and len(self._heap) > GARBAGE_MIN + 4 * len(self._ask_at):
            self._heap = [(due_ms, other) for other, due_ms in self._ask_at.items()]
            heapify(self._heap)

    def next_ms(self) -> int | None:
        """The earliest moment at which something may be due."""
        heap = self._heap
        while heap:
            due_ms, key = heap[0]
            if self._ask_at.get(key) == due_ms:  # else it was asked for an earlier moment, or is gone
                really_ms = self._due_of(key)
                if really_ms is not None and really_ms <= due_ms:
                    return due_ms
                del self._ask_at[key]
                heappop(heap)
                self.watch(key, really_ms)
            else:
                heappop(heap)
        return None

    def pop_due(self, now_ms: int, most: int | None = None) -> list[Key]:
        """Every key that is really due, or so many of them, earliest first. What is still due afterwards must
        be watched again.
        """
        due: list[Key] = []
        while len(due) != most and (next_ms := self.next_ms()) is not None and next_ms <= now_ms:
            _, key = heappop(self._heap)
            del self._ask_at[key]
            due.append(key)
        return due
