"""All of a hub's webhooks, made from its settings in one place.

Owns which hooks and calls there are, and the agent that calls. A hub without any has an empty one, and no
such agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.inner.agent import InnerAgent
from hub.webhooks.calls import CALLS_AGENT, SLOTS, Calls
from hub.webhooks.config import Hook, read_calls, read_hooks

if TYPE_CHECKING:
    from hub.core.board import Board
    from hub.dispatcher import Dispatcher
    from hub.ports import Clock
    from hub.registry import Registry
    from hub.settings import Settings


def address_of_hub(settings: Settings) -> str:
    """How somebody who was called finds back."""
    if settings.public_url:
        return settings.public_url
    scheme = "https" if settings.tls_cert is not None else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{settings.port}"


class Switchboard:
    """`run` belongs in the hub's TaskGroup."""

    def __init__(
        self,
        settings: Settings,
        *,
        pepper: bytes,
        board: Board,
        dispatcher: Dispatcher,
        registry: Registry,
        clock: Clock,
    ) -> None:
        allow_private = settings.hooks_allow_private
        self.hooks: dict[str, Hook] = read_hooks(settings.hooks)
        self.calls = Calls(
            read_calls(settings.calls, allow_private=allow_private),
            pepper=pepper,
            hub_address=address_of_hub(settings),
            accept_ms=settings.accept_ms,
            allow_private=allow_private,
            clock=clock,
        )
        self.agent = InnerAgent(
            CALLS_AGENT,
            self.calls,
            board=board,
            inbox=dispatcher,
            lines=registry,
            clock=clock,
            heartbeat_ms=settings.heartbeat_ms,
            slots=SLOTS,
            plugins=tuple(self.calls.places),
        )

    async def run(self) -> None:
        """Take orders, where there is a place to call, or a callback still to come."""
        if self.calls.places or self.agent.jobs:
            await self.agent.run()
