"""Which agent had the last task of a sticky key.

Owns a bounded memory, of this life of the hub only: whoever had the last one is tried first, and nobody has
to wait for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from protocol.ids import AgentId

STICKY_KEYS_MAX: Final = 10_000
"""About 1 MiB. What falls off is given to anybody."""


class Sticky:
    """The least recently given key is forgotten first."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: OrderedDict[str, AgentId] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def agent_of(self, key: str) -> AgentId | None:
        return self._last.get(key)

    def note(self, key: str, agent_id: AgentId) -> None:
        self._last[key] = agent_id
        self._last.move_to_end(key)
        if len(self._last) > STICKY_KEYS_MAX:
            self._last.popitem(last=False)
