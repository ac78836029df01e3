"""Who may do what: tokens, roles, scopes.

Owns the form of a token (mint, parse, digest), the scopes of each role, and the `Authority` that answers
"whose token is this?" from memory, so that ten thousand reconnects cost ten thousand digests and no disk.
Never stores a token, never logs one, and never says why one is not valid: unknown, expired and revoked
look the same.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import zlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from hub.core.runs import INNER_PREFIX
from hub.core.task import V1_INSTANCE_PREFIX
from protocol.ids import AgentId, TokenId

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

SECRET_BYTES: Final = 32
"""256 bits: beyond guessing, so that a fast keyed hash is enough at rest (ASVS 6.5.2)."""

SECRET_DIGITS: Final = 43
CHECKSUM_DIGITS: Final = 6
"""CRC-32 in base 62: a typo never reaches the store, and secret scanners can tell a token from noise."""

TOKENS_MAX: Final = 20_000
"""Valid tokens of one hub, held in memory; one more is refused with that sentence."""

DAY_MS: Final = 86_400_000


class Role(StrEnum):
    ADMIN = "admin"
    DISPATCHER = "dispatcher"
    VIEWER = "viewer"
    AGENT = "agent"
    JOIN = "join"


class Scope(StrEnum):
    FEED_READ = "feed:read"
    TASKS_READ = "tasks:read"
    TASKS_PUSH = "tasks:push"
    TASKS_CANCEL = "tasks:cancel"
    TASKS_INPUT = "tasks:input"
    AGENTS_ADMIN = "agents:admin"
    TOKENS_ADMIN = "tokens:admin"
    CONNECT = "connect"
    MAIL = "mail"
    ENROL = "enrol"


VIEWER_SCOPES: Final = frozenset({Scope.FEED_READ, Scope.TASKS_READ})
DISPATCHER_SCOPES: Final = VIEWER_SCOPES | {Scope.TASKS_PUSH, Scope.TASKS_CANCEL, Scope.TASKS_INPUT}

SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    Role.VIEWER: VIEWER_SCOPES,
    Role.DISPATCHER: DISPATCHER_SCOPES,
    Role.ADMIN: DISPATCHER_SCOPES | {Scope.AGENTS_ADMIN, Scope.TOKENS_ADMIN, Scope.MAIL},
    Role.AGENT: frozenset({Scope.CONNECT, Scope.MAIL}),
    Role.JOIN: frozenset({Scope.ENROL}),
}

LETTERS: Final[dict[Role, str]] = {
    Role.ADMIN: "a",
    Role.DISPATCHER: "d",
    Role.VIEWER: "v",
    Role.AGENT: "s",
    Role.JOIN: "j",
}

LIFETIME_MS: Final[dict[Role, int]] = {
    Role.AGENT: 90 * DAY_MS,
    Role.ADMIN: 30 * DAY_MS,
    Role.DISPATCHER: 30 * DAY_MS,
    Role.VIEWER: 30 * DAY_MS,
    Role.JOIN: 10 * 60_000,
}
"""A token that is never renewed is one that is never missed; a join code is read out over a shoulder."""

assert set(SCOPES) == set(LETTERS) == set(LIFETIME_MS) == set(Role)

LEAST_ROLE: Final[dict[Scope, str]] = {
    Scope.FEED_READ: "viewer",
    Scope.TASKS_READ: "viewer",
    Scope.TASKS_PUSH: "dispatcher",
    Scope.TASKS_CANCEL: "dispatcher",
    Scope.TASKS_INPUT: "dispatcher",
    Scope.AGENTS_ADMIN: "admin",
    Scope.TOKENS_ADMIN: "admin",
    Scope.CONNECT: "agent",
    Scope.MAIL: "agent",
    Scope.ENROL: "join",
}
"""What a 403 tells the caller to ask for."""


def in_base62(number: int, digits: int) -> str:
    out = []
    for _ in range(digits):
        number, rest = divmod(number, 62)
        out.append(BASE62[rest])
    return "".join(reversed(out))


def mint(role: Role, entropy: bytes) -> str:
    """A new token of a role from 32 random bytes: `hub<k>_`, 43 digits of secret, 6 of checksum."""
    assert len(entropy) == SECRET_BYTES
    body = f"hub{LETTERS[role]}_" + in_base62(int.from_bytes(entropy), SECRET_DIGITS)
    return body + in_base62(zlib.crc32(body.encode()), CHECKSUM_DIGITS)


def role_of(token: str) -> Role | None:
    """The role that a well-formed token claims; None when its form or checksum is wrong."""
    body, checksum = token[:-CHECKSUM_DIGITS], token[-CHECKSUM_DIGITS:]
    if len(body) != len("hub?_") + SECRET_DIGITS or not token.isascii():
        return None
    if not hmac.compare_digest(in_base62(zlib.crc32(body.encode()), CHECKSUM_DIGITS), checksum):
        return None
    return next((role for role, letter in LETTERS.items() if body.startswith(f"hub{letter}_")), None)


def digest_of(token: str, pepper: bytes) -> bytes:
    """What is kept of a token: HMAC-SHA-256 under the pepper, so that a stolen database opens nothing."""
    return hmac.new(pepper, token.encode(), hashlib.sha256).digest()


class TokenRecord(Struct, frozen=True, kw_only=True):
    """A token as the store has it: everything but the token."""

    token_id: TokenId
    digest: bytes
    role: Role
    agent_id: AgentId | None = None
    """The one agent that an agent token may connect as; for a join code a pattern."""
    label: str = ""
    prefix: str = ""
    """The first characters, shown in listings so that people can tell tokens apart."""
    agent_patterns: tuple[str, ...] = ()
    plugin_patterns: tuple[str, ...] = ()
    """What a dispatcher is limited to; empty means everything."""
    created_wall_ms: int = 0
    expires_wall_ms: int = 0
    used_wall_ms: int = 0
    created_by: str = ""


class Identity(Struct, frozen=True, kw_only=True):
    """Who is asking, once the token has been believed."""

    token_id: TokenId
    role: Role
    agent_id: AgentId | None = None
    agent_patterns: tuple[str, ...] = ()
    plugin_patterns: tuple[str, ...] = ()
    label: str = ""

    def may(self, scope: Scope) -> bool:
        return scope in SCOPES[self.role]

    def may_connect_as(self, agent_id: str, instance_id: str | None) -> bool:
        """One agent, and nobody from outside under a name or an instance that the hub itself gives."""
        instance = instance_id or ""
        is_own = is_reserved(agent_id) or is_reserved(instance) or instance.startswith(V1_INSTANCE_PREFIX)
        return self.may(Scope.CONNECT) and self.agent_id == agent_id and not is_own

    def may_push_to(self, agent_id: str | None, plugin: str | None) -> bool:
        """A dispatcher with patterns must name an agent (or plugin) that one of them matches."""
        return matches(agent_id, self.agent_patterns) and matches(plugin, self.plugin_patterns)


def is_reserved(name: str) -> bool:
    """Whether only an agent inside the hub may be called so."""
    return name.startswith(INNER_PREFIX)


def matches(name: str | None, patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return True
    return name is not None and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class Authority:
    """All valid tokens, in memory. The store tells it of each change; a sweep reloads it (`replace_all`)."""

    def __init__(self, pepper: bytes, wall_ms: Callable[[], int]) -> None:
        self._pepper = pepper
        self._wall_ms = wall_ms
        self._by_digest: dict[bytes, TokenRecord] = {}
        self._by_id: dict[TokenId, TokenRecord] = {}
        self._used: dict[TokenId, int] = {}

    def digest(self, token: str) -> bytes:
        return digest_of(token, self._pepper)

    def check(self, token: str) -> Identity | None:
        """Whose token this is, or None. Takes the same path for unknown, expired and revoked ones."""
        if role_of(token) is None:
            return None
        digest = self.digest(token)
        record = self._by_digest.get(digest)
        if record is None or not hmac.compare_digest(record.digest, digest):
            return None
        now = self._wall_ms()
        if now >= record.expires_wall_ms:
            return None
        self._used[record.token_id] = now
        return identity_of(record)

    def record(self, token_id: TokenId) -> TokenRecord | None:
        """The record of a token that is valid now."""
        record = self._by_id.get(token_id)
        return record if record is not None and self._wall_ms() < record.expires_wall_ms else None

    def is_valid(self, token_id: TokenId) -> bool:
        """Whether live sockets of this token may stay."""
        return self.record(token_id) is not None

    def add(self, record: TokenRecord) -> None:
        self._by_digest[record.digest] = record
        self._by_id[record.token_id] = record

    def drop(self, token_ids: Iterable[TokenId]) -> None:
        for token_id in token_ids:
            record = self._by_id.pop(token_id, None)
            if record is not None:
                del self._by_digest[record.digest]

    def replace_all(self, records: Iterable[TokenRecord]) -> None:
        self._by_digest = {}
        self._by_id = {}
        for record in records:
            self.add(record)

    def records(self) -> tuple[TokenRecord, ...]:
        return tuple(self._by_id.values())

    def take_used(self) -> dict[TokenId, int]:
        """When which token was last used, since the last call; written by a low-priority writer."""
        used, self._used = self._used, {}
        return used


def identity_of(record: TokenRecord) -> Identity:
    return Identity(
        token_id=record.token_id,
        role=record.role,
        agent_id=record.agent_id,
        agent_patterns=record.agent_patterns,
        plugin_patterns=record.plugin_patterns,
        label=record.label,
    )
