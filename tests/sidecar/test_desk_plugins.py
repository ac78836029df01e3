"""The desk when the plugins have changed: the hub is told by a fresh identify, and no run is touched."""

from __future__ import annotations

from protocol import frames as f
from protocol.ids import Generation
from sidecar.effects import HangUp
from sidecar.events import LinkLost, LinkOpened, PluginsChanged
from tests.sidecar.dialogue import Dialogue, task

CHANGED = PluginsChanged(("digest",), ("briefing", "python"))


def test_a_new_card_is_said_on_the_next_link_at_once(talk: Dialogue) -> None:
    talk.tell(CHANGED)
    assert talk.effects == [HangUp(1, "the plugins have changed", 0)]
    talk.tell(LinkLost(1))
    talk.tell(LinkOpened(2))
    (identify,) = talk.said
    assert isinstance(identify, f.Identify)
    assert (identify.plugins, identify.capabilities) == (("digest",), ("briefing", "python"))


def test_a_run_goes_on_while_the_card_is_renewed(talk: Dialogue) -> None:
    talk.assign(1)
    talk.receipt_all()
    talk.tell(CHANGED)
    assert talk.stops == []
    talk.tell(LinkLost(1))
    talk.connect(keep=(f.Held(task_id=task(1), generation=Generation(1)),))
    assert (talk.started, talk.stops, talk.facts) == ([], [], [])
    talk.end(1)
    assert [type(fact) for fact in talk.facts] == [f.TaskComplete]


def test_without_a_link_the_next_one_will_say_it() -> None:
    talk = Dialogue()
    talk.tell(CHANGED)
    assert talk.effects == []
    talk.tell(LinkOpened(1))
    (identify,) = talk.said
    assert isinstance(identify, f.Identify)
    assert identify.plugins == ("digest",)


def test_a_link_that_has_not_identified_us_yet_is_left_too() -> None:
    """The card it was given is the old one."""
    talk = Dialogue()
    talk.tell(LinkOpened(1))
    talk.tell(CHANGED)
    assert [effect.link_id for effect in talk.only(HangUp)] == [1]
