"""The tokens that a start of a hub believes, and the admin token that it makes for whoever starts it.

Owns the moment in which it exists in the open: it is handed to whoever shows it (the very first start) or
keeps it in a file (a later one, whose user has lost the token), once, and only its digest is kept. There is
no default credential (security A7).
"""

from __future__ import annotations

import secrets
from typing import Final

from hub.audit import Audit
from hub.auth import LIFETIME_MS, SECRET_BYTES, Authority, Role, TokenRecord, mint
from hub.clock import HubClock
from hub.life import Life
from hub.store.tokens import Tokens
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


async def believe(tokens: Tokens, authority: Authority, life: Life, clock: HubClock, audit: Audit) -> None:
    """Take all valid tokens into memory; let in whoever has started this hub, if no token of theirs does.

    Whoever may start a hub owns its ledger and its pepper: a token gives them nothing that they have not.
    """
    wall_ms = clock.now().wall_ms
    authority.replace_all(await tokens.load())
    if await tokens.is_first_start():
        life.first_token, record = admin_of_start(authority, wall_ms)
    elif life.operator_token is not None and not is_admin(authority, life.operator_token):
        life.renewed_token, record = admin_of_start(authority, wall_ms, RENEWED)
        # The one before is lost with its file: a hub that loses it at every start must not hoard them.
        lost = [old.token_id for old in authority.records() if old.label == RENEWED]
        authority.drop(await tokens.revoke(lost))
        audit.jot("token_renewed", RENEWED, f"{record.token_id} admin")
    else:
        return
    await tokens.add(record)
    authority.add(record)


def is_admin(authority: Authority, token: str) -> bool:
    who = authority.check(token)
    return who is not None and who.role is Role.ADMIN
