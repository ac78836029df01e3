"""The one admin token that the very first start of a hub makes.

Owns the moment in which it exists in the open: it is handed to whoever shows it, once, and only its digest is
kept. There is no default credential (security A7).
"""

from __future__ import annotations

import secrets
from typing import Final

from hub.auth import LIFETIME_MS, SECRET_BYTES, Authority, Role, TokenRecord, mint
from protocol.ids import TokenId

PREFIX_LENGTH: Final = 11


def first_admin(authority: Authority, wall_ms: int) -> tuple[str, TokenRecord]:
    """A token for whoever has started the hub."""
    token = mint(Role.ADMIN, secrets.token_bytes(SECRET_BYTES))
    record = TokenRecord(
        token_id=TokenId("tok-" + secrets.token_hex(8)),
        digest=authority.digest(token),
        role=Role.ADMIN,
        label="first start",
        prefix=token[:PREFIX_LENGTH],
        created_wall_ms=wall_ms,
        expires_wall_ms=wall_ms + LIFETIME_MS[Role.ADMIN],
        created_by="hub serve",
    )
    return token, record
