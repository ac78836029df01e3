"""What can go wrong with the hub itself, as opposed to what a peer may do and we decline (those are
`Refusal`s).

    HubError
    ├── ConfigurationError   the operator asked for something impossible; the sentence says what to change
    ├── Overloaded           the inbox is full: answered 503 with Retry-After
    └── Closing              the hub is ending: nothing can be asked any more, answered 503

`ports.StorageFull` and `ports.StorageBroken` belong to the ledger's door and live there.
"""

from __future__ import annotations


class HubError(Exception):
    """Never raised itself."""


class ConfigurationError(HubError):
    """The hub cannot start like this."""


class Overloaded(HubError):
    """Too many letters are waiting to be decided."""


class Closing(HubError):
    """The dispatcher has stopped, or is about to."""
