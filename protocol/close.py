"""How a connection ends: number, sentence, and whether the client may come back.

Owns the one table that both sides ask. Never decides when to close.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple


class Comeback(Enum):
    """What a client does after a close."""

    WITH_BACKOFF = "with backoff"
    AT_ONCE = "at once, elsewhere"
    AFTER_RETRY = "after the retry_after_ms of the error before it"
    NEVER = "never: somebody must change the configuration"


class CloseCode(IntEnum):
    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_FRAME = 4400
    INVALID_TOKEN = 4401
    TOKEN_OF_ANOTHER_AGENT = 4403
    IDENTIFY_DEADLINE = 4408
    REPLACED = 4409
    NAME_IN_USE = 4410
    TOO_SLOW_OR_TOO_BIG = 4413
    TOO_MANY_VIOLATIONS = 4429
    DRAINING = 4503


class CloseRule(NamedTuple):
    sentence: str
    comeback: Comeback


CLOSE_RULES: dict[CloseCode, CloseRule] = {
    CloseCode.NORMAL: CloseRule("closed normally", Comeback.WITH_BACKOFF),
    CloseCode.GOING_AWAY: CloseRule("the peer is going away", Comeback.WITH_BACKOFF),
    CloseCode.PROTOCOL_ERROR: CloseRule("the peer broke the WebSocket protocol", Comeback.WITH_BACKOFF),
    CloseCode.UNSUPPORTED_DATA: CloseRule(
        "binary or text data that the subprotocol does not carry", Comeback.WITH_BACKOFF
    ),
    CloseCode.ABNORMAL: CloseRule("the connection was lost without a goodbye", Comeback.WITH_BACKOFF),
    CloseCode.INVALID_DATA: CloseRule("a text message was not UTF-8", Comeback.WITH_BACKOFF),
    CloseCode.POLICY_VIOLATION: CloseRule("a rule of the connection was broken", Comeback.WITH_BACKOFF),
    CloseCode.MESSAGE_TOO_BIG: CloseRule(
        "a message was too big: do not send it again", Comeback.WITH_BACKOFF
    ),
    CloseCode.INTERNAL_ERROR: CloseRule("the peer failed", Comeback.WITH_BACKOFF),
    CloseCode.SERVICE_RESTART: CloseRule("the hub restarts", Comeback.WITH_BACKOFF),
    CloseCode.TRY_AGAIN_LATER: CloseRule("the hub is full: try again later", Comeback.WITH_BACKOFF),
    CloseCode.BAD_FRAME: CloseRule("a frame could not be accepted", Comeback.WITH_BACKOFF),
    CloseCode.INVALID_TOKEN: CloseRule("the token is not valid", Comeback.NEVER),
    CloseCode.TOKEN_OF_ANOTHER_AGENT: CloseRule("the token belongs to another agent", Comeback.NEVER),
    CloseCode.IDENTIFY_DEADLINE: CloseRule("no identify frame arrived in time", Comeback.WITH_BACKOFF),
    CloseCode.REPLACED: CloseRule("replaced by a newer connection of the same instance", Comeback.NEVER),
    CloseCode.NAME_IN_USE: CloseRule(
        "the name belongs to another instance that is live or holds work", Comeback.AFTER_RETRY
    ),
    CloseCode.TOO_SLOW_OR_TOO_BIG: CloseRule("too slow, or too big", Comeback.WITH_BACKOFF),
    CloseCode.TOO_MANY_VIOLATIONS: CloseRule("too many violations", Comeback.AFTER_RETRY),
    CloseCode.DRAINING: CloseRule("the hub is draining", Comeback.AT_ONCE),
}

assert set(CLOSE_RULES) == set(CloseCode), "every close code has its sentence"


def close_rule(code: int) -> CloseRule:
    """The rule for any number a peer may close with; an unknown one is treated as a lost connection."""
    try:
        return CLOSE_RULES[CloseCode(code)]
    except ValueError:
        return CloseRule(f"closed with the unknown code {code}", Comeback.WITH_BACKOFF)
