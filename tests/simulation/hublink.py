"""The hub's end of a simulated wire: bytes to frames to events, and frames to bytes.

Owns what `hub/link.py` owns in the real hub: who may enter, the shipped conversation, and the close. Never
decides about a task.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from hub.core.events import BadFactHeard, FrameHeard, LinkLost, Sender
from hub.core.task import V1_INSTANCE_PREFIX
from hub.introduction import introduced
from protocol.badframe import BadFrame
from protocol.close import CloseCode
from protocol.conversation import HubConversation, Phase, reply_to_bad, reply_to_end
from protocol.errors import RemoteProtocolError
from protocol.frames import AgentFrame, HubFrame, Identify, Ping, Pong
from protocol.frames import Message as MessageFrame
from protocol.ids import InstanceId, MessageId
from protocol.limits import IDENTIFY_TIMEOUT_MS
from tests.simulation.wire import SERVER, Message, Wire

if TYPE_CHECKING:
    from tests.simulation.hubside import Hub

HOLD_MS: Final = 4_000
"""What min(2^n, 60) s comes to on the way: how long a refused v1 socket is held before it is closed."""


class HubLink:
    """One socket as the hub sees it."""

    __slots__ = ("_bad", "hub", "is_over", "life", "link_id", "sender", "talk", "wire")

    def __init__(self, hub: Hub, link_id: int, subprotocol: str | None) -> None:
        self.hub = hub
        self.life = hub.life
        self.link_id = link_id
        self.talk = HubConversation(subprotocol, is_trusted=True)
        self.wire: Wire | None = None
        self.sender: Sender | None = None
        self.is_over = False
        hub.world.scheduler.after(IDENTIFY_TIMEOUT_MS, self._must_have_identified)

    @property
    def is_open(self) -> bool:
        """The board has taken it in."""
        return self.talk.phase is Phase.OPEN and not self.is_over

    # --- hearing -------------------------------------------------------------------------------------------

    def heard(self, wire: Wire, message: Message) -> None:
        """Bytes to frames to events; whatever cannot be read is answered."""
        if self.life != self.hub.life or self.is_over:
            return
        self.wire = wire
        try:
            items = self.talk.receive(message)
        except RemoteProtocolError as error:
            self.say(reply_to_end(error))
            self.close(error.close or CloseCode.BAD_FRAME, error.detail)
            return
        for item in items:
            if isinstance(item, BadFrame):
                self._take_bad(item)
            else:
                self._take(item)

    def _take(self, frame: AgentFrame) -> None:
        match frame:
            case Identify():
                self._identify(frame)
            case Ping():
                self.say(Pong(timestamp=self.hub.now().wall_ms))
            case MessageFrame():
                self._post(frame, MessageId(f"{self.hub.world.die.getrandbits(64):016x}"))
            case _:
                self._post(frame)

    def _identify(self, frame: Identify) -> None:
        version = self.talk.version
        token = frame.token or ""
        instance = frame.instance_id if version >= 2 else InstanceId(f"{V1_INSTANCE_PREFIX}{token[-4:]}")
        assert instance is not None
        self.sender = Sender(self.link_id, frame.agent_id, instance, version)
        die = self.hub.world.die
        letter = introduced(frame, self.sender, slots=frame.slots if version >= 2 else 1)
        epoch = f"epoch-{die.getrandbits(32):08x}"
        self.hub.post(replace(letter, session_id=f"session-{self.link_id}", epoch_if_renewed=epoch))

    def _post(self, frame: AgentFrame, message_id: MessageId | None = None) -> None:
        assert self.sender is not None
        self.hub.post(FrameHeard(sender=self.sender, frame=frame, message_id=message_id))

    def _take_bad(self, bad: BadFrame) -> None:
        self.say(reply_to_bad(bad))
        if bad.seq is not None and self.sender is not None and self.talk.version >= 2:
            self.hub.post(BadFactHeard(sender=self.sender, seq=bad.seq, task_id=bad.task_id))

    def hung_up(self, wire: Wire, code: int, reason: str) -> None:
        """The socket is gone."""
        self._lost(reason or str(code))

    def _lost(self, reason: str) -> None:
        if not self.is_over and self.life == self.hub.life:
            self.is_over = True
            self.hub.links.pop(self.link_id, None)
            self.hub.post(LinkLost(link_id=self.link_id, reason=reason))

    def _must_have_identified(self) -> None:
        if self.talk.phase is Phase.NEW and not self.is_over and self.life == self.hub.life:
            self.close(CloseCode.IDENTIFY_DEADLINE, "no identify frame in time")

    # --- saying --------------------------------------------------------------------------------------------

    def say(self, *frames: HubFrame) -> None:
        """Frames to bytes. A socket that is gone takes them silently."""
        if self.wire is None or self.is_over:
            return
        for frame in frames:
            self.hub.world.note("hub", f"tells {self.link_id}", frame)
        for message in self.talk.say(*frames):
            self.wire.send(SERVER, message)

    def close(self, code: int, reason: str, *, hold: bool = False) -> None:
        """Say goodbye; a v1 client that redials for ever is held a while."""
        wait_ms = HOLD_MS if hold and self.talk.version < 2 else 0
        self.hub.world.scheduler.after(wait_ms, partial(self._close_now, code, reason))

    def _close_now(self, code: int, reason: str) -> None:
        if self.wire is not None:
            self.wire.close(SERVER, code, reason)
        self._lost(reason)
