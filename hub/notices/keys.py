"""The secrets of receivers: made of the hub's pepper and of what lies with them, and written down nowhere.

Owns how a secret follows from its salt, the exchange of one for another, and the headers signed with those
that hold. A stolen database or backup signs nothing: the pepper is not in it. Never logs or shows a secret
but to whoever has just asked for a new one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

from msgspec.structs import replace

from hub.store.receivers import Key, Receiver
from hub.webhooks import signing

PURPOSE: Final = b"webhooks that tell of events"
SALT_BYTES: Final = 16

EXCHANGE_MS: Final = 24 * 3_600_000
"""So long both secrets sign after a rotation: the other side has a day to take the new one."""


class Keyring:
    """Makes and uses the secrets of all receivers."""

    def __init__(self, pepper: bytes) -> None:
        self._master = hmac.new(pepper, PURPOSE, hashlib.sha256).digest()

    def __repr__(self) -> str:
        return "Keyring()"

    def _key(self, webhook_id: str, key: Key) -> bytes:
        return hmac.new(self._master, f"{webhook_id}.{key.salt}".encode(), hashlib.sha256).digest()

    def secret(self, receiver: Receiver) -> str:
        """The newest one, as the other side sets it."""
        key = self._key(receiver.webhook_id, receiver.keys[0])
        return signing.SECRET_PREFIX + base64.b64encode(key).decode()

    def headers(self, receiver: Receiver, message_id: str, wall_ms: int, body: bytes) -> dict[str, str]:
        """Signed with every secret that holds now, the newest first."""
        timestamp = str(wall_ms // 1_000)
        signatures = [
            signing.signature(self._key(receiver.webhook_id, key), message_id, timestamp, body)
            for key in valid(receiver.keys, wall_ms)
        ]
        return {
            signing.ID: message_id,
            signing.TIMESTAMP: timestamp,
            signing.SIGNATURE: " ".join(signatures),
        }


def new_key(wall_ms: int) -> Key:
    return Key(salt=secrets.token_hex(SALT_BYTES), since_wall_ms=wall_ms)


def rotated(receiver: Receiver, wall_ms: int) -> Receiver:
    """With a new secret; the one before holds for a day more, and an older one not any longer."""
    last = replace(receiver.keys[0], until_wall_ms=wall_ms + EXCHANGE_MS)
    keys = (new_key(wall_ms), last)
    assert len(keys) <= signing.KEYS_MAX
    return replace(receiver, keys=keys, updated_wall_ms=wall_ms)


def valid(keys: tuple[Key, ...], wall_ms: int) -> tuple[Key, ...]:
    return tuple(key for key in keys if key.until_wall_ms is None or key.until_wall_ms > wall_ms)
