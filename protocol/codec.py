"""Bytes ⇄ frames: the only place that names JSON and MessagePack.

Owns the two wires, arrays of frames, and the way free-form members travel: as they are in JSON, as a *string
of JSON text* in MessagePack. Whatever a peer sends becomes a frame or a `BadFrame`, member by member; only a
message that is too big raises. Never knows who is speaking, or whether it may: `conversation.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeVar, Union

import msgspec
from msgspec import UNSET, Raw, UnsetType

from protocol import rawjson
from protocol.badframe import UNREADABLE, BadFrame, bad_member, not_allowed, unreadable
from protocol.close import CloseCode
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.frames import EMPTY_OBJECT, NULL, Frame
from protocol.limits import FRAME_BYTES_MAX, FRAMES_PER_MESSAGE_MAX, KIB
from protocol.rawjson import FLAW_SENTENCES, Flaw
from protocol.secondlook import SecondLook
from protocol.shapes import Shape, shape_of

F = TypeVar("F", bound=Frame)
Message = str | bytes
"""One WebSocket message: `str` travels in a text frame, `bytes` in a binary one."""


class Grammar(NamedTuple):
    """What one wire needs of the serialising library."""

    subprotocol: str
    is_text: bool
    decoder: Callable[..., Any]
    encode: Callable[[Any], bytes]
    null: bytes


class Wire(Enum):
    """How frames become bytes on one connection."""

    JSON = Grammar("hub.v2.json", True, msgspec.json.Decoder, msgspec.json.Encoder().encode, b"null")
    MSGPACK = Grammar(
        "hub.v2.msgpack", False, msgspec.msgpack.Decoder, msgspec.msgpack.Encoder().encode, b"\xc0"
    )

    @property
    def text(self) -> bool:
        """Whether messages are `str`, for text frames."""
        return self.value.is_text

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that asks for this wire (and for v2). None asked for is JSON."""
        return self.value.subprotocol

    @classmethod
    def of(cls, subprotocol: str | None) -> Wire:
        """The wire of an agreed subprotocol; an unknown one is our fault, for we agreed to it."""
        for wire in cls:
            if subprotocol in (None, wire.subprotocol):
                return wire
        raise LocalProtocolError(f"no such subprotocol: {subprotocol}")


SUBPROTOCOLS: Final = tuple(wire.subprotocol for wire in Wire)
"""What a server offers to agree to."""


# --- saying ---


def encode_frame(frame: Frame, wire: Wire) -> bytes:
    """One frame as a member of a message; the bytes may be reused for any number of peers on this wire."""
    if wire is Wire.MSGPACK:
        texts = {}
        for free in shape_of(type(frame)).free_form:
            raw = getattr(frame, free.attribute)
            if raw is not None:
                texts[free.attribute] = Raw(wire.value.encode(bytes(raw).decode()))
        if texts:
            frame = msgspec.structs.replace(frame, **texts)
    return wire.value.encode(frame)


def pack(
    members: Sequence[bytes], wire: Wire, *, arrays: bool, bytes_max: int = FRAME_BYTES_MAX
) -> list[Message]:
    """As few messages as the limits allow, in order; one for each member where the peer knows no arrays."""
    messages: list[Message] = []
    batch: list[bytes] = []
    room = bytes_max
    for member in members:
        if len(member) > bytes_max:
            raise LocalProtocolError(f"a frame of {len(member)} bytes is above the limit of {bytes_max}")
        if batch and (not arrays or len(batch) == FRAMES_PER_MESSAGE_MAX or len(member) + 1 > room):
            messages.append(_join(batch, wire))
            batch = []
        if not batch:
            room = bytes_max - _ARRAY_HEADER_BYTES
        batch.append(member)
        room -= len(member) + 1
    if batch:
        messages.append(_join(batch, wire))
    return messages


_ARRAY_HEADER_BYTES: Final = 3
"""MessagePack's header of an array of 16 or more; JSON needs two brackets."""


