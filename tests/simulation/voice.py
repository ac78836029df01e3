"""What a sidecar's side of a socket does to what it says: it may say its last word twice, or spoil the next
fact.

Owns those two vices and nothing of what is said. Never talks by itself.
"""

from __future__ import annotations

from tests.simulation.wire import Message


class Voice:
    """Of one sidecar, through all its boots."""

    __slots__ = ("can_spoil", "last", "spoils")

    def __init__(self, *, can_spoil: bool) -> None:
        self.can_spoil = can_spoil
        """Only text can be spoiled by hand."""
        self.last: Message | None = None
        self.spoils = False

    def of(self, message: Message) -> Message:
        """What goes out for a message; what was meant is remembered."""
        self.last = message
        if self.spoils and isinstance(message, str) and '"seq":' in message:
            self.spoils = False
            return message.replace('"generation":', '"generation":-1')
        return message

    def spoil_next_fact(self) -> bool:
        """A bug of some client: the next numbered fact has a body that cannot be read."""
        self.spoils = self.can_spoil
        return self.spoils
