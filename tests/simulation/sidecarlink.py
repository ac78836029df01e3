"""The link of a simulated sidecar: dialling, hearing, saying, and the beat that nothing blocks.

Owns what `sidecar/line.py` and `sidecar/link.py` own in the real one: when to dial again, the shipped
conversation, and what is taken down of a frame before the desk hears it. Never decides about work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from protocol import limits
from protocol.badframe import BadFrame
from protocol.close import Comeback, close_rule
from protocol.conversation import AgentConversation, Phase
from protocol.errors import RemoteProtocolError
from protocol.frames import (
    AgentFrame,
    ErrorFrame,
    HubFrame,
    Identified,
    TaskAck,
)
from protocol.ids import Seq
from sidecar.desk import Desk
from sidecar.events import DeskEvent, HubSaid, LinkLost, LinkOpened, OwnerLooked, Pause
from tests.simulation.voice import Voice
from tests.simulation.wire import CLIENT, Message, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

REDIAL_MS: Final = 30_000
"""Full jitter up to here (reliability §2.2)."""

SUBPROTOCOLS: Final = (None, "hub.v2.json", "hub.v2.msgpack")


class SidecarLink(ABC):
    """The half of a sidecar that talks. The other half sets it up anew at every boot."""

    desk: Desk

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.boot = 0
        self.is_up = False
        self.wire: Wire | None = None
        self.pause: Pause | None = None
        """What its owner wants now."""
        self._subprotocol = world.die.choice(SUBPROTOCOLS)
        self.voice = Voice(can_spoil=self._subprotocol != SUBPROTOCOLS[-1])

    @abstractmethod
    def post(self, event: DeskEvent) -> None:
        """A letter for the desk."""

    def _begin_link(self) -> None:
        """Of a process that has just started."""
        self._link_id = 0
        self._beat_ms: int | None = None
        self._receipts: set[Seq] = set()
        self._mark = Seq(0)
        self._retry_ms: int | None = None

    def _dial(self, boot: int) -> None:
        if boot != self.boot:
            return
        self.wire = self.world.dial(self, self._subprotocol)
        if self.wire is None:
            self._redial()
            return
        self._link_id += 1
        self._talk = AgentConversation(self._subprotocol)
        self.post(LinkOpened(self._link_id))
        self._later(limits.IDENTIFY_TIMEOUT_MS, partial(self._must_be_open, self._link_id))

    def _redial(self) -> None:
        """Full jitter, or when the hub said when."""
        wait_ms = self._retry_ms if self._retry_ms is not None else self.world.die.uniform(500, REDIAL_MS)
        self._retry_ms = None
        self._later(wait_ms, partial(self._dial, self.boot))

    def _must_be_open(self, link_id: int) -> None:
        if link_id == self._link_id and self.wire is not None and self._talk.phase is not Phase.OPEN:
            self._hang_up("no `identified` in time")

    def _hang_up(self, reason: str) -> None:
        if self.wire is not None:
            self.wire.close(CLIENT, 1000, reason)
            self.wire = None
            self.post(LinkLost(self._link_id))
            self._redial()

    def hung_up(self, wire: Wire, code: int, reason: str) -> None:
        """The close table says whether to come back; an operator who sees `never` starts it again some
        day."""
        if wire is not self.wire:
            return
        self.world.note(self.name, "link closed", f"{code} {reason}")
        self.wire = None
        self.post(LinkLost(self._link_id))
        if close_rule(code).comeback is Comeback.NEVER:
            self._retry_ms = int(self.world.die.uniform(1_000, REDIAL_MS))
        self._redial()

    def heard(self, wire: Wire, message: Message) -> None:
        """Bytes to frames to letters."""
        if wire is not self.wire:
            return
        try:
            items = self._talk.receive(message)
        except RemoteProtocolError as error:
            self.world.note(self.name, "hangs up", error)
            self._hang_up(str(error))
            return
        for item in items:
            assert not isinstance(item, BadFrame), f"{self.name} cannot read the hub: {item}"
            self._take(item)

    def _take(self, frame: HubFrame) -> None:
        self.world.note(self.name, "hears", frame)
        match frame:
            case Identified():
                self._mark = max(self._mark, frame.seq_received or Seq(0))
                if self._beat_ms is None:
                    self._beat_ms = frame.heartbeat_ms or limits.HEARTBEAT_MS
                    self._later(self._beat_ms, self._say_heartbeat)
            case TaskAck(seq=seq) if seq is not None:
                self._receipts.add(seq)
            case ErrorFrame(retry_after_ms=retry_ms):
                self._retry_ms = retry_ms
            case _:
                pass
        self.post(HubSaid(self._link_id, frame))

    def _say_heartbeat(self) -> None:
        """From a part of the sidecar that neither work nor journal can block."""
        assert self._beat_ms is not None
        if self._talk.phase is Phase.OPEN:
            self._say(self.desk.heartbeat())
        self._later(self._beat_ms, self._say_heartbeat)

    def rest(self, pause: Pause | None) -> None:
        """Its owner wants no new work, or wants it again."""
        self.pause = pause
        self.post(OwnerLooked(pause, 0.0))

    def _say(self, frame: AgentFrame, link_id: int | None = None) -> None:
        if self.wire is None or link_id not in (None, self._link_id):
            return
        for message in self._talk.say(frame):
            self.world.note(self.name, "says", frame)
            self.wire.send(CLIENT, self.voice.of(message))

    def _later(self, delay_ms: float, act: Callable[[], None]) -> None:
        """In this boot, or not at all."""
        self.world.scheduler.after(delay_ms, partial(self._in_boot, self.boot, act))

    def _in_boot(self, boot: int, act: Callable[[], None]) -> None:
        if boot == self.boot:
            act()