def _join(members: list[bytes], wire: Wire) -> Message:
    if wire is Wire.JSON:
        whole = members[0] if len(members) == 1 else b"[" + b",".join(members) + b"]"
        return whole.decode()
    if len(members) == 1:
        return members[0]
    count = len(members)
    header = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return header + b"".join(members)


class Announcement(Generic[F]):
    """One frame for many peers, encoded once for each wire however many are told."""

    def __init__(self, frame: F) -> None:
        self.frame = frame
        self._encoded: dict[Wire, bytes] = {}

    def encoded(self, wire: Wire) -> bytes:
        if wire not in self._encoded:
            self._encoded[wire] = encode_frame(self.frame, wire)
        return self._encoded[wire]


# --- hearing ---

_SMALL_ARRAY_BYTES: Final = 64 * KIB
_raw_or_unset = Raw | UnsetType
_Bounded: Final = msgspec.defstruct(
    "_Bounded",
    [(f"m{index}", _raw_or_unset, UNSET) for index in range(FRAMES_PER_MESSAGE_MAX)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""An array of at most 256: stops at the 257th member, where a list would first build half a million of
them."""


class FrameDecoder(Generic[F]):
    """Turns the messages of one role on one wire into frames. Stateless after it is made: share it."""

    def __init__(self, kinds: Sequence[type[F]], wire: Wire) -> None:
        grammar = wire.value
        self.wire = wire
        self._is_text = grammar.is_text
        self._frame: Any = grammar.decoder(Union[tuple(kinds)])  # noqa: UP007  a union of a computed tuple
        self._shapes: dict[type[Frame], Shape] = {kind: shape_of(kind) for kind in kinds}
        self._second_look: SecondLook[F] = SecondLook(kinds, grammar.decoder, grammar.encode, grammar.null)
        self._list: Any = grammar.decoder(list[Raw])
        self._bounded: Any = grammar.decoder(_Bounded)
        self._text: Any = grammar.decoder(str | None)

    def decode(
        self, message: Message, *, arrays: bool, bytes_max: int = FRAME_BYTES_MAX
    ) -> list[F | BadFrame]:
        """Everything one message says, in order. A message above `bytes_max` raises, before anything is
        decoded."""
        try:
            data = self._checked_bytes(message, bytes_max)
        except UnicodeError:
            return [unreadable(ErrorCode.INVALID_JSON, Flaw.INVALID_UTF8, "the message is not UTF-8")]
        if not self.is_array(data):
            return [self.decode_frame(data)]
        if not arrays:
            return [not_allowed("an array of frames is for v2 peers that have identified")]
        members = self._members(data)
        if isinstance(members, BadFrame):
            return [members]
        return [self.decode_frame(bytes(member), index) for index, member in enumerate(members)]

    def decode_frame(self, data: bytes, index: int | None = None) -> F | BadFrame:
        """One frame, or what is wrong with it. What it keeps is its own bytes, not the message it came in."""
        try:
            frame = self._frame.decode(data)
        except UNREADABLE:
            frame = self._second_look.at(data, index)
        if isinstance(frame, BadFrame):
            return frame
        return self._settled(frame, data, index)

    def _checked_bytes(self, message: Message, bytes_max: int) -> bytes:
        # A character is at least a byte: most of what is too long is refused before it is copied.
        data = message.encode() if isinstance(message, str) and len(message) <= bytes_max else message
        if len(data) > bytes_max:
            raise RemoteProtocolError(
                ErrorCode.FRAME_TOO_BIG,
                f"a message of more than {bytes_max} bytes",
                close=CloseCode.TOO_SLOW_OR_TOO_BIG,
            )
        assert isinstance(data, bytes), "a str above the limit has been refused"
        if data is message and self._is_text and not data.isascii():
            data.decode()
        return data

    def is_array(self, message: Message) -> bool:
        """Whether a message says several frames, or one as if there were several."""
        if isinstance(message, str):
            return message.startswith("[") or (message[:1].isspace() and message.lstrip().startswith("["))
        if self._is_text:
            return message.startswith(b"[") or (message[:1].isspace() and message.lstrip().startswith(b"["))
        return bool(message) and (message[0] & 0xF0 == 0x90 or message[0] in (0xDC, 0xDD))

    def _members(self, data: bytes) -> list[Raw] | BadFrame:
        try:
            if len(data) <= _SMALL_ARRAY_BYTES:
                members: list[Raw] = self._list.decode(data)
            else:
                filled = msgspec.structs.astuple(self._bounded.decode(data))
                members = [member for member in filled if member is not UNSET]
        except msgspec.ValidationError:
            return self._too_many()
        except UNREADABLE as error:
            return unreadable(ErrorCode.INVALID_JSON, Flaw.MALFORMED, str(error))
        return members if len(members) <= FRAMES_PER_MESSAGE_MAX else self._too_many()

    def _too_many(self) -> BadFrame:
        return not_allowed(f"more than {FRAMES_PER_MESSAGE_MAX} frames in one message")

    def _settled(self, frame: F, data: bytes, index: int | None) -> F | BadFrame:
        """What types cannot say: the sizes, U+0000, and the free-form members."""
        shape = self._shapes[type(frame)]
        if len(data) > shape.bytes_max:
            detail = f"a {shape.name} may have {shape.bytes_max} bytes"
            return bad_member(frame, shape, Flaw.TOO_BIG, detail, index=index)
        if self.wire is Wire.MSGPACK:
            unpacked = self._unpacked(frame, shape, index)
            if isinstance(unpacked, BadFrame):
                return unpacked
            frame = unpacked
            has_nul = b"\0" in data and rawjson.has_nul(Wire.JSON.value.encode(frame))
        else:
            has_nul = rawjson.has_nul(data)
        if has_nul:
            return bad_member(frame, shape, Flaw.NUL, FLAW_SENTENCES[Flaw.NUL], index=index)
        return self._judged(frame, shape, index)

    def _unpacked(self, frame: F, shape: Shape, index: int | None) -> F | BadFrame:
        """MessagePack's strings of JSON text become the JSON text itself."""
        texts: dict[str, Raw] = {}
        for free in shape.free_form:
            packed = getattr(frame, free.attribute)
            if packed is None or packed is NULL or packed is EMPTY_OBJECT:
                continue
            try:
                text = self._text.decode(packed)
            except UNREADABLE:
                detail = "a free-form member travels as a string of JSON text"
                return bad_member(frame, shape, "wrong_type", detail, index=index, field=free.member)
            judged = rawjson.judge(text if text is not None else b"null", bytes_max=free.bytes_max)
            if isinstance(judged, Flaw):
                return bad_member(
                    frame, shape, judged, FLAW_SENTENCES[judged], index=index, field=free.member
                )
            texts[free.attribute] = judged
        return msgspec.structs.replace(frame, **texts) if texts else frame

    def _judged(self, frame: F, shape: Shape, index: int | None) -> F | BadFrame:
        nulls: dict[str, None] = {}
        for free in shape.free_form:
            raw = getattr(frame, free.attribute)
            if raw is None:
                continue
            text = bytes(raw)
            if free.is_optional and text == b"null":
                nulls[free.attribute] = None
                continue
            flaw = Flaw.TOO_BIG if len(text) > free.bytes_max else rawjson.crowding_in(text)
            if flaw is not None:
                return bad_member(frame, shape, flaw, FLAW_SENTENCES[flaw], index=index, field=free.member)
            if free.is_object and not text.startswith(b"{"):
                return bad_member(
                    frame, shape, "wrong_type", "Expected `object`", index=index, field=free.member
                )
        return msgspec.structs.replace(frame, **nulls) if nulls else frame
