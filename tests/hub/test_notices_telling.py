"""Webhooks that are told of events, against a real hub and real places: what arrives, when, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hub.notices import patience
from hub.notices.sending import ANSWER_BYTES_MAX, ANSWER_KEPT_MAX, CALLS_EACH_MAX
from hub.webhooks import guard
from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.hub.noticed import (
    HANG,
    add,
    asked,
    believed,
    comes_to,
    deliveries,
    delivery_becomes,
    event_of,
    got,
    listening,
)
from tests.waiting import until

Start = Callable[..., Any]
PRIVATE = {"hooks_allow_private": True}
ENDS = ["task_complete", "task_failed", "task_cancelled"]


async def rows(hub: RunningHub, sql: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = await hub.parts.ledger.look(
        lambda connection: connection.execute(sql).fetchall()
    )
    return found


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses as short as tests need; their number stays."""
    monkeypatch.setattr(patience, "PAUSES_MS", (10,) * len(patience.PAUSES_MS))


async def test_a_receiver_is_told_of_a_task_and_believes_it(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE, public_url="https://hub.example")
    async with listening() as ear:
        webhook = await add(hub, ear.url, events=["task_*"])
        ada = await v2(hub)
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        async with hub.http() as http:
            body = {"description": "count", "labels": {"team": "blue"}}
            pushed = await http.post("/api/tasks", json=body, headers={"traceparent": trace})
            task_id = pushed.json()["task_id"]
        await ada.work(await ada.hear("task_assign"), {"sum": 3})
        await hub.becomes(task_id, "completed")
        await ear.hears(4)
        told = {event["type"]: event for event in ear.told(webhook["secret"])}
        assert set(told) == {
            f"crewhub.task_{what}" for what in ("queued", "assigned", "accepted", "complete")
        }
        end = told["crewhub.task_complete"]
        assert (end["specversion"], end["source"], end["subject"]) == ("1.0", "https://hub.example", task_id)
        assert (end["datacontenttype"], end["traceparent"]) == ("application/json", trace)
        assert end["time"].endswith("Z")
        assert end["data"]["event"]["cursor"] == end["id"]
        assert (end["data"]["event"]["event"], end["data"]["event"]["agent_id"]) == ("task_complete", "ada")
        task = await hub.task(task_id)
        assert end["data"]["task"] == task
        assert "task" not in told["crewhub.task_queued"]["data"]
        call = ear.calls[0]
        assert call.headers["content-type"].startswith("application/cloudevents+json")
        assert len(set(ear.ids())) == 4
        found = await comes_to(hub, webhook, lambda one: one["pending"] == 0 and one["behind"] == 0)
        assert (found["status"], found["failing_since"]) == ("enabled", None)


