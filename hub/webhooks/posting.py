"""One signed POST to a place outside: bounded in time and bytes, to the address that was judged.

Owns the HTTP of it: no redirects, no proxy of the environment, no compression, a certificate that fits the
name and not the address. Says what came of it as a value. Never logs a body or a header.
"""

from __future__ import annotations

import asyncio
import ssl
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

import httpx
from msgspec import Struct

from hub.webhooks.guard import NotResolved, Target, address_of

CONNECT_S: Final = 5.0
TOTAL_S: Final = 10.0
"""From the name to the last byte of the answer."""

REPLY_BYTES_MAX: Final = 64 * 1024
"""More of an answer is not read: all that counts is its status."""

RETRY_AFTER_S_MAX: Final = 3_600
USER_AGENT: Final = "crewhub-webhooks"


class Answered(Struct, frozen=True, kw_only=True):
    status: int
    retry_after_ms: int = 0
    beginning: bytes = b""
    """Of what it said, if the caller wants to keep some."""

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


class Unanswered(Struct, frozen=True):
    """Nobody has said anything: it may have been heard all the same."""

    reason: str


async def post(
    target: Target,
    body: bytes,
    headers: dict[str, str],
    *,
    allow_private: bool,
    total_s: float = TOTAL_S,
    kept_bytes: int = 0,
) -> Answered | Unanswered:
    """Raises BadTarget when the name leads where the hub does not call."""
    try:
        async with asyncio.timeout(min(total_s, TOTAL_S)):
            address = await address_of(target, allow_private=allow_private)
            return await _post(target, address, body, headers, kept_bytes)
    except TimeoutError:
        return Unanswered("there was no answer in time")
    except NotResolved as error:
        return Unanswered(str(error))
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Unanswered(f"{type(error).__name__}: {error}")


async def _post(
    target: Target, address: str, body: bytes, headers: dict[str, str], kept_bytes: int
) -> Answered:
    host = f"[{address}]" if ":" in address else address
    said = {
        "Host": target.authority,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        **headers,
    }
    limits = httpx.Timeout(TOTAL_S, connect=CONNECT_S)
    async with (
        httpx.AsyncClient(
            verify=trusted(), trust_env=False, follow_redirects=False, timeout=limits
        ) as client,
        client.stream(
            "POST",
            f"{target.scheme}://{host}:{target.port}{target.path}",
            content=body,
            headers=said,
            extensions={"sni_hostname": target.host},
        ) as answer,
    ):
        read, beginning = 0, b""
        async for chunk in answer.aiter_raw():
            beginning += chunk[: kept_bytes - len(beginning)]
            read += len(chunk)
            if read > REPLY_BYTES_MAX or 0 < kept_bytes <= read:
                break
        return Answered(
            status=answer.status_code, retry_after_ms=retry_after_ms(answer.headers), beginning=beginning
        )


@cache
def trusted() -> ssl.SSLContext:
    """The certificates of the system, read once: reading them takes longer than most calls."""
    return httpx.create_ssl_context(trust_env=False)


def retry_after_ms(headers: httpx.Headers) -> int:
    """The pause that is asked for, in seconds or by a date; a date counts from the answer's own."""
    said = headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return min(int(said[:10]), RETRY_AFTER_S_MAX) * 1_000
    try:
        left = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):  # no dates, or one with a zone and one without
        return 0
    return int(min(max(left.total_seconds(), 0), RETRY_AFTER_S_MAX)) * 1_000
