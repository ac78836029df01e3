"""Standard Webhooks: what is signed, how a signature is checked, and what a secret looks like.

Owns the three headers and the bounds on time and keys. Pure: is told the time, reads no file, and never puts
a secret into a sentence.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

VERSION: Final = "v1"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  the form of a secret, not one

KEY_BYTES_MIN: Final = 32
"""256 bits, as everything here that is a key."""

KEYS_MAX: Final = 2
"""The new one and the old one, while they are exchanged."""

AGE_S_MAX: Final = 300
"""Five minutes either way: clocks differ, and an old call that somebody has kept is refused."""

ID_LENGTH_MAX: Final = 200
SIGNATURES_MAX: Final = 16
"""A sender that exchanges its keys signs with each of them."""


class Unsigned(Struct, frozen=True):
    """Why a call is not believed, for the log: to the caller all of these look the same."""

    reason: str


class BadSecret(ValueError):
    """What was given as a secret is none."""


def keys_in(text: str) -> tuple[bytes, ...]:
    """One secret a line: `whsec_` and base64, or any text that is long enough. The first one signs."""
    keys = tuple(_key(line.strip()) for line in text.splitlines() if line.strip())
    if not 0 < len(keys) <= KEYS_MAX:
        raise BadSecret(f"expected one secret, or two while they are exchanged; there are {len(keys)}")
    return keys


def _key(said: str) -> bytes:
    key = said.encode()
    if said.startswith(SECRET_PREFIX):
        try:
            key = base64.b64decode(said.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise BadSecret(f"what follows {SECRET_PREFIX} is not base64") from None
    if len(key) < KEY_BYTES_MIN:
        raise BadSecret(f"a secret has at least {KEY_BYTES_MIN} bytes; this one has {len(key)}")
    return key


def signature(key: bytes, call_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and base64 of HMAC-SHA-256 over `id.timestamp.body`."""
    signed = f"{call_id}.{timestamp}.".encode() + body
    return f"{VERSION}," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers_of(key: bytes, call_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """The headers of a call that we make."""
    timestamp = str(now_s)
    return {ID: call_id, TIMESTAMP: timestamp, SIGNATURE: signature(key, call_id, timestamp, body)}


def check(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_s: int) -> str | Unsigned:
    """The id of a call that one of the keys has signed, or why it is not believed."""
    call_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not 0 < len(call_id) <= ID_LENGTH_MAX or not call_id.isascii():
        return Unsigned(f"{ID} is missing or too long")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 20:
        return Unsigned(f"{TIMESTAMP} is no number of seconds")
    if abs(int(timestamp) - now_s) > AGE_S_MAX:
        return Unsigned(f"{TIMESTAMP} is more than {AGE_S_MAX} s off")
    said = headers.get(SIGNATURE, "").split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]
    wanted = [signature(key, call_id, timestamp, body).encode() for key in keys]
    matches = [hmac.compare_digest(one.encode(), right) for one in said for right in wanted]
    return call_id if any(matches) else Unsigned("no signature is of one of the secrets")
