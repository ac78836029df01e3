"""The pure parts of notices: filters, pauses, secrets, and the body that is told."""

from __future__ import annotations

import json

import httpx
import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.notices import patience
from hub.notices.fanout import Backlog
from hub.notices.keys import EXCHANGE_MS, Keyring, new_key, rotated, valid
from hub.notices.message import CONTENT_TYPE, body_of, body_of_test, message_id, written
from hub.notices.sending import beginning_of, error_of
from hub.ports import CommittedEvent
from hub.store.receivers import About, Receiver, Wanted
from hub.webhooks.guard import BadTarget
from hub.webhooks.posting import RETRY_AFTER_S_MAX, Answered, Unanswered, retry_after_ms
from hub.webhooks.signing import KEY_BYTES_MIN, keys_in

WALL_MS = 1_800_000_000_123


def receiver(**more: object) -> Receiver:
    own = {"webhook_id": "hook-1", "url": "https://e.com/", "wanted": Wanted(), "created_wall_ms": WALL_MS}
    return Receiver(**{**own, "keys": (new_key(WALL_MS),), **more})  # type: ignore[arg-type]  # by name


# --- what is wanted -----------------------------------------------------------------------------------------

BLUE = About("digest", {"team": "blue", "more": "x"}, None)


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(), True),
        (Wanted(events=("task_failed",)), False),
        (Wanted(events=("task_failed", "task_c*")), True),
        (Wanted(events=("complete",)), False),
        (Wanted(agent_id="ada"), True),
        (Wanted(agent_id="bob"), False),
        (Wanted(plugin="digest"), True),
        (Wanted(plugin="dig"), False),
        (Wanted(labels={"team": "blue"}), True),
        (Wanted(labels={"team": "blue", "other": "x"}), False),
        (Wanted(events=("task_*",), agent_id="ada", plugin="digest", labels={"more": "x"}), True),
    ],
)
def test_all_that_a_filter_names_must_hold(wanted: Wanted, is_wanted: bool) -> None:
    assert wanted.fits("task_complete", "ada", BLUE) is is_wanted


def test_an_event_about_no_task_has_neither_plugin_nor_labels() -> None:
    assert Wanted().fits("agent_joined", "ada", None)
    assert not Wanted(plugin="digest").fits("agent_joined", "ada", None)
    assert not Wanted(labels={"team": "blue"}).fits("agent_joined", "ada", None)


# --- patience -----------------------------------------------------------------------------------------------


def test_tries_go_on_for_more_than_a_day_and_then_end() -> None:
    """H3."""
    pauses = [patience.pause_ms(tries, 0.0) for tries in range(1, patience.TRIES_MAX + 1)]
    kept = [pause for pause in pauses if pause is not None]
    assert (len(pauses), pauses[-1]) == (12, None)
    assert kept == sorted(kept)
    assert sum(kept) > 24 * 3_600_000


def test_a_pause_is_a_fifth_longer_at_the_most_and_never_shorter() -> None:
    shortest, longest = patience.pause_ms(1, 0.0), patience.pause_ms(1, 1.0)
    assert (shortest, longest) == (5_000, 6_000)


def test_the_pause_that_a_receiver_asks_for_counts_where_it_is_longer() -> None:
    assert patience.pause_ms(1, 0.0, 60_000) == 60_000
    assert patience.pause_ms(3, 0.0, 60_000) == 120_000
    assert patience.pause_ms(patience.TRIES_MAX, 0.0, 60_000) is None


def test_a_receiver_is_given_up_after_five_days_without_anything_taken() -> None:
    long_ago, enough = WALL_MS - patience.FAILING_MAX_MS, patience.GIVEN_UP_AFTER_TRIES
    assert not patience.is_given_up(None, WALL_MS, enough)
    assert not patience.is_given_up(long_ago + 1, WALL_MS, enough)
    assert patience.is_given_up(long_ago, WALL_MS, enough)


def test_a_single_failure_long_after_the_last_one_gives_nobody_up() -> None:
    long_ago, enough = WALL_MS - 10 * patience.FAILING_MAX_MS, patience.GIVEN_UP_AFTER_TRIES
    assert not patience.is_given_up(long_ago, WALL_MS, enough - 1)


def test_only_410_means_gone() -> None:
    assert [patience.is_gone(Answered(status=status)) for status in (404, 410, 500)] == [False, True, False]
    assert not patience.is_gone(Unanswered("nobody"))


@pytest.mark.parametrize(
    ("after_s", "ms"), [("00:00:30", 30_000), ("23:59:59", RETRY_AFTER_S_MAX * 1_000), ("00:00:00", 0)]
)
def test_a_pause_may_be_asked_for_by_a_date(after_s: str, ms: int) -> None:
    headers = {"date": "Fri, 31 Jul 2026 00:00:00 GMT", "retry-after": f"Fri, 31 Jul 2026 {after_s} GMT"}
    assert retry_after_ms(httpx.Headers(headers)) == ms
    assert retry_after_ms(httpx.Headers({"retry-after": headers["retry-after"]})) == 0
    past = {"date": headers["date"], "retry-after": "Thu, 30 Jul 2026 00:00:00 GMT"}
    assert retry_after_ms(httpx.Headers(past)) == 0


