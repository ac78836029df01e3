"""A desk whose owner has rules: what it takes, what it says of it, and that work in hand goes on."""

from __future__ import annotations

from protocol import frames as f
from protocol.frames import Resting
from sidecar.events import LinkOpened, OwnerLooked, Pause, PluginsChanged, TimePassed
from sidecar.house import LOOK_EVERY_MS, House
from sidecar.house_rules import DAY_MS, HOUR_MS
from sidecar.runners.contract import Failed
from sidecar.wall import rules_of
from tests.sidecar.dialogue import Dialogue, task

START_MS = 1_700_000_000_000
"""The dialogue's clock at its beginning: a Tuesday, 22:13 in UTC."""


def dialogue(house: House | None = None, **members: object) -> Dialogue:
    talk = Dialogue(house=house, **members)  # type: ignore[arg-type]  # a test names any member
    talk.connect()
    return talk


def beats(talk: Dialogue) -> list[Resting | None]:
    return [frame.resting for frame in talk.said if isinstance(frame, f.Heartbeat)]


def rejections(talk: Dialogue) -> list[str]:
    return [fact.reason for fact in talk.facts if isinstance(fact, f.TaskRejected)]


# --- slots of a kind ----------------------------------------------------------------------------------------


def test_the_pools_are_apart() -> None:
    talk = dialogue(slots=1, slot_kinds={"gpu": 2})
    assert talk.desk.identify().slot_kinds == {"gpu": 2}
    talk.assign(1, slot="gpu")
    talk.assign(2, slot="gpu")
    assert talk.started
    talk.assign(3, slot="gpu")
    assert rejections(talk) == ["busy"]
    talk.assign(4)
    assert talk.started == [(task(4), 1)]
    assert talk.desk.heartbeat().load == 1.0
    talk.assign(5)
    assert rejections(talk) == ["busy"]
    talk.end(1)
    talk.assign(6)
    assert rejections(talk) == ["busy"]
    talk.assign(7, slot="gpu")
    assert talk.started == [(task(7), 1)]


def test_a_kind_that_it_has_not_is_a_missing_capability() -> None:
    talk = dialogue(slot_kinds={"gpu": 1})
    talk.assign(1, slot="tpu")
    assert rejections(talk) == ["missing_capability"]


def test_a_newer_generation_of_a_task_takes_the_slot_of_the_older_one() -> None:
    talk = dialogue(slot_kinds={"gpu": 1})
    talk.assign(1, slot="gpu")
    talk.assign(1, generation=2, slot="gpu")
    assert (rejections(talk), [type(fact) for fact in talk.facts]) == ([], [f.TaskAccepted])


# --- rest ---------------------------------------------------------------------------------------------------


def test_in_quiet_hours_it_says_so_and_takes_nothing_while_work_in_hand_goes_on() -> None:
    talk = dialogue(House(rules_of(quiet=["22:15-23:00"], time_zone="UTC")))
    assert talk.desk.identify().resting is None
    talk.assign(1)
    talk.wait(120_000)
    talk.tell(TimePassed())
    (rest,) = beats(talk)
    assert rest is not None
    assert (rest.reason, rest.until) == ("quiet_hours", START_MS - START_MS % 3_600_000 + 3_600_000)
    talk.assign(2)
    assert (rejections(talk), talk.started, talk.stops) == (["policy"], [], [])
    assert not beats(talk), "once is enough"
    talk.end(1)
    assert [type(fact) for fact in talk.facts] == [f.TaskComplete]
    talk.wait(HOUR_MS)
    talk.tell(TimePassed())
    assert beats(talk) == [None]
    talk.assign(3)
    assert talk.started == [(task(3), 1)]


def test_who_dials_while_it_rests_says_so_at_once() -> None:
    talk = Dialogue(house=House(rules_of(quiet=["22:00-23:00"], time_zone="UTC")))
    talk.tell(LinkOpened(1))
    (identify,) = talk.said
    assert isinstance(identify, f.Identify)
    assert identify.resting is not None
    assert identify.resting.reason == "quiet_hours"
    talk.connect()
    assert beats(talk) == [], "the identify has said it"


def test_the_run_that_reaches_a_limit_is_taken_and_the_hub_hears_with_its_acceptance() -> None:
    talk = dialogue(House(rules_of(runs_per_hour=2)), slots=5)
    talk.assign(1)
    assert beats(talk) == []
    talk.wait(1_000)
    talk.assign(2)
    assert [type(frame) for frame in talk.said] == [f.TaskAccepted, f.Heartbeat]
    assert beats(talk) == [Resting(reason="runs_per_hour", until=START_MS + HOUR_MS)]
    talk.assign(3)
    assert rejections(talk) == ["policy"]
    talk.wait(HOUR_MS - 1_000)
    talk.tell(TimePassed())
    assert beats(talk) == [None]
    talk.assign(4)
    assert talk.started == [(task(4), 1)]
    assert beats(talk) == [Resting(reason="runs_per_hour", until=START_MS + 1_000 + HOUR_MS)]


