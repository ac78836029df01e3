"""Whose fault a broken conversation is.

    ProtocolError            never raised itself
    ├── LocalProtocolError   our own program asked for something illegal: a bug of ours
    └── RemoteProtocolError  the peer sent something illegal that ends the connection: say why, then close

Owns the exceptions of this package; never decides what a shell does about them beyond naming the close code.
"""

from __future__ import annotations

from enum import StrEnum

from protocol.close import CloseCode
from protocol.frames import FieldError


class ErrorCode(StrEnum):
    """Every value that the `error` member of an `error` frame may have."""

    INVALID_JSON = "invalid_json"
    NOT_IDENTIFIED = "not_identified"
    INVALID_TOKEN = "invalid_token"  # noqa: S105  the name of an error, not a secret
    TOKEN_AGENT_MISMATCH = "token_agent_mismatch"  # noqa: S105  the name of an error, not a secret
    NAME_IN_USE = "name_in_use"
    UNKNOWN_MESSAGE_TYPE = "unknown_message_type"
    VALIDATION_FAILED = "validation_failed"
    RATE_LIMITED = "rate_limited"
    FRAME_TOO_BIG = "frame_too_big"
    STALE_GENERATION = "stale_generation"
    NOT_FOUND = "not_found"
    NOT_HOLDER = "not_holder"
    INVALID_STATE = "invalid_state"


class ProtocolError(Exception):
    """Something on the wire was not allowed. Raise one of the two kinds below."""


class LocalProtocolError(ProtocolError):
    """We tried to say something that may not be said now."""


class RemoteProtocolError(ProtocolError):
    """The peer said something after which this connection cannot go on."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        close: CloseCode,
        message_type: str | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail
        self.close = close
        self.message_type = message_type
        self.errors = errors
