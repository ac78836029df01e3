"""Every close says whether to come back, also one that nobody has heard of."""

from __future__ import annotations

import pytest

from protocol.close import CLOSE_RULES, CloseCode, Comeback, close_rule


@pytest.mark.parametrize(
    ("code", "comeback"),
    [
        (4400, Comeback.WITH_BACKOFF),
        (4401, Comeback.NEVER),
        (4403, Comeback.NEVER),
        (4408, Comeback.WITH_BACKOFF),
        (4409, Comeback.NEVER),
        (4410, Comeback.AFTER_RETRY),
        (4413, Comeback.WITH_BACKOFF),
        (4429, Comeback.AFTER_RETRY),
        (4503, Comeback.AT_ONCE),
        (1002, Comeback.WITH_BACKOFF),
        (1007, Comeback.WITH_BACKOFF),
        (1009, Comeback.WITH_BACKOFF),
        (1011, Comeback.WITH_BACKOFF),
        (1012, Comeback.WITH_BACKOFF),
    ],
)
def test_a_close_code_says_whether_to_come_back(code: int, comeback: Comeback) -> None:
    assert close_rule(code).comeback is comeback


def test_every_close_has_a_sentence_of_its_own() -> None:
    """L61: a close without a reason helps nobody."""
    sentences = [rule.sentence for rule in CLOSE_RULES.values()]
    assert len(set(sentences)) == len(CloseCode)


def test_an_unknown_close_is_treated_as_a_lost_connection() -> None:
    rule = close_rule(4999)
    assert rule.comeback is Comeback.WITH_BACKOFF
    assert "4999" in rule.sentence
