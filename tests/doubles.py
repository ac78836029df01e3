"""A fake wire between two real conversations.

`Pair` joins a hub's and an agent's end, so that a test is a dialogue: what one says the other hears. It
behaves like TCP and no worse: each direction keeps its order, may be slow or blocked, and a cut loses a tail,
never a piece from the middle. Duplicates are not made here, because TCP makes none: they come from saying
things again on the next `Pair`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from protocol.badframe import BadFrame
from protocol.codec import Announcement, Message
from protocol.conversation import AgentConversation, Conversation, HubConversation
from protocol.frames import AgentFrame, Frame, HubFrame, Identified, Identify
from protocol.ids import AgentId, InstanceId, Seq

Heard = TypeVar("Heard", bound=Frame)


class Direction(Generic[Heard]):
    """One half of the wire: messages in flight to one end, oldest first.

    A message is handed over only by `deliver`, so a world with its own clock decides when. `on_sent` tells
    such a world that there is something to schedule a delivery for.
    """

    def __init__(
        self, listener: Conversation[Heard, Any], on_sent: Callable[[], None] = lambda: None
    ) -> None:
        self.listener = listener
        self.on_sent = on_sent
        self.in_flight: deque[Message] = deque()
        self.is_open = True
        """False once this half is cut: what is sent afterwards vanishes, as in a half-open connection."""
        self.is_blocked = False
        """True while it holds everything back: nothing is lost, nothing arrives."""
        self.delivered = 0
        self.lost = 0

    def send(self, messages: list[Message]) -> None:
        if not self.is_open:
            self.lost += len(messages)
            return
        for message in messages:
            self.in_flight.append(message)
            self.on_sent()

    def deliver(self) -> list[Heard | BadFrame]:
        """Hand over the oldest message, if one can arrive. Raises what the listener raises."""
        if self.is_blocked or not self.in_flight:
            return []
        self.delivered += 1
        return self.listener.receive(self.in_flight.popleft())

    def deliver_all(self) -> list[Heard | BadFrame]:
        heard: list[Heard | BadFrame] = []
        while self.in_flight and not self.is_blocked:
            heard += self.deliver()
        return heard

    def cut(self, arriving: int = 0) -> None:
        """Lose everything from now on but the first `arriving` messages that are already in flight."""
        self.is_open = False
        while len(self.in_flight) > arriving:
            self.in_flight.pop()
            self.lost += 1


class Pair:
    """A hub's end, an agent's end, and the wire between them."""

    def __init__(self, subprotocol: str | None = None, *, is_trusted: bool = False) -> None:
        self.hub = HubConversation(subprotocol, is_trusted=is_trusted)
        self.agent = AgentConversation(subprotocol)
        self.to_hub: Direction[AgentFrame] = Direction(self.hub)
        self.to_agent: Direction[HubFrame] = Direction(self.agent)

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way in either direction."""
        return not self.to_hub.in_flight and not self.to_agent.in_flight

    # --- one end speaks; a world delivers when it likes ---

    def agent_says(self, *frames: AgentFrame | Announcement[AgentFrame]) -> None:
        self.to_hub.send(self.agent.say(*frames))

    def hub_says(self, *frames: HubFrame | Announcement[HubFrame]) -> None:
        self.to_agent.send(self.hub.say(*frames))

    def cut(self, *, to_hub: int = 0, to_agent: int = 0) -> None:
        """The connection is gone; at most these many messages still arrive at each end."""
        self.to_hub.cut(to_hub)
        self.to_agent.cut(to_agent)

    # --- one end speaks and the other hears it at once ---

    def tell_hub(self, *frames: AgentFrame) -> list[AgentFrame | BadFrame]:
        self.agent_says(*frames)
        return self.to_hub.deliver_all()

    def tell_agent(self, *frames: HubFrame) -> list[HubFrame | BadFrame]:
        self.hub_says(*frames)
        return self.to_agent.deliver_all()

    def introduce(self, version: int = 2, *, mark: int = 0, agent_id: str = "ada") -> Pair:
        """Go through identify and identified, so that the test can begin with what it is about."""
        name = AgentId(agent_id)
        if version >= 2:
            instance = InstanceId(f"{agent_id}-journal")
            self.tell_hub(Identify(agent_id=name, protocol_version=version, instance_id=instance))
            self.tell_agent(
                Identified(agent_id=name, protocol_version=2, features=(), seq_received=Seq(mark))
            )
        else:
            self.tell_hub(Identify(agent_id=name))
            self.tell_agent(Identified(agent_id=name))
        return self
