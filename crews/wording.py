"""Sentences about what went wrong in a crew, and whether another attempt could help.

Owns the reading of exceptions, of providers' too: what a class is called and which HTTP status it carries,
all along its causes. Never hides the cause behind a general sentence (L92).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

SENTENCE_LENGTH_MAX: Final = 2_000
"""An error is read by a person; providers answer with whole pages."""

CAUSES_MAX: Final = 4
"""Causes told in one sentence, the outermost first; the traceback in the log has them all."""

CHAIN_MAX: Final = 32
"""Causes looked at."""

PASSING_STATUS: Final = frozenset({408, 409, 425, 429, 529}) | frozenset(range(500, 600))
"""Answers of a provider that may be another one in a minute."""

FOR_EVER: Final = frozenset(
    {
        *("AuthenticationError", "PermissionDeniedError", "BadRequestError", "NotFoundError"),
        *("UnprocessableEntityError", "InvalidRequestError", "ServiceQuotaExceededException"),
        *("ImportError", "ModuleNotFoundError", "NotImplementedError", "SyntaxError"),
        *("AttributeError", "NameError", "TypeError", "KeyError", "IndexError", "BadScript"),
    }
)
"""A wrong key, a wrong request or a bug stays what it is: another attempt would only cost."""

PASSING: Final = frozenset(
    {
        *("RateLimitError", "APIConnectionError", "APITimeoutError", "InternalServerError"),
        *("ServiceUnavailableError", "OverloadedError", "ResourceExhausted", "ThrottlingException"),
        *("ConnectionError", "TimeoutError", "TransportError"),
    }
)
"""The weather."""

RETRY_AFTER_S_MAX: Final = 3_600
"""A provider that asks for more than an hour is not waited for by a timer."""


def sentence(what: str, trouble: BaseException) -> str:
    """What failed, and each cause by name: `what: RateLimitError: slow down (from ConnectError: …)`."""
    told: list[str] = []
    for cause in causes(trouble, explicit=True):
        text = named(cause)
        if not any(text in earlier or str(cause) in earlier for earlier in told if str(cause)):
            told.append(text)
        if len(told) == CAUSES_MAX:
            break
    first, *others = told or [type(trouble).__name__]
    whole = f"{what}: {first}" + (f" (from {'; from '.join(others)})" if others else "")
    return whole if len(whole) <= SENTENCE_LENGTH_MAX else whole[: SENTENCE_LENGTH_MAX - 1] + "…"


def named(trouble: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(trouble).split())
    return f"{type(trouble).__name__}: {text}" if text else type(trouble).__name__


def causes(trouble: BaseException, *, explicit: bool = False) -> Iterator[BaseException]:
    """The exception and what it came from, each once; `explicit` is what somebody raised it from."""
    seen: set[int] = set()
    current: BaseException | None = trouble
    while current is not None and id(current) not in seen and len(seen) < CHAIN_MAX:
        seen.add(id(current))
        yield current
        hidden = explicit or current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def may_pass(trouble: BaseException) -> bool:
    """Could another attempt succeed? The first cause that tells decides; what nobody knows may pass."""
    for cause in causes(trouble):
        status = status_of(cause)
        if status is not None and status >= 400:
            return status in PASSING_STATUS
        names = {kind.__name__ for kind in type(cause).__mro__}
        if names & PASSING:
            return True
        if names & FOR_EVER:
            return False
    return True


def status_of(trouble: BaseException) -> int | None:
    """The HTTP status that an exception of a provider carries."""
    for owner in (trouble, getattr(trouble, "response", None)):
        status: Any = getattr(owner, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def retry_after_ms(trouble: BaseException) -> int | None:
    """How long the provider asked to be left alone."""
    for cause in causes(trouble):
        headers: Any = getattr(getattr(cause, "response", None), "headers", None)
        asked = headers.get("retry-after") if hasattr(headers, "get") else None
        if isinstance(asked, str) and asked.strip().isdecimal():
            return min(int(asked), RETRY_AFTER_S_MAX) * 1000
    return None
