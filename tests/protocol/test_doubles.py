"""The fake wire of these tests behaves like TCP, and no worse."""

from __future__ import annotations

from protocol.frames import (
    Pong,
)
from tests.doubles import Pair
from tests.protocol.dialogue import (
    accepted,
)


def test_a_cut_loses_a_tail_and_never_the_middle() -> None:
    pair = Pair().introduce()
    for n in range(4):
        pair.agent_says(accepted(n + 1))
    pair.cut(to_hub=2)
    pair.agent_says(accepted(5))
    assert pair.to_hub.deliver_all() == [accepted(1), accepted(2)]
    assert (pair.to_hub.lost, pair.to_hub.deliver()) == (3, [])
    assert pair.is_quiet


def test_a_blocked_direction_holds_everything_in_order() -> None:
    pair = Pair().introduce()
    sent: list[str] = []
    pair.to_agent.on_sent = lambda: sent.append("one")
    pair.to_agent.is_blocked = True
    pair.hub_says(Pong(timestamp=1))
    pair.hub_says(Pong(timestamp=2))
    assert pair.to_agent.deliver() == []
    assert pair.to_agent.deliver_all() == []
    assert (len(sent), pair.is_quiet) == (2, False)
    pair.to_agent.is_blocked = False
    assert pair.to_agent.deliver_all() == [Pong(timestamp=1), Pong(timestamp=2)]
