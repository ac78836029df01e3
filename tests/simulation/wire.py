"""A WebSocket with vices: two directions, first in first out, each with its own delay, and ends that may
disagree.

Owns loss (a prefix arrives, the rest does not), stalls, half-open links and closes. A message arrives whole
or not at all, as WebSocket has it: a cut in the middle of one loses that one and all after it. Never looks
into a message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from protocol.close import CloseCode
from tests.simulation.scheduler import US, Scheduler

CLIENT: Final = 0
SERVER: Final = 1

KEEPALIVE_MS: Final = 45_000
"""An end that hears nothing aborts after ping 20 s + pong 20 s + 5 s (reliability §2.2)."""

Message = str | bytes


class End(Protocol):
    """What stands at either end of a wire."""

    def heard(self, wire: Wire, message: Message) -> None:
        """A whole message arrived."""

    def hung_up(self, wire: Wire, code: int, reason: str) -> None:
        """This end has learnt that the link is over. Nothing arrives after it."""


class Wire:
    """One connection between two ends."""

    __slots__ = (
        "_clear_us",
        "_cut_at",
        "_delivered",
        "_latency_us",
        "_scheduler",
        "_sent",
        "_stalled_us",
        "ends",
        "is_open",
    )

    def __init__(self, scheduler: Scheduler, client: End, server: End, latency_ms: float) -> None:
        self._scheduler = scheduler
        self.ends = (client, server)
        self.is_open = [True, True]
        """What each end believes."""
        self._latency_us = int(latency_ms * US)
        self._clear_us = [0, 0]
        self._stalled_us = [0, 0]
        self._sent = [0, 0]
        self._delivered = [0, 0]
        self._cut_at: list[int | None] = [None, None]

    @property
    def is_whole(self) -> bool:
        """Both ends believe in it, and what is sent arrives."""
        return self.is_open[0] and self.is_open[1] and self._cut_at == [None, None]

    def send(self, side: int, message: Message) -> None:
        """Put a message into a direction. Into a broken one it vanishes, and the sender does not know."""
        if not self.is_open[side]:
            return
        n = self._sent[side]
        self._sent[side] = n + 1
        if self._cut_at[side] is None:
            self._schedule(side, partial(self._deliver, side, n, message))

    def close(self, side: int, code: int, reason: str) -> None:
        """Close an end properly: what was sent before arrives before the close does."""
        if not self.is_open[side]:
            return
        self.is_open[side] = False
        if self._cut_at[side] is None:
            self._schedule(side, partial(self._learn, 1 - side, code, reason))
        else:
            self._scheduler.after(self._scheduler.die.uniform(1, KEEPALIVE_MS), self._abort(1 - side))

    # --- vices ---------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Break both directions at chosen places: a prefix of what is under way arrives; both ends learn
        soon."""
        self._break()
        for side in (CLIENT, SERVER):
            self._scheduler.at_us(self._clear_us[1 - side] + self._some_us(500), self._abort(side))

    def half_open(self, aware: int) -> None:
        """Break both directions; one end learns at once, the other believes in it until its keepalive is
        over."""
        self._break()
        self._abort(aware)()
        self._scheduler.after(self._scheduler.die.uniform(500, KEEPALIVE_MS), self._abort(1 - aware))

    def stall(self, side: int, duration_ms: float) -> None:
        """Hold back one direction. Longer than the keepalive, and both ends give up."""
        self._stalled_us[side] = self._scheduler.now_us + int(duration_ms * US)
        if duration_ms >= KEEPALIVE_MS:
            self._scheduler.after(KEEPALIVE_MS, self.cut)

    def vanish(self, side: int, *, with_goodbye: bool) -> None:
        """The process at one end is gone. Its system says so at once (a killed process), or nobody does
        (power)."""
        self.is_open[side] = False
        self._break()
        wait_ms = 1.0 if with_goodbye else self._scheduler.die.uniform(1_000, KEEPALIVE_MS)
        self._scheduler.at_us(
            max(self._clear_us[side], self._scheduler.now_us + int(wait_ms * US)) + 1, self._abort(1 - side)
        )

    # --- inside --------------------------------------------------------------------------------------------

    def _schedule(self, side: int, act: Callable[[], None]) -> None:
        """One microsecond after the message before it at the earliest, so that equal times keep their
        order."""
        now_us = self._scheduler.now_us
        jitter_us = int(self._latency_us * self._scheduler.die.random() * 0.5)
        when_us = max(now_us + self._latency_us + jitter_us, self._clear_us[side] + 1, self._stalled_us[side])
        self._clear_us[side] = when_us
        self._scheduler.at_us(when_us, act)

    def _deliver(self, side: int, n: int, message: Message) -> None:
        cut_at = self._cut_at[side]
        if cut_at is not None and n >= cut_at:
            return
        self._delivered[side] = n + 1
        if self.is_open[1 - side]:
            self.ends[1 - side].heard(self, message)

    def _break(self) -> None:
        for side in (CLIENT, SERVER):
            if self._cut_at[side] is None:
                self._cut_at[side] = self._scheduler.die.randint(self._delivered[side], self._sent[side])

    def _abort(self, side: int) -> Callable[[], None]:
        return partial(self._learn, side, CloseCode.ABNORMAL, "")

    def _learn(self, side: int, code: int, reason: str) -> None:
        if self.is_open[side]:
            self.is_open[side] = False
            self.ends[side].hung_up(self, code, reason)

    def _some_us(self, at_most_ms: float) -> int:
        return int(self._scheduler.die.uniform(0, at_most_ms) * US) + 1
