"""The admin token that a start of a hub makes for whoever starts it.

Owns the moment in which it exists in the open: it is handed to whoever shows it (the very first start) or
keeps it in a file (a later one, whose user has lost the token), once, and only its digest is kept. There is
no default credential (security A7).
"""

from __future__ import annotations

import secrets
from typing import Final

from hub.auth import LIFETIME_MS, SECRET_BYTES, Authority, Role, TokenRecord, mint
from protocol.ids import TokenId

PREFIX_LENGTH: Final = 11

FIRST: Final = "first start"
RENEWED: Final = "hub serve"
"""Labels: who was let in, and who was let in again."""


def admin_of_start(authority: Authority, wall_ms: int, label: str = FIRST) -> tuple[str, TokenRecord]:
    """A token for whoever has started the hub."""
    token = mint(Role.ADMIN, secrets.token_bytes(SECRET_BYTES))
    record = TokenRecord(
        token_id=TokenId("tok-" + secrets.token_hex(8)),
        digest=authority.digest(token),
        role=Role.ADMIN,
        label=label,
        prefix=token[:PREFIX_LENGTH],
        created_wall_ms=wall_ms,
        expires_wall_ms=wall_ms + LIFETIME_MS[Role.ADMIN],
        created_by="hub serve",
    )
    return token, record
