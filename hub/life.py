"""How one hub process lives and ends: why it failed, with which exit code it leaves, how it is drained.

Owns what the server (outside) and the application (inside) tell each other. Never ends anything itself: the
server looks at it and does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from hub.metrics import Metrics
from hub.version import VERSION

EXIT_OK: Final = 0
EXIT_BUG: Final = 70
"""EX_SOFTWARE: something that only our own bug could break."""
EXIT_STORAGE: Final = 74
"""EX_IOERR: a write or sync failed, and nothing may be acknowledged any more."""
EXIT_CONFIGURATION: Final = 78
"""EX_CONFIG: the hub cannot start like this."""


class Life:
    def __init__(self) -> None:
        self.metrics = Metrics(VERSION)
        self.exit_code = EXIT_OK
        self.failure: str | None = None
        self.first_token: str | None = None
        """The admin token that the very first start has made, to be shown once."""
        self.operator_token: str | None = None
        """What commands of the user who starts this hub hold; None when there is nobody to let in."""
        self.renewed_token: str | None = None
        """The admin token that this start has made because that one is not valid, to be kept, not shown."""
        self.is_draining = False
        self._drain: Callable[[], Awaitable[None]] | None = None

    @property
    def has_failed(self) -> bool:
        return self.failure is not None

    def fail(self, exit_code: int, reason: str) -> None:
        """The first failure counts; what follows from it does not."""
        if self.failure is None:
            self.failure = reason
            self.exit_code = exit_code

    def on_drain(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain

    async def drain(self) -> None:
        """Let go of everyone in good order, once; nothing to do before the start or after a failure."""
        if self._drain is not None and not self.is_draining and not self.has_failed:
            self.is_draining = True
            await self._drain()
