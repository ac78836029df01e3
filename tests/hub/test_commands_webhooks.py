"""`hub webhooks` in a process of its own against a real hub."""

from __future__ import annotations

import pytest

from tests.hub.conftest import RunningHub
from tests.hub.noticed import add, believed, comes_to, event_of, listening
from tests.hub.typing_hands import run

pytestmark = pytest.mark.parametrize("running_hub", [{"hooks_allow_private": True}], indirect=True)


async def test_a_webhook_is_added_tested_changed_and_removed(running_hub: RunningHub) -> None:
    async with listening() as ear:
        words = ("--event", "task_queued", "--label", "team=blue", "--plugin", "p", "--description", "mine")
        added = await run(running_hub, "webhooks", "add", ear.url, *words)
        assert added.code == 0, added.err
        (made,) = added.records
        name = made["webhook_id"]
        tested = await run(running_hub, "webhooks", "test", name)
        await ear.hears(1)
        rotated = await run(running_hub, "webhooks", "rotate", name, "-q")
        assert believed(ear.calls[0], made["secret"])["type"] == "crewhub.test"
    off = await run(running_hub, "webhooks", "edit", name, "--disable", "--plugin", "", "--agent", "ada")
    listed = await run(running_hub, "webhooks", "list", "-q")
    shown = await run(running_hub, "webhooks", "get", name)
    removed = await run(running_hub, "webhooks", "remove", name)
    assert (made["events"], made["labels"], made["plugin"]) == (["task_queued"], {"team": "blue"}, "p")
    assert tested.records[0]["event"] == "test"
    assert rotated.out.startswith("whsec_")
    assert rotated.out.strip() != made["secret"]
    (changed,) = off.records
    assert (changed["status"], changed["plugin"], changed["agent_id"]) == ("disabled", None, "ada")
    assert listed.out.split() == [name]
    assert shown.records[0]["labels"] == {"team": "blue"}
    assert removed.records == [{"status": "removed", "webhook_id": name}]


async def test_deliveries_are_listed_shown_and_sent_again(running_hub: RunningHub) -> None:
    async with listening() as ear:
        webhook = await add(running_hub, ear.url, events=["task_queued"])
        name = webhook["webhook_id"]
        await event_of(running_hub)
        await comes_to(running_hub, webhook, lambda one: one["pending"] == 0 and one["behind"] == 0)
        listed = await run(running_hub, "webhooks", "deliveries", name, "--state", "delivered")
        (one,) = listed.records
        again = await run(running_hub, "webhooks", "redeliver", "dlv-999", one["delivery_id"])
        await ear.hears(2)
        replayed = await run(running_hub, "webhooks", "replay", name, "--since-time", "2020-01-01T00:00")
        await ear.hears(3)
        await comes_to(running_hub, webhook, lambda one: one["pending"] == 0 and one["behind"] == 0)
        shown = await run(running_hub, "webhooks", "deliveries", one["delivery_id"], "--no-json")
    assert [told["delivery_id"] for told in again.records] == [one["delivery_id"]], "the others hold up none"
    assert again.code == 6
    assert again.err == "dlv-999: There is no delivery dlv-999. See: hub webhooks deliveries WEBHOOK\n"
    assert replayed.records[0]["status"] == "replaying"
    assert len(set(ear.ids())) == 1
    assert shown.code == 0, shown.err
    assert one["message_id"] in shown.out
    assert "TOOK MS" in shown.out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("add", "ftp://example.com/"), 2, "url: The hub does not call there"),
        (("add", "https://example.com/", "--label", "team"), 2, "--label"),
        (("edit", "hook-none"), 2, "say what is to be changed"),
        (("edit", "hook-none", "--enable"), 6, "There is no webhook hook-none. See: hub webhooks list"),
        (("replay", "hook-none"), 2, "give one of --since and --since-time"),
        (("replay", "hook-none", "--since", "x:1"), 6, "There is no webhook hook-none"),
        (("deliveries", "dlv-9"), 6, "There is no delivery dlv-9"),
        (("get", ""), 2, "an empty name"),
    ],
)
async def test_what_cannot_be_told_is_a_sentence_and_a_number(
    running_hub: RunningHub, words: tuple[str, ...], code: int, sentence: str
) -> None:
    said = await run(running_hub, "webhooks", *words)
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err
