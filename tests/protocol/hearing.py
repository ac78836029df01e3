"""A stranger's message, and what a hub makes of it: shared by the tests of the codec."""

from __future__ import annotations

from typing import Any

from protocol.badframe import BadFrame
from protocol.codec import FrameDecoder, Message, Wire
from protocol.frames import AGENT_FRAMES, Frame

TASK = "task-0123456789abcdef"


def agents(wire: Wire = Wire.JSON) -> FrameDecoder[Frame]:
    return FrameDecoder(AGENT_FRAMES, wire)


def hear(said: Any, wire: Wire = Wire.JSON) -> Frame | BadFrame:
    """One frame, given as what it decodes to, or as the message itself."""
    message = said if isinstance(said, str | bytes) else message_of(said, wire)
    (item,) = agents(wire).decode(message, arrays=True)
    return item


def message_of(said: Any, wire: Wire) -> Message:
    encoded = wire.value.encode(said)
    return encoded.decode() if wire.text else encoded


def refused(said: Any, wire: Wire = Wire.JSON) -> tuple[str, str, str]:
    """Why: the code, the field and the word."""
    bad = hear(said, wire)
    assert isinstance(bad, BadFrame), bad
    return bad.code.value, bad.errors[0].field, bad.errors[0].error
