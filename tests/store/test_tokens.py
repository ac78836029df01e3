"""Tokens at rest."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from hub.auth import DAY_MS, SECRET_BYTES, Role, TokenRecord, digest_of, mint
from hub.errors import ConfigurationError
from hub.store.ledger import SqliteLedger
from hub.store.tokens import PEPPER_BYTES, REVOKED_KEPT_MS, Tokens, load_pepper
from protocol.ids import AgentId, TokenId
from tests.store.workload import NOW

PEPPER = b"p" * PEPPER_BYTES


class Wall:
    def __init__(self) -> None:
        self.ms = NOW.wall_ms

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def tokens(ledger: SqliteLedger, wall: Wall) -> Tokens:
    return Tokens(ledger, wall)


def new(name: str, role: Role = Role.AGENT, lifetime_ms: int = DAY_MS) -> tuple[str, TokenRecord]:
    token = mint(role, secrets.token_bytes(SECRET_BYTES))
    record = TokenRecord(
        token_id=TokenId(name),
        digest=digest_of(token, PEPPER),
        role=role,
        agent_id=AgentId("ada"),
        label="Ada's laptop",
        prefix=token[:11],
        agent_patterns=("a*",),
        plugin_patterns=("digest",),
        created_wall_ms=NOW.wall_ms,
        expires_wall_ms=NOW.wall_ms + lifetime_ms,
        created_by="tok-admin",
    )
    return token, record


async def test_a_token_is_kept_with_all_that_belongs_to_it(tokens: Tokens) -> None:
    _, record = new("tok-1")
    await tokens.add(record)
    assert await tokens.load() == (record,)


async def test_the_token_itself_is_nowhere_on_the_disk(tokens: Tokens, path: Path) -> None:
    """L32, A2: what is kept is a digest under the pepper, and a prefix too short to guess from."""
    token, record = new("tok-1")
    await tokens.add(record)
    everything = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert record.digest in everything
    assert token.encode() not in everything
    assert token[len(record.prefix) :].encode() not in everything


async def test_adding_a_token_is_whole_or_nothing(tokens: Tokens) -> None:
    """L32: not written in pieces."""
    _, first = new("tok-1")
    await tokens.add(first)
    with pytest.raises(Exception, match="UNIQUE"):
        await tokens.add(first)
    assert await tokens.load() == (first,)


async def test_a_revoked_token_is_never_loaded_again(tokens: Tokens) -> None:
    """L33, the store's part: whoever asks who is valid hears nothing of it, after a restart either."""
    for name in ("tok-1", "tok-2"):
        await tokens.add(new(name)[1])
    assert await tokens.revoke([TokenId("tok-1"), TokenId("tok-unknown")]) == ("tok-1",)
    assert [record.token_id for record in await tokens.load()] == ["tok-2"]
    assert await tokens.revoke([TokenId("tok-1")]) == ()


async def test_an_expired_token_is_not_loaded(tokens: Tokens, wall: Wall) -> None:
    await tokens.add(new("tok-1", lifetime_ms=1_000)[1])
    wall.ms += 1_000
    assert await tokens.load() == ()
    assert not await tokens.is_first_start(), "but there was one"


async def test_a_join_code_burns_with_the_birth_of_its_token(tokens: Tokens) -> None:
    """A6: in one transaction, and once."""
    _, code = new("tok-code", Role.JOIN)
    await tokens.add(code)
    assert await tokens.exchange(code.token_id, new("tok-1")[1])
    assert not await tokens.exchange(code.token_id, new("tok-2")[1])
    assert [record.token_id for record in await tokens.load()] == ["tok-1"]


async def test_a_join_code_that_could_not_be_traded_is_not_burnt(tokens: Tokens) -> None:
    _, code = new("tok-code", Role.JOIN)
    _, taken = new("tok-1")
    await tokens.add(code)
    await tokens.add(taken)
    with pytest.raises(Exception, match="UNIQUE"):
        await tokens.exchange(code.token_id, taken)
    assert {record.token_id for record in await tokens.load()} == {"tok-code", "tok-1"}


async def test_when_a_token_was_used_is_kept(tokens: Tokens) -> None:
    await tokens.add(new("tok-1")[1])
    await tokens.note_used({TokenId("tok-1"): 77, TokenId("tok-unknown"): 1})
    await tokens.note_used({})
    assert [record.used_wall_ms for record in await tokens.load()] == [77]


async def test_old_tokens_are_forgotten_after_a_year(tokens: Tokens, wall: Wall) -> None:
    """L110."""
    await tokens.add(new("tok-1")[1])
    wall.ms += REVOKED_KEPT_MS
    assert await tokens.forget_old() == 0
    wall.ms += 2 * DAY_MS
    assert await tokens.forget_old() == 1
    assert await tokens.is_first_start()


def test_a_pepper_is_made_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    first = load_pepper(tmp_path)
    assert len(first) == PEPPER_BYTES
    assert load_pepper(tmp_path) == first


@pytest.mark.parametrize("content", ["", "abcd", "not hexadecimal"])
def test_a_pepper_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    """A weak key would be worse than none: every token would look valid to nobody, or digests be guessed."""
    (tmp_path / "pepper").write_text(content)
    (tmp_path / "pepper").chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a pepper"):
        load_pepper(tmp_path)