def test_starts_of_an_earlier_process_count_and_those_of_yesterday_do_not() -> None:
    rules = rules_of(runs_per_day=2)
    talk = dialogue(House(rules, [START_MS - DAY_MS, START_MS - 5, START_MS - 4]))
    talk.assign(1)
    assert rejections(talk) == ["policy"]
    talk = dialogue(House(rules, [START_MS - DAY_MS, START_MS - 5]))
    talk.assign(1)
    assert talk.started


def test_a_clock_that_was_put_back_does_not_hold_work_for_longer_than_the_window() -> None:
    talk = dialogue(House(rules_of(runs_per_hour=1), [START_MS + 50 * DAY_MS]))
    talk.assign(1)
    assert rejections(talk) == ["policy"]
    talk.wait(HOUR_MS)
    talk.tell(TimePassed())
    talk.assign(2)
    assert talk.started


def test_a_pause_holds_until_it_ends_and_outranks_the_rules() -> None:
    talk = dialogue(House(rules_of(runs_per_hour=1), [START_MS]))
    until = START_MS + 60_000
    talk.tell(OwnerLooked(Pause(until)))
    assert beats(talk) == [Resting(reason="paused", until=until)]
    talk.wait(59_999)
    talk.tell(TimePassed())
    assert beats(talk) == []
    talk.wait(1)
    talk.tell(TimePassed())
    assert beats(talk) == [Resting(reason="runs_per_hour", until=START_MS + HOUR_MS)]
    talk.tell(OwnerLooked(Pause()))
    assert beats(talk) == [Resting(reason="paused")]


def test_a_machine_that_is_loaded_rests_and_says_when_it_has_recovered() -> None:
    talk = dialogue(House(rules_of(load_max=1.0)))
    talk.tell(OwnerLooked(None, 1.5))
    assert beats(talk) == [Resting(reason="load")]
    talk.tell(OwnerLooked(None, 0.95))
    assert beats(talk) == []
    talk.tell(OwnerLooked(None, 0.5))
    assert beats(talk) == [None]


def test_the_rules_are_looked_at_every_two_seconds_and_never_where_there_are_none() -> None:
    talk = dialogue(House(rules_of(runs_per_day=1)))
    assert talk.desk.next_deadline() == talk.now.mono_ms + LOOK_EVERY_MS
    plain = dialogue()
    assert plain.desk.next_deadline() is None
    plain.tell(OwnerLooked(Pause()))
    assert plain.desk.next_deadline() == plain.now.mono_ms + LOOK_EVERY_MS
    plain.tell(OwnerLooked(None))
    assert plain.desk.next_deadline() is None


# --- the owner's bound on a run -----------------------------------------------------------------------------


def test_a_run_has_the_shorter_of_the_hubs_time_and_the_owners() -> None:
    talk = dialogue(House(rules_of(run_minutes_max=1)), slots=3)
    lefts = []
    for n, deadline_ms in enumerate((60_001, 60_000, None), start=1):
        talk.assign(n, deadline_ms=deadline_ms)
        (order,) = [effect.order for effect in talk.effects if hasattr(effect, "order")]
        lefts.append((order.time_left_ms, order.is_cut_by_owner))
    assert lefts == [(60_000, True), (60_000, False), (60_000, True)]
    fact = failed(talk, 1, "timeout")
    assert (fact.reason, fact.fault) == ("timeout", "policy")
    assert fact.error is not None
    assert fact.error.endswith("as long as the owner of this sidecar lets a run take")
    fact = failed(talk, 2, "timeout")
    assert (fact.fault, fact.error) == ("time", "it was not to be")


def test_what_the_machine_did_is_not_the_works_fault() -> None:
    talk = dialogue(slots=2)
    talk.assign(1)
    assert failed(talk, 1, "machine").fault == "infrastructure"
    talk.assign(2)
    assert failed(talk, 2, "work").fault is None


def failed(talk: Dialogue, n: int, cause: str) -> f.TaskFailed:
    talk.end(n, Failed(error="it was not to be", cause=cause))  # type: ignore[arg-type]  # a word of a table
    (fact,) = talk.facts
    assert isinstance(fact, f.TaskFailed)
    return fact


# --- versions -----------------------------------------------------------------------------------------------


def test_another_version_of_a_plugin_is_told_with_the_next_identify() -> None:
    talk = dialogue()
    talk.tell(PluginsChanged(("digest",), ("research",), {"digest": "2.0.0"}))
    card = talk.desk.identify()
    assert (card.plugins, card.capabilities, card.plugin_versions) == (
        ("digest",),
        ("research",),
        {"digest": "2.0.0"},
    )
