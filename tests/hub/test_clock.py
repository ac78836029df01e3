"""The hub's clock: what counts as time, and what as absence."""

from __future__ import annotations

import asyncio

from hub.clock import ABSENCE_MS, TICK_MS, Alarm, HubClock
from tests.waiting import until


class Hand:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.ms = 5_000

    def __call__(self) -> int:
        return self.ms


def test_time_passes_while_the_hub_is_awake() -> None:
    hand = Hand()
    clock = HubClock(hand)
    before = clock.now_ms()
    for _ in range(40):
        hand.ms += TICK_MS
        clock.now_ms()
    assert clock.now_ms() - before == 40 * TICK_MS
    assert clock.absent_ms == 0


def test_no_time_passes_while_the_hub_is_stopped() -> None:
    """L20: whatever deadline was ahead is still ahead, by almost as much."""
    hand = Hand()
    clock = HubClock(hand)
    before = clock.now_ms()
    hand.ms += 10_000
    assert clock.now_ms() - before <= TICK_MS
    assert clock.absent_ms >= 10_000 - TICK_MS


def test_whoever_looks_first_after_an_absence_finds_it_and_nobody_finds_it_twice() -> None:
    hand = Hand()
    clock = HubClock(hand)
    hand.ms += 60_000
    first, second = clock.now_ms(), clock.now_ms()
    assert first == second


def test_a_short_stall_is_ordinary_time() -> None:
    hand = Hand()
    clock = HubClock(hand)
    before = clock.now_ms()
    hand.ms += ABSENCE_MS
    assert clock.now_ms() - before == ABSENCE_MS


def test_forgiven_time_did_not_pass() -> None:
    """L20: a commit that took ten seconds is an absence, although the loop was turning."""
    hand = Hand()
    clock = HubClock(hand)
    before = clock.now_ms()
    for _ in range(40):
        hand.ms += TICK_MS
        clock.now_ms()
    clock.forgive(40 * TICK_MS)
    assert clock.now_ms() == before


async def test_an_alarm_rings_when_its_time_has_come_and_not_before() -> None:
    hand = Hand()
    clock = HubClock(hand)
    rings: list[int] = []
    alarm = Alarm(clock, lambda: rings.append(hand.ms))
    alarm.set(clock.now_ms() + 30)
    await asyncio.wait_for(clock.breathe(), 1)
    assert rings == []
    hand.ms += 30
    await until(lambda: rings, "the alarm rings")
    assert rings == [5_030]


async def test_an_alarm_that_was_set_later_does_not_ring_early() -> None:
    hand = Hand()
    clock = HubClock(hand)
    rings: list[int] = []
    alarm = Alarm(clock, lambda: rings.append(hand.ms))
    alarm.set(clock.now_ms() + 5)
    alarm.set(clock.now_ms() + 500)
    hand.ms += 10
    other: list[int] = []
    Alarm(clock, lambda: other.append(1)).set(clock.now_ms() + 1)
    hand.ms += 1
    await until(lambda: other, "a later alarm has rung")
    assert rings == []
    hand.ms += 489
    await until(lambda: rings, "the alarm rings")
