"""One connection between a hub and an agent, without any I/O: who may say what, when.

Owns the order of things: identify first and alone, then `identified`, facts in sequence, and which frames a
peer of this role and version may say or be told. A shell gives every message to `receive`, answers each
`BadFrame` with `reply_to_bad`, and sends all that `say` returns, in order. On RemoteProtocolError the hub
says `reply_to_end(error)` and either end closes with `error.close`; a LocalProtocolError is a bug of ours and
has changed nothing. A new socket is a new conversation. Never decides about tasks, tokens or names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from protocol.badframe import BadFrame, reply_to_bad, speakable, unreadable
from protocol.close import CloseCode
from protocol.codec import Announcement, FrameDecoder, Message, Wire, encode_frame, pack
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    AGENT_FRAMES,
    HUB_FRAMES,
    AgentFrame,
    ErrorFrame,
    Fact,
    FieldError,
    Frame,
    HubFrame,
    Identified,
    Identify,
    Pong,
    TaskAck,
    frame_type,
)
from protocol.ids import Seq
from protocol.limits import FRAME_BYTES_MAX, IDENTIFY_BYTES_MAX, IDENTIFY_TRUSTED_BYTES_MAX
from protocol.versions import PROTOCOL_VERSION, V1_ACK_STATUSES, V1_AGENT_FRAMES, V1_HUB_FRAMES, as_v1

__all__ = [
    "AgentConversation",
    "Announcement",
    "BadFrame",
    "HubConversation",
    "Phase",
    "reply_to_bad",
    "reply_to_end",
]

Heard = TypeVar("Heard", bound=Frame)
Said = TypeVar("Said", bound=Frame)


class Phase(Enum):
    """How far the two have come. It only moves down this list."""

    NEW = "nothing has been said"
    INTRODUCED = "the agent has said who it is, and the hub has not yet agreed"
    OPEN = "both may say whatever their role and version allow"
    OVER = "the peer broke the protocol: say why, and close"


@cache
def _decoder(kinds: tuple[type[Frame], ...], wire: Wire) -> FrameDecoder[Any]:
    return FrameDecoder(kinds, wire)


def reply_to_end(error: RemoteProtocolError) -> ErrorFrame:
    """What the hub says before it closes a broken conversation."""
    return ErrorFrame(error=error.code.value, message_type=error.message_type, errors=error.errors or None)


class Conversation(ABC, Generic[Heard, Said]):
    """What both ends have in common. Use one of the two below."""

    _heard_kinds: tuple[type[Frame], ...]

    def __init__(self, subprotocol: str | None = None) -> None:
        self.wire = Wire.of(subprotocol)
        self._is_text = self.wire.text
        self.phase = Phase.NEW
        self.version = 1
        """What the two agreed to speak; meaningful once INTRODUCED."""
        self._is_v2_by_subprotocol = subprotocol is not None
        self._seq = Seq(0)
        self._bytes_max = FRAME_BYTES_MAX
        self._decoder: FrameDecoder[Heard] = _decoder(self._heard_kinds, self.wire)

    @property
    def seq(self) -> Seq:
        """The number of the last fact of this connection: the hub's mark at first, then the last heard or
        said."""
        return self._seq

    def receive(self, message: Message) -> list[Heard | BadFrame]:
        """All that a message says, in order; nothing after the end. Raises RemoteProtocolError to end it."""
        if self.phase is Phase.OVER:
            return []
        try:
            self._check_kind(message)
            return self._receive(message)
        except RemoteProtocolError:
            self.phase = Phase.OVER
            raise

    def say(self, *frames: Said | Announcement[Said]) -> list[Message]:
        """The messages that say these frames. Send all of them, in this order. Raises LocalProtocolError."""
        arrays = self.version >= 2 and self.phase is Phase.OPEN
        before = (self.phase, self.version, self._seq)
        try:
            members = [self._said(frame) for frame in frames]
            return pack(members, self.wire, arrays=arrays, bytes_max=self._bytes_max)
        except LocalProtocolError:
            self.phase, self.version, self._seq = before
            raise

    def _check_kind(self, message: Message) -> None:
        if isinstance(message, str) is not self._is_text:
            kind = "text" if isinstance(message, str) else "binary"
            raise RemoteProtocolError(
                ErrorCode.VALIDATION_FAILED,
                f"a {kind} message on a connection that carries none",
                close=CloseCode.UNSUPPORTED_DATA,
            )

    def _said(self, thing: Said | Announcement[Said]) -> bytes:
        frame = thing.frame if isinstance(thing, Announcement) else thing
        shown = self._permitted(frame)
        if isinstance(thing, Announcement) and shown is frame:
            return thing.encoded(self.wire)
        return encode_frame(shown, self.wire)

    @abstractmethod
    def _receive(self, message: Message) -> list[Heard | BadFrame]:
        """What a message of the right kind says, after noting what hearing it changes."""

    @abstractmethod
    def _permitted(self, frame: Said) -> Said:
        """The frame as this peer may see it, after noting what saying it changes."""

    def _refuse_to_say(self, frame: Frame, why: str) -> LocalProtocolError:
        return LocalProtocolError(f"`{frame_type(frame)}` may not be said: {why}")


class HubConversation(Conversation[AgentFrame, HubFrame]):
    """The hub's end.

    `is_trusted` says that the upgrade carried a valid bearer token: then the first frame may be as big as a
    fleet's holdings; a stranger's may not. `peer` is the identify that was heard.
    """

    _heard_kinds = AGENT_FRAMES

    def __init__(self, subprotocol: str | None = None, *, is_trusted: bool = False) -> None:
        super().__init__(subprotocol)
        self.peer: Identify | None = None
        self._first_bytes_max = IDENTIFY_TRUSTED_BYTES_MAX if is_trusted else IDENTIFY_BYTES_MAX

    # --- hearing ---

    def _receive(self, message: Message) -> list[AgentFrame | BadFrame]:
        if self.phase is Phase.NEW:
            return [self._introduction(message)]
        items = self._decoder.decode(message, arrays=self.version >= 2)
        if len(items) > 1:
            return [self._heard(item, index) for index, item in enumerate(items)]
        return [self._heard_alone(item, message) for item in items]

    def _introduction(self, message: Message) -> Identify:
        """The first message: one identify and nothing else."""
        item = self._decoder.decode(message, arrays=False, bytes_max=self._first_bytes_max)[0]
        if isinstance(item, BadFrame) and (
            item.code is ErrorCode.INVALID_JSON or item.message_type == frame_type(Identify)
        ):
            raise _ending(item.code, "the identify frame could not be read", item.message_type, item.errors)
        if not isinstance(item, Identify):
            raise _ending(ErrorCode.NOT_IDENTIFIED, "the first message is one identify frame")
        if self._is_v2_by_subprotocol and item.protocol_version < 2:
            raise _ending(
                ErrorCode.VALIDATION_FAILED,
                "a v2 subprotocol asks for protocol_version 2",
                frame_type(Identify),
                (
                    FieldError(
                        field="protocol_version",
                        error="not_allowed",
                        detail="2 or more with this subprotocol",
                    ),
                ),
            )
        self.version = min(max(item.protocol_version, 1), PROTOCOL_VERSION)
        self.peer = item
        self.phase = Phase.INTRODUCED
        return item

    def _heard_alone(self, item: AgentFrame | BadFrame, message: Message) -> AgentFrame | BadFrame:
        """As below. An array of one is an array, too, but only a complaint of ours has to know."""
        heard = self._heard(item, None)
        if heard is item or not isinstance(heard, BadFrame) or not self._decoder.is_array(message):
            return heard
        return msgspec.structs.replace(heard, index=0)

    def _heard(self, item: AgentFrame | BadFrame, index: int | None) -> AgentFrame | BadFrame:
        if isinstance(item, Identify):
            sentence = "this connection has identified"
            return unreadable(ErrorCode.INVALID_STATE, "not_allowed", sentence, index, frame_type(item))
        if not isinstance(item, (Fact, BadFrame)):
            return item
        if self.version < 2:
            return item if item.seq is None else msgspec.structs.replace(item, seq=None)
        if isinstance(item, Fact) and (item.seq is None or item.generation is None):
            item = _unnumbered(item, "seq" if item.seq is None else "generation", index)
        if item.seq is not None:
            self._count(item.seq)
        return item

    def _count(self, seq: Seq) -> None:
        """Facts come in sequence after the mark; a repeat is passed on, because its receipt may have been
        lost."""
        if self.phase is not Phase.OPEN:
            raise _ending(ErrorCode.INVALID_STATE, "a fact before `identified`")
        if seq > self._seq + 1:
            raise _ending(ErrorCode.VALIDATION_FAILED, f"fact {seq} after fact {self._seq}: one is missing")
        self._seq = Seq(max(seq, self._seq))

    # --- saying ---

    def _permitted(self, frame: HubFrame) -> HubFrame:
        if isinstance(frame, ErrorFrame):
            return frame
        if isinstance(frame, Identified):
            return self._agreed(frame)
        if self.phase is not Phase.OPEN and not (self.phase is Phase.INTRODUCED and isinstance(frame, Pong)):
            raise self._refuse_to_say(frame, self.phase.value)
        if self.version >= 2:
            return frame
        if type(frame) not in V1_HUB_FRAMES:
            raise self._refuse_to_say(frame, "a v1 client does not know it")
        if isinstance(frame, TaskAck) and frame.status not in V1_ACK_STATUSES:
            raise self._refuse_to_say(frame, f"a v1 client does not know the status `{frame.status}`")
        return as_v1(frame)

    def _agreed(self, frame: Identified) -> Identified:
        if self.phase is not Phase.INTRODUCED:
            raise self._refuse_to_say(frame, self.phase.value)
        if self.version >= 2:
            if frame.seq_received is None or frame.protocol_version is None:
                raise self._refuse_to_say(frame, "a v2 peer is told the version and its mark")
            self._seq = frame.seq_received
        self.phase = Phase.OPEN
        return frame if self.version >= 2 else as_v1(frame)


class AgentConversation(Conversation[HubFrame, AgentFrame]):
    """The agent's end. The version is that of the identify it says; `hub` is the `identified` that was
    heard."""

    _heard_kinds = HUB_FRAMES

    def __init__(self, subprotocol: str | None = None) -> None:
        super().__init__(subprotocol)
        self.hub: Identified | None = None

    # --- hearing ---

    def _receive(self, message: Message) -> list[HubFrame | BadFrame]:
        items = self._decoder.decode(message, arrays=self.version >= 2)
        return [self._heard(item) for item in items]

    def _heard(self, item: HubFrame | BadFrame) -> HubFrame | BadFrame:
        if isinstance(item, BadFrame | ErrorFrame):
            return item
        if isinstance(item, Identified):
            return self._agreed(item)
        if self.phase is not Phase.OPEN:
            raise _ending(ErrorCode.INVALID_STATE, f"`{frame_type(item)}` before `identified`")
        if self.version < 2 and type(item) not in V1_HUB_FRAMES:
            return unreadable(
                ErrorCode.UNKNOWN_MESSAGE_TYPE,
                "not_allowed",
                "a v1 client does not know it",
                None,
                frame_type(item),
            )
        return item

    def _agreed(self, frame: Identified) -> Identified:
        if self.phase is not Phase.INTRODUCED:
            raise _ending(ErrorCode.INVALID_STATE, "`identified` out of turn")
        if self.version >= 2:
            if frame.seq_received is None or (frame.protocol_version or 1) < 2:
                raise _ending(ErrorCode.VALIDATION_FAILED, "the hub did not agree to protocol_version 2")
            self._seq = frame.seq_received
            self._bytes_max = min(FRAME_BYTES_MAX, frame.frame_bytes_max or FRAME_BYTES_MAX)
            if self._bytes_max < IDENTIFY_TRUSTED_BYTES_MAX:
                raise _ending(
                    ErrorCode.VALIDATION_FAILED, "the hub's frame_bytes_max has no room for a result"
                )
        self.hub = frame
        self.phase = Phase.OPEN
        return frame

    # --- saying ---

    def _permitted(self, frame: AgentFrame) -> AgentFrame:
        if isinstance(frame, Identify):
            return self._introduced(frame)
        if self.phase is not Phase.OPEN:
            raise self._refuse_to_say(frame, self.phase.value)
        if self.version < 2:
            if type(frame) not in V1_AGENT_FRAMES or (isinstance(frame, Fact) and frame.seq is not None):
                raise self._refuse_to_say(frame, "no v1 client says it")
            return frame
        if isinstance(frame, Fact):
            if frame.generation is None or frame.seq != self._seq + 1:
                raise self._refuse_to_say(
                    frame, f"fact {self._seq + 1} of some generation is next, not {frame.seq}"
                )
            self._seq = frame.seq
        return frame

    def _introduced(self, frame: Identify) -> Identify:
        if self.phase is not Phase.NEW:
            raise self._refuse_to_say(frame, self.phase.value)
        if self._is_v2_by_subprotocol and frame.protocol_version < 2:
            raise self._refuse_to_say(frame, "a v2 subprotocol asks for protocol_version 2")
        bytes_max = IDENTIFY_BYTES_MAX if frame.token is not None else IDENTIFY_TRUSTED_BYTES_MAX
        size = len(encode_frame(frame, self.wire))
        if size > bytes_max:
            raise self._refuse_to_say(frame, f"its {size} bytes are above {bytes_max}")
        self.version = min(max(frame.protocol_version, 1), PROTOCOL_VERSION)
        self.phase = Phase.INTRODUCED
        return frame


def _ending(
    code: ErrorCode, detail: str, message_type: str | None = None, errors: Sequence[FieldError] = ()
) -> RemoteProtocolError:
    return RemoteProtocolError(
        code, detail, close=CloseCode.BAD_FRAME, message_type=message_type, errors=tuple(errors)
    )


def _unnumbered(fact: Fact, missing: str, index: int | None) -> BadFrame:
    return BadFrame(
        index=index,
        code=ErrorCode.VALIDATION_FAILED,
        message_type=frame_type(fact),
        task_id=speakable(fact.task_id),
        seq=fact.seq,
        generation=fact.generation,
        errors=(
            FieldError(field=missing, error="missing", detail="a v2 fact has a number and a generation"),
        ),
    )