# --- secrets ------------------------------------------------------------------------------------------------


def test_a_secret_is_of_one_pepper_one_receiver_and_one_salt() -> None:
    one = receiver()
    ring = Keyring(b"pepper" * 8)
    others = (
        Keyring(b"others" * 8).secret(one),
        ring.secret(replace(one, webhook_id="hook-2")),
        ring.secret(rotated(one, WALL_MS)),
    )
    assert ring.secret(one) == Keyring(b"pepper" * 8).secret(one)
    assert ring.secret(one) not in others
    assert len(set(others)) == 3
    (key,) = keys_in(ring.secret(one))
    assert len(key) >= KEY_BYTES_MIN
    assert ring.secret(one) not in repr(ring)


def test_an_old_secret_signs_for_a_day_after_its_exchange() -> None:
    one = rotated(receiver(), WALL_MS)
    ring = Keyring(b"pepper" * 8)
    for now_ms, count in ((WALL_MS, 2), (WALL_MS + EXCHANGE_MS - 1, 2), (WALL_MS + EXCHANGE_MS, 1)):
        assert len(valid(one.keys, now_ms)) == count
        signatures = ring.headers(one, "msg", now_ms, b"{}")["webhook-signature"].split(" ")
        assert len(signatures) == count
        assert all(signature.startswith("v1,") for signature in signatures)
    again = rotated(one, WALL_MS + 1)
    assert again.keys[1].salt == one.keys[0].salt
    assert len(again.keys) == 2


# --- the body -----------------------------------------------------------------------------------------------


def event(**more: object) -> CommittedEvent:
    own = {"offset": 7, "event": "task_queued", "task_id": "task-1", "agent_id": None, "generation": 0}
    kept = {**own, "timestamp": WALL_MS, "payload": Raw(b'{"a":1}'), **more}
    return CommittedEvent(**kept)  # type: ignore[arg-type]  # by name


def test_a_notice_is_a_cloud_event() -> None:
    found = json.loads(body_of(event(), "epoch", "https://hub.example", trace="00-ab-cd-01"))
    assert found == {
        "specversion": "1.0",
        "id": "epoch:7",
        "source": "https://hub.example",
        "type": "crewhub.task_queued",
        "subject": "task-1",
        "time": "2027-01-15T08:00:00.123Z",
        "datacontenttype": "application/json",
        "traceparent": "00-ab-cd-01",
        "data": {
            "event": {
                "cursor": "epoch:7",
                "event": "task_queued",
                "task_id": "task-1",
                "agent_id": None,
                "generation": 0,
                "timestamp": WALL_MS,
                "payload": {"a": 1},
            }
        },
    }
    assert CONTENT_TYPE.startswith("application/cloudevents+json")


def test_what_is_not_known_is_left_out() -> None:
    found = json.loads(body_of(event(task_id=None), "epoch", "https://hub.example"))
    assert not {"subject", "traceparent"} & set(found)
    joined = json.loads(body_of(event(task_id=None, agent_id="ada"), "epoch", "https://hub.example"))
    assert joined["subject"] == "ada"


def test_a_test_says_that_it_is_one() -> None:
    found = json.loads(body_of_test("hook-1", "msg_test_1", "https://hub.example", WALL_MS))
    assert (found["type"], found["id"], found["subject"]) == ("crewhub.test", "msg_test_1", "hook-1")


def test_message_ids_have_no_dots_and_times_a_zone() -> None:
    assert message_id("0123456789abcdef", 7) == "msg_0123456789abcdef_7"
    assert written(0) == "1970-01-01T00:00:00.000Z"


# --- what an answer looks like ------------------------------------------------------------------------------


def test_what_went_wrong_is_a_sentence() -> None:
    assert error_of(Answered(status=204)) is None
    assert error_of(Answered(status=301)) == "a redirect is not followed"
    assert error_of(Answered(status=500)) == "it answered 500"
    assert error_of(Unanswered("x\x1b[0m" + "y" * 999)) == ("x\\x1b[0m" + "y" * 999)[:300]
    assert error_of(BadTarget("home")) == "refused: home"
    assert beginning_of(Unanswered("nobody")) == ""
    assert beginning_of(Answered(status=500, beginning=b"\x00a\xff")) == "\\x00a\ufffd"


def test_a_backlog_counts_and_never_below_nothing() -> None:
    backlog = Backlog({"a": 2})
    backlog.add("a")
    backlog.add("b")
    assert (backlog.of("a"), backlog.of("b"), backlog.of("c"), backlog.total()) == (3, 1, 0, 4)
    backlog.add("b", -2)
    backlog.drop("a")
    assert (backlog.of("a"), backlog.of("b"), backlog.total()) == (0, 0, 0)
