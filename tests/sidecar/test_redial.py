"""The reconnect policy: what follows from each ending, and how a fleet comes back."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from protocol.close import CLOSE_RULES, CloseCode, Comeback
from sidecar.redial import STEADY_MS, Ending, GiveUp, Redial, Window, next_dial

WINDOW = Window()


def ended(code: int, **members: object) -> Ending:
    return Ending(code, "", "hub", dial=3, **members)  # type: ignore[arg-type]  # a test names any member


@pytest.mark.parametrize("code", list(CloseCode))
def test_the_table_of_close_codes_is_obeyed(code: CloseCode) -> None:
    follow = next_dial(ended(code), 0, 3, WINDOW, 0.5)
    assert isinstance(follow, GiveUp) is (CLOSE_RULES[code].comeback is Comeback.NEVER)


def test_an_unknown_code_is_a_lost_connection() -> None:
    assert isinstance(next_dial(ended(4999), 0, 3, WINDOW, 0.5), Redial)


def test_being_replaced_is_final_only_on_the_highest_dial() -> None:
    assert isinstance(next_dial(ended(4409), 0, 3, WINDOW, 0.5), GiveUp)
    assert isinstance(next_dial(ended(4409), 0, 4, WINDOW, 0.5), Redial)


def test_the_window_doubles_and_is_never_left() -> None:
    """L77"""
    failures, widest = 0, []
    for _ in range(50):
        low = next_dial(ended(1006), failures, 3, WINDOW, 0.0)
        high = next_dial(ended(1006), failures, 3, WINDOW, 1.0)
        assert isinstance(low, Redial)
        assert isinstance(high, Redial)
        assert low.delay_ms == 500
        widest.append(high.delay_ms)
        failures = high.failures
    assert widest[:4] == [10_000, 20_000, 30_000, 30_000]
    assert widest[-1] == 30_000


def test_only_a_good_connection_makes_the_backoff_begin_anew() -> None:
    brief = next_dial(ended(1006, identified=True, duration_ms=STEADY_MS - 1), 5, 3, WINDOW, 1.0)
    unidentified = next_dial(ended(1006, identified=False, duration_ms=10 * STEADY_MS), 5, 3, WINDOW, 1.0)
    steady = next_dial(ended(1006, identified=True, duration_ms=STEADY_MS), 5, 3, WINDOW, 1.0)
    assert [one.failures for one in (brief, unidentified, steady) if isinstance(one, Redial)] == [6, 6, 0]
    assert isinstance(steady, Redial)
    assert steady.delay_ms == 10_000


def test_a_draining_hub_is_left_at_once_but_not_for_ever() -> None:
    first = next_dial(ended(4503, identified=True, duration_ms=STEADY_MS), 0, 3, WINDOW, 1.0)
    assert isinstance(first, Redial)
    assert first.delay_ms <= 1_000
    again = next_dial(ended(4503), 4, 3, WINDOW, 1.0)
    assert isinstance(again, Redial)
    assert again.delay_ms > 1_000


def test_the_time_that_the_hub_named_is_kept() -> None:
    for code in (4410, 4429, 1000):
        follow = next_dial(ended(code, retry_after_ms=7_000), 2, 3, WINDOW, 0.5)
        assert isinstance(follow, Redial)
        assert 7_000 <= follow.delay_ms <= 7_500


def test_a_woken_machine_dials_at_once() -> None:
    follow = next_dial(ended(1000, is_waking=True), 9, 3, WINDOW, 1.0)
    assert isinstance(follow, Redial)
    assert follow.delay_ms <= 1_000


@pytest.mark.parametrize("hub_is_up_ms", [0, 1_000, 2_500, 5_000, 20_000, 60_000])
def test_five_thousand_sidecars_do_not_come_back_as_one(hub_is_up_ms: int) -> None:
    """L78: until 99 of 100 are back, no second has three times the mean."""
    die = random.Random(78)
    back: Counter[int] = Counter()
    for _ in range(5_000):
        now_ms, failures = 0, 0
        ending = ended(1006, identified=True, duration_ms=STEADY_MS)
        while True:
            follow = next_dial(ending, failures, 3, WINDOW, die.random())
            assert isinstance(follow, Redial)
            now_ms, failures, ending = now_ms + follow.delay_ms, follow.failures, ended(1006)
            if now_ms >= hub_is_up_ms:
                break
        back[int(now_ms // 1000)] += 1
    storm = sorted(back.elements())[: 5_000 * 99 // 100]
    seconds = storm[-1] - storm[0] + 1
    assert max(back.values()) < 3 * len(storm) / seconds
    assert seconds < 45
