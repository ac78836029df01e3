"""Tokens, roles and the authority: what is believed, what is kept, what is refused."""

from __future__ import annotations

import secrets

import pytest

from hub.auth import (
    BASE62,
    LIFETIME_MS,
    SCOPES,
    SECRET_BYTES,
    Authority,
    Identity,
    Role,
    Scope,
    TokenRecord,
    digest_of,
    mint,
    role_of,
)
from protocol.ids import AgentId, TokenId

PEPPER = b"p" * 32


class Wall:
    """A wall clock that tests turn."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def record_of(token: str, role: Role, *, name: str = "tok-1", agent: str | None = None) -> TokenRecord:
    return TokenRecord(
        token_id=TokenId(name),
        digest=digest_of(token, PEPPER),
        role=role,
        agent_id=AgentId(agent) if agent else None,
        expires_wall_ms=2_000_000,
    )


def authority_with(*records: TokenRecord) -> tuple[Authority, Wall]:
    wall = Wall()
    authority = Authority(PEPPER, wall)
    authority.replace_all(records)
    return authority, wall


@pytest.mark.parametrize("role", list(Role))
def test_a_token_has_its_role_in_its_form(role: Role) -> None:
    token = mint(role, secrets.token_bytes(SECRET_BYTES))
    assert role_of(token) is role
    assert len(token) == 5 + 43 + 6
    assert set(token.partition("_")[2]) <= set(BASE62)


@pytest.mark.parametrize("entropy", [b"\x00" * 32, b"\xff" * 32])
def test_the_smallest_and_the_largest_secret_have_the_same_length(entropy: bytes) -> None:
    assert len(mint(Role.ADMIN, entropy)) == 54
    assert role_of(mint(Role.ADMIN, entropy)) is Role.ADMIN


def test_a_typo_anywhere_in_a_token_is_noticed_before_any_lookup() -> None:
    token = mint(Role.VIEWER, bytes(range(32)))
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert role_of(token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize("said", ["", "hub", "hubx_", "é" * 54, "huba_" + "0" * 49, "Bearer x", "\x00" * 54])
def test_anything_else_is_no_token(said: str) -> None:
    assert role_of(said) is None
    assert authority_with()[0].check(said) is None


def test_a_kept_token_cannot_be_read_back() -> None:
    """L32: tokens stored in plain text."""
    token = mint(Role.AGENT, bytes(range(32)))
    record = record_of(token, Role.AGENT, agent="alice")
    assert token not in repr(record)
    assert digest_of(token, b"another pepper") != record.digest


def test_a_valid_token_is_known_by_its_role_and_agent() -> None:
    token = mint(Role.AGENT, bytes(range(32)))
    authority, _ = authority_with(record_of(token, Role.AGENT, agent="alice"))
    identity = authority.check(token)
    assert identity is not None
    assert (identity.role, identity.agent_id) == (Role.AGENT, "alice")


def test_unknown_expired_and_revoked_tokens_look_the_same() -> None:
    token = mint(Role.ADMIN, bytes(range(32)))
    authority, wall = authority_with(record_of(token, Role.ADMIN))
    assert authority.check(mint(Role.ADMIN, b"\x01" * 32)) is None
    wall.ms = 2_000_000
    assert authority.check(token) is None
    assert not authority.is_valid(TokenId("tok-1"))
    wall.ms = 1_000_000
    assert authority.check(token) is not None
    authority.drop([TokenId("tok-1"), TokenId("never there")])
    assert authority.check(token) is None


def test_the_last_use_of_a_token_is_remembered_once() -> None:
    token = mint(Role.ADMIN, bytes(range(32)))
    authority, wall = authority_with(record_of(token, Role.ADMIN))
    wall.ms += 5
    authority.check(token)
    assert authority.take_used() == {"tok-1": 1_000_005}
    assert authority.take_used() == {}


def test_roles_may_what_they_are_for_and_nothing_else() -> None:
    """L30: registration returned a token with admin power. An agent's only connects and reads mail."""
    assert SCOPES[Role.AGENT] == {Scope.CONNECT, Scope.MAIL}
    assert SCOPES[Role.JOIN] == {Scope.ENROL}
    assert SCOPES[Role.VIEWER] < SCOPES[Role.DISPATCHER] < SCOPES[Role.ADMIN]
    assert Scope.TOKENS_ADMIN not in SCOPES[Role.DISPATCHER]
    assert Scope.CONNECT not in SCOPES[Role.ADMIN]
    assert set(LIFETIME_MS) == set(Role)


@pytest.mark.parametrize(
    ("agent", "plugin", "may"),
    [
        ("team-a-1", "digest", True),
        ("team-b-1", "digest", False),
        ("team-a-1", "other", False),
        (None, "digest", False),
    ],
)
def test_a_dispatcher_with_patterns_pushes_only_where_they_match(
    agent: str | None, plugin: str, may: bool
) -> None:
    who = Identity(
        token_id=TokenId("t"), role=Role.DISPATCHER, agent_patterns=("team-a-*",), plugin_patterns=("digest",)
    )
    assert who.may_push_to(agent, plugin) is may
    assert Identity(token_id=TokenId("t"), role=Role.DISPATCHER).may_push_to(None, None)
