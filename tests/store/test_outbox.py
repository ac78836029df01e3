"""The outbox on its disk: in order, once written and once deleted, and a bell for whoever empties it."""

from __future__ import annotations

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.core.effects import LetterPosted
from hub.store.ledger import SqliteLedger
from hub.store.outbox import LETTERS_MAX, Letter, Outbox
from hub.store.queries import PAGE_BYTES_MAX, Queries
from protocol.ids import TaskId
from protocol.limits import KIB
from tests.store.workload import NOW, batch, letter_of, pushed


@pytest.fixture
def outbox(ledger: SqliteLedger, queries: Queries) -> Outbox:
    return Outbox(ledger, queries)


def letters(count: int, payload: bytes = b"{}") -> list[LetterPosted]:
    return [replace(letter_of(pushed(n)), payload=Raw(payload)) for n in range(1, count + 1)]


def ids(found: tuple[Letter, ...]) -> list[int]:
    return [letter.letter_id for letter in found]


async def test_letters_come_back_as_they_were_posted_and_in_order(
    ledger: SqliteLedger, outbox: Outbox
) -> None:
    payload = Raw('{"content":"größer \\u2028"}'.encode())
    result = LetterPosted(
        kind="result", key="run-1", target="plugin:results", payload=payload, task_id=TaskId("t")
    )
    await ledger.commit(batch(*letters(2), result))
    found = await outbox.next()
    assert ids(found) == [1, 2, 3]
    assert found[2] == Letter(
        letter_id=3,
        kind="result",
        key="run-1",
        target="plugin:results",
        payload=payload,
        task_id="t",
        wall_ms=NOW.wall_ms,
    )
    assert await outbox.waiting() == 3


async def test_a_delivered_letter_is_gone_and_its_number_with_it(
    ledger: SqliteLedger, outbox: Outbox
) -> None:
    """Deleting what was deleted before must never mean a letter that came later."""
    await ledger.commit(batch(*letters(3)))
    await outbox.done([1, 2, 3])
    await outbox.done([])
    assert (await outbox.next(), await outbox.waiting()) == ((), 0)
    await ledger.commit(batch(*letters(1)))
    await outbox.done([1, 2, 3])
    assert ids(await outbox.next()) == [4]


async def test_letters_may_be_delivered_out_of_their_order(ledger: SqliteLedger, outbox: Outbox) -> None:
    await ledger.commit(batch(*letters(3)))
    await outbox.done([2])
    assert ids(await outbox.next()) == [1, 3]
    assert ids(await outbox.next(after=1)) == [3]


async def test_what_is_read_at_once_is_bounded_in_number_and_in_bytes(
    ledger: SqliteLedger, outbox: Outbox
) -> None:
    await ledger.commit(batch(*letters(LETTERS_MAX + 1)))
    assert len(await outbox.next(10 * LETTERS_MAX)) == LETTERS_MAX
    assert ids(await outbox.next(2)) == [1, 2]
    await outbox.done(range(1, LETTERS_MAX + 2))
    big = b'"' + b"x" * (512 * KIB - 2) + b'"'
    await ledger.commit(batch(*letters(9, big)))
    assert len(await outbox.next()) == PAGE_BYTES_MAX // len(big) == 8


async def test_the_bell_rings_with_a_commit_that_has_letters_and_with_no_other(
    ledger: SqliteLedger, outbox: Outbox
) -> None:
    """No time is lost with looking: whoever empties the outbox is woken."""
    await ledger.commit(batch())
    assert not outbox.bell.is_set()
    await ledger.commit(batch(*letters(1)))
    assert outbox.bell.is_set()
    outbox.bell.clear()
    await outbox.done([1])
    assert not outbox.bell.is_set()