async def test_only_what_is_wanted_is_told(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening() as ends, listening() as blue, listening() as digest, listening() as ada:
        await add(hub, ends.url, events=ENDS)
        await add(hub, blue.url, labels={"team": "blue"}, events=["task_queued"])
        await add(hub, digest.url, plugin="digest")
        await add(hub, ada.url, agent_id="ada", events=["agent_*"])
        await event_of(hub, labels={"team": "red"})
        await event_of(hub, labels={"team": "blue", "more": "x"}, plugin="digest")
        await (await v2(hub, "bob")).hang_up()
        await v2(hub, "ada")
        for ear, count in ((ends, 2), (blue, 1), (digest, 2), (ada, 1)):
            await ear.hears(count)
        async with hub.http() as http:
            hooks = (await http.get("/api/webhooks")).json()["webhooks"]
        for hook in hooks:
            await comes_to(hub, hook, lambda one: one["behind"] == one["pending"] == 0)
        assert [len(ear.calls) for ear in (ends, blue, digest, ada)] == [2, 1, 2, 1]
        assert blue.calls[0].body["subject"] == digest.calls[0].body["subject"]


@pytest.mark.usefixtures("soon")
async def test_what_was_not_taken_comes_again_under_the_same_id(start_hub: Start) -> None:
    """H3."""
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening("500 No", "302 Moved\r\nLocation: http://127.0.0.1:1/", "404 Not", "204 Yes") as ear:
        webhook = await add(hub, ear.url, events=["task_queued"])
        await event_of(hub)
        await ear.hears(4)
        found = await comes_to(hub, webhook, lambda one: one["pending"] == 0)
        (one,) = await deliveries(hub, webhook, "delivered")
        detail = await got(hub, f"/deliveries/{one['delivery_id']}")
    assert len(set(ear.ids())) == 1
    assert {call.path for call in ear.calls} == {"/flow?from=hub"}
    assert len({call.raw for call in ear.calls}) == 1
    assert ear.ids()[0] == one["message_id"]
    assert [said["status"] for said in detail["log"]] == [500, 302, 404, 204]
    assert detail["log"][1]["error"] == "a redirect is not followed"
    assert found["failing_since"] is None
    assert detail["body"] == ear.calls[0].body


@pytest.mark.usefixtures("soon")
async def test_a_delivery_is_given_up_after_its_last_try(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening("500 No") as ear:
        webhook = await add(hub, ear.url, events=["task_queued"])
        await event_of(hub)
        found = await comes_to(hub, webhook, lambda one: one["pending"] == 0 and one["failing_since"])
        (one,) = await deliveries(hub, webhook)
        text = hub.parts.metrics.text().decode()
    assert (one["state"], one["tries"]) == ("failed", patience.TRIES_MAX)
    assert len(ear.calls) == patience.TRIES_MAX
    assert found["status"] == "enabled"
    assert 'hub_webhook_deliveries_total{outcome="failed"} 1.0' in text
    assert 'hub_alerts_total{kind="webhook_failed"} 1.0' in text


async def test_a_receiver_that_asks_for_a_pause_gets_it(start_hub: Start) -> None:
    """The pause that was planned is five seconds: this one is longer, and has an end."""
    hub: RunningHub = await start_hub(**PRIVATE)
    async with (
        listening("429 Busy\r\nRetry-After: 600") as ear,
        listening("503 No\r\nRetry-After: 99999") as long,
    ):
        first = await add(hub, ear.url, events=["task_queued"])
        second = await add(hub, long.url, events=["task_queued"])
        await event_of(hub)
        pauses = []
        for webhook in (first, second):
            await comes_to(hub, webhook, lambda one: one["failing_since"])
            (one,) = await deliveries(hub, webhook, "pending")
            pauses.append(one["next_try_at"] - one["updated_at"])
    assert pauses == [600_000, 3_600_000]


async def test_a_receiver_that_is_gone_is_not_called_again(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening("410 Gone") as ear:
        webhook = await add(hub, ear.url, events=["task_queued"])
        await event_of(hub)
        found = await comes_to(hub, webhook, lambda one: one["status"] == "disabled")
        await event_of(hub)
        again = await asked(hub, "POST", f"/{webhook['webhook_id']}/test")
        assert len(ear.calls) == 1
    await hub.parts.audit.flush()
    said = await rows(hub, "SELECT actor, detail FROM audit WHERE action = 'webhook_disabled'")
    assert found["disabled_why"] == "it answered 410 Gone"
    assert said == [("hub", f"{webhook['webhook_id']} it answered 410 Gone")]
    assert (again.status_code, again.json()["state"]) == (409, "disabled")
    assert 'hub_alerts_total{kind="webhook_disabled"} 1.0' in hub.parts.metrics.text().decode()


@pytest.mark.usefixtures("soon")
async def test_a_receiver_that_has_taken_nothing_for_days_is_disabled(
    start_hub: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening("500 No") as ear:
        webhook = await add(hub, ear.url, events=["task_queued"])
        monkeypatch.setattr(patience, "FAILING_MAX_MS", 1)
        await event_of(hub)
        found = await comes_to(hub, webhook, lambda one: one["status"] == "disabled")
        count = len(ear.calls)
        assert patience.GIVEN_UP_AFTER_TRIES <= count <= patience.TRIES_MAX
        assert found["disabled_why"] == "it has taken nothing for 5 days"
        ear.answers[:] = ["204 Yes"]
        back = await asked(hub, "PATCH", f"/{webhook['webhook_id']}", {"enabled": True})
        assert (back.json()["status"], back.json()["failing_since"]) == ("enabled", None)
        await comes_to(hub, webhook, lambda one: one["pending"] == 0)
        assert len(ear.calls) == count + 1, "what was still before it comes when it is enabled again"


async def test_one_that_says_nothing_delays_no_other(start_hub: Start) -> None:
    """A hundred receivers, and one of them hangs."""
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening(HANG) as still, listening() as ear:
        hung = await add(hub, still.url, events=["task_queued"])
        for _ in range(99):
            await add(hub, ear.url, events=["task_queued"])
        for _ in range(3):
            await event_of(hub)
        await ear.hears(3 * 99)
        assert len(set(ear.ids())) == 3
        assert still.calls
        assert (await got(hub, f"/{hung['webhook_id']}"))["pending"] == 3
        await until(lambda: hub.parts.notices._sender.under_way <= CALLS_EACH_MAX, "only one hangs", 60)


async def test_the_hub_does_not_tell_this_machine_unless_it_may(running_hub: RunningHub) -> None:
    """H1: a name that leads home is refused when it is called, and the log says so."""
    refused = await asked(running_hub, "POST", "", {"url": "http://example.com/"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "url")
    for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1"):
        async with listening() as ear:
            webhook = await add(running_hub, f"https://{host}:{ear.port}/", events=["task_queued"])
            await event_of(running_hub)
            await comes_to(running_hub, webhook, lambda one: one["failing_since"])
            (one,) = await deliveries(running_hub, webhook)
            detail = await got(running_hub, f"/deliveries/{one['delivery_id']}")
            assert not ear.calls
        assert detail["log"][0]["status"] is None
        assert "private network" in detail["log"][0]["error"] or "no address" in detail["log"][0]["error"]
        assert (await asked(running_hub, "DELETE", f"/{webhook['webhook_id']}")).status_code == 200


@pytest.mark.usefixtures("soon")
async def test_a_name_that_changes_between_two_looks_leads_nowhere(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: judged and called is one address. The name is public when it is judged first, and ours after."""
    async with listening() as ear:
        looks: list[str] = []

        async def address_of(target: guard.Target, *, allow_private: bool) -> str:
            looks.append(target.host)
            if len(looks) == 1:
                return "192.0.0.9"  # public, and nobody is there
            home = guard.Target(scheme="https", host="127.0.0.1", port=1, path="/")
            return await real(home, allow_private=allow_private)

        real = guard.address_of
        monkeypatch.setattr("hub.webhooks.posting.address_of", address_of)
        webhook = await add(running_hub, f"https://rebind.example:{ear.port}/", events=["task_queued"])
        await event_of(running_hub)
        found = await comes_to(running_hub, webhook, lambda one: one["failing_since"])
        (one,) = await deliveries(running_hub, webhook)
        detail = await delivery_becomes(running_hub, one["delivery_id"], lambda d: len(d["log"]) >= 2)
        assert not ear.calls
    assert found["pending"] == 1
    assert "refused" not in detail["log"][0]["error"]
    assert "refused: 127.0.0.1 lies on this machine" in detail["log"][1]["error"]


async def test_both_secrets_sign_while_they_are_exchanged(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening() as ear:
        old = await add(hub, ear.url, events=["task_queued"])
        new = (await asked(hub, "POST", f"/{old['webhook_id']}/rotate")).json()
        await event_of(hub)
        await ear.hears(1)
        for secret in (old["secret"], new["secret"]):
            assert believed(ear.calls[0], secret)["type"] == "crewhub.task_queued"
        assert ear.calls[0].headers["webhook-signature"].count("v1,") == 2
        newest = (await asked(hub, "POST", f"/{old['webhook_id']}/rotate")).json()
        await event_of(hub)
        await ear.hears(2)
        for secret in (new["secret"], newest["secret"]):
            believed(ear.calls[1], secret)
        with pytest.raises(Exception, match="signature"):
            believed(ear.calls[1], old["secret"])
    assert len({old["secret"], new["secret"], newest["secret"]}) == 3
    assert [key["until"] is None for key in newest["secrets"]] == [True, False]


async def test_a_delivery_and_all_since_a_moment_can_be_told_again(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening() as ear:
        await event_of(hub)
        webhook = await add(hub, ear.url, events=["task_queued"])
        place = f"/{webhook['webhook_id']}"
        await event_of(hub)
        await ear.hears(1)
        await comes_to(hub, webhook, lambda one: one["pending"] == 0)
        (one,) = await deliveries(hub, webhook)
        again = await asked(hub, "POST", f"/deliveries/{one['delivery_id']}/redeliver")
        await ear.hears(2)
        await comes_to(hub, webhook, lambda one: one["pending"] == 0)
        detail = await got(hub, f"/deliveries/{one['delivery_id']}")
        replayed = await asked(hub, "POST", f"{place}/replay", {"since_time": 0})
        await ear.hears(4)
        await comes_to(hub, webhook, lambda one: one["pending"] == one["behind"] == 0)
        since = await asked(hub, "POST", f"{place}/replay", {"since": webhook["cursor"]})
        await ear.hears(5)
        await comes_to(hub, webhook, lambda one: one["pending"] == one["behind"] == 0)
        assert len(ear.calls) == 5
    assert (again.status_code, len(detail["log"])) == (202, 2)
    assert again.json()["state"] in ("pending", "delivered"), "as it stood when the answer was made"
    assert (replayed.status_code, replayed.json()["cursor"].rpartition(":")[2]) == (202, "0")
    assert since.json()["cursor"] == webhook["cursor"]
    first, *_ = ear.ids()
    assert sorted(ear.ids().count(one) for one in set(ear.ids())) == [1, 4]
    assert ear.ids().count(first) == 4, "what comes again has the id that it had"


async def test_a_test_arrives_and_is_no_event(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening() as ear:
        webhook = await add(hub, ear.url, events=["task_queued"])
        sent = await asked(hub, "POST", f"/{webhook['webhook_id']}/test")
        await ear.hears(1)
        (event,) = ear.told(webhook["secret"])
    assert (event["type"], event["subject"]) == ("crewhub.test", webhook["webhook_id"])
    assert (sent.status_code, sent.json()["event"]) == (202, "test")
    assert ear.ids() == [sent.json()["message_id"]]


async def test_a_long_and_nasty_answer_is_cut_and_shown_harmless(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening() as ear:
        ear.says = b"\x1b[31mred\x00" + b"\xff" * 8 + b"x" * (4 * ANSWER_BYTES_MAX)
        webhook = await add(hub, ear.url, events=["task_queued"])
        await event_of(hub)
        await comes_to(hub, webhook, lambda one: one["failing_since"])
        (one,) = await deliveries(hub, webhook)
        (said,) = (await got(hub, f"/deliveries/{one['delivery_id']}"))["log"]
    assert said["status"] == 500
    assert said["answer"].startswith("\\x1b[31mred\\x00")
    assert len(said["answer"]) == ANSWER_KEPT_MAX


async def test_what_waits_for_a_disabled_or_removed_receiver_is_not_sent(start_hub: Start) -> None:
    hub: RunningHub = await start_hub(**PRIVATE)
    async with listening("500 No") as ear:
        webhooks = [await add(hub, ear.url, events=["task_queued"]) for _ in range(2)]
        await event_of(hub)
        for webhook in webhooks:
            await comes_to(hub, webhook, lambda one: one["failing_since"])
        off, gone = (f"/{webhook['webhook_id']}" for webhook in webhooks)
        assert (await asked(hub, "PATCH", off, {"enabled": False})).json()["status"] == "disabled"
        assert (await asked(hub, "DELETE", gone)).json()["status"] == "removed"
        await event_of(hub)
        assert len(await deliveries(hub, webhooks[0], "pending")) == 1
        assert (await asked(hub, "GET", gone)).status_code == 404
        await until(lambda: hub.parts.notices._sender.under_way == 0, "nothing is under way")
        await asyncio.wait_for(hub.parts.notices.log.forget(hub.parts.clock.now().wall_ms), 60)
        left = await rows(hub, "SELECT DISTINCT webhook_id FROM webhook_deliveries")
    assert left == [(webhooks[0]["webhook_id"],)]
