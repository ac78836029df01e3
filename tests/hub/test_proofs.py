"""What shows that a peer has read: the pong to a ping behind it."""

from __future__ import annotations

from hub.proofs import Proofs


async def test_a_pong_answers_all_that_was_asked_before_it_and_nothing_after() -> None:
    proofs = Proofs()
    first, beside = proofs.due(is_over=False), proofs.due(is_over=False)
    one = proofs.ask()
    second = proofs.due(is_over=False)
    two = proofs.ask()
    third = proofs.due(is_over=False)
    three = proofs.ask()
    assert len({one, two, three}) == 3
    for stranger in (b"", b"read-", b"read-9"):
        proofs.hear(stranger)
    assert not first.done()
    proofs.hear(one)
    assert (first.result(), beside.result(), second.done()) == (True, True, False)
    proofs.hear(three)
    assert (second.result(), third.result()) == (True, True)
    proofs.hear(three)


async def test_whoever_waits_for_a_peer_that_is_gone_is_told_so() -> None:
    proofs = Proofs()
    asked = proofs.due(is_over=False)
    proofs.ask()
    unasked = proofs.due(is_over=False)
    proofs.give_up()
    assert (asked.result(), unasked.result(), proofs.unasked) == (False, False, [])
    assert proofs.due(is_over=True).result() is False


async def test_a_question_that_nobody_waits_for_any_more_is_no_trouble() -> None:
    proofs = Proofs()
    proofs.due(is_over=False).cancel()
    proofs.hear(proofs.ask())
    proofs.due(is_over=False).cancel()
    proofs.give_up()
