"""Settings: the truth about the hub, tokens shown once, webhooks and what they got, oneself."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from tests.hub.conftest import HubProcess, free_port
from tests.hub.noticed import Ear, listening
from tests.hub.peers import V2Peer
from tests.page.browsing import Visit
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import WITH_PLUGINS, Rig, log_in

REFUSED = r"422 \(Unprocessable"
"""The browser logs that the hub refused what was typed."""
GONE = r"404 .*/api/webhooks/"
"""And that a webhook was removed while its page asked how it fares."""
TOKEN = re.compile(r"^hub[vdasj]_\w+$")


async def yes(page: Page, title: str, word: str) -> None:
    dialog = page.get_by_role("dialog", name=title)
    await dialog.get_by_role("button", name=word).click()
    await expect(dialog).to_have_count(0)


async def token_once(page: Page, name: str) -> str:
    """The secret that is shown once, and gone when it is closed."""
    field = page.get_by_label(name, exact=True)
    value = await field.input_value()
    await page.get_by_role("button", name="I have it: close").click()
    await expect(field).to_have_count(0)
    assert value not in await page.content()
    return value


def token_row(page: Page, name: str) -> Locator:
    return page.locator("#tokens .set-row", has_text=name)


async def test_tokens_are_made_shown_once_and_revoked(rig: Rig) -> None:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("ada"))
    await peer.identify("ada")
    visit = await rig.visit(path="/settings?part=tokens")
    page = visit.page
    await expect(token_row(page, "ada")).to_contain_text("expires in 89 d")
    await page.get_by_role("button", name="New token").click()
    form = page.get_by_role("form", name="New token")
    await form.get_by_label("Role").select_option("dispatcher")
    await form.get_by_label("What it is for").fill("the nightly job")
    await form.get_by_label("Good for").select_option("7 days")
    await looks_right(visit, "settings-tokens")
    await reads_well(visit, "settings-tokens")
    await form.get_by_label("Only for agents").fill("build-*, ada")
    await form.get_by_role("button", name="Make a token").click()
    await expect(page.get_by_text("It is shown this once.")).to_be_visible()
    await expect(page.get_by_label("Token", exact=True)).to_be_focused()
    await looks_right(visit, "settings-token-once")
    await visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_text("Token copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    token = await token_once(page, "Token")
    assert TOKEN.fullmatch(token)
    assert copied == token
    assert log_in(rig.hub.address, token).value, "it is good"
    made = token_row(page, "the nightly job")
    await expect(made).to_contain_text("only agents build-*, ada")
    await expect(made).to_contain_text("expires in 6 d")
    await successor_and_join_code(rig, page, token)

    await page.get_by_role("button", name="Revoke ada").click()
    await expect(page.get_by_role("dialog")).to_contain_text("The agent's connection closes now")
    await yes(page, "Revoke ada?", "Revoke")
    assert (await peer.closed())[0] == 4401
    await expect(page.get_by_role("button", name="Revoke ada")).to_have_count(0)
    await visit.go("/agents/ada")
    await expect(page.locator(".page-head .state")).to_have_text("offline")
    await expect(page.locator("#agent-visits")).to_contain_text("4401")


async def successor_and_join_code(rig: Rig, page: Page, token: str) -> None:
    """A new one beside the old one; and what an agent joins with."""
    made = token_row(page, "the nightly job")
    await page.get_by_role("button", name="Make a successor of the nightly job").click()
    await yes(page, "Make a successor of the nightly job?", "Make it")
    assert await token_once(page, "Token") != token
    await expect(made).to_have_count(2)

    await page.get_by_role("button", name="New join code").click()
    form = page.get_by_role("form", name="New join code")
    rig.complaints.forgive(REFUSED)
    await form.get_by_label("Agent", exact=True).fill("hub:mine")
    await form.get_by_role("button", name="Make a join code").click()
    await expect(form.get_by_role("alert")).to_be_visible()
    await expect(form.get_by_label("Agent", exact=True)).to_have_attribute("aria-invalid", "true")
    await form.get_by_label("Agent", exact=True).fill("build-*")
    await form.get_by_role("button", name="Make a join code").click()
    await expect(page.get_by_text(f"sidecar join {rig.hub.address}")).to_be_visible()
    assert (await token_once(page, "Join code")).startswith("hubj_")


async def test_a_webhook_is_added_tested_and_told_again(hub_process: HubProcess, rig: Rig) -> None:
    rig.stop()
    hub_process.start(**WITH_PLUGINS, HUB_HOOKS_ALLOW_PRIVATE="1")
    visit = await rig.visit(path="/settings?part=webhooks")
    page = visit.page
    await expect(page.get_by_text("hub webhooks add https://example.com/crewhub")).to_be_visible()
    async with listening("204 No Content") as ear:
        await page.get_by_role("button", name="New webhook").click()
        form = page.get_by_role("form", name="New webhook")
        rig.complaints.forgive(REFUSED, GONE)
        await form.get_by_label("Address").fill("no address")
        await form.get_by_role("button", name="Add the webhook").click()
        await expect(form.get_by_label("Address")).to_have_attribute("aria-invalid", "true")
        await form.get_by_label("Address").fill(ear.url)
        await form.get_by_role("button", name="agent_left").click()
        await expect(form.get_by_label("Events")).to_have_value("task_complete, task_failed, agent_left")
        await form.get_by_label("Only tasks with labels").fill("site=north")
        await looks_right(visit, "settings-webhook-new")
        await form.get_by_role("button", name="Add the webhook").click()
        secret = await token_once(page, "Secret")
        assert secret.startswith("whsec_")
        await expect(page.locator("#webhooks .set-row")).to_contain_text(
            "task_failed, agent_left · site=north"
        )
        await page.get_by_role("link", name=ear.url).click()
        await told_of_a_test(visit, ear, secret)
        await changed_and_removed(page, ear.url, secret)
    await expect(page.get_by_text("Nobody is told of events yet.")).to_be_visible()


async def told_of_a_test(visit: Visit, ear: Ear, secret: str) -> None:
    """It is sent, seen in the log with its answer, and sent again under the same id."""
    page = visit.page
    await page.get_by_role("button", name="Send a test").click()
    delivery = page.locator("#deliveries .set-delivery")
    await expect(delivery).to_contain_text("delivered")
    await ear.hears(1)
    assert ear.told(secret)[0]["type"] == "crewhub.test"
    await delivery.get_by_role("button", name="test").click()
    tries = page.locator("#delivery")
    await expect(tries.get_by_role("heading")).to_have_text("1 try")
    await expect(tries.locator("ol")).to_contain_text("204")
    await page.get_by_text("What was sent").click()
    await expect(tries).to_contain_text("crewhub.test")
    await looks_right(visit, "settings-webhook")
    await reads_well(visit, "settings-webhook")
    await page.reload()  # what is open is in the address
    await expect(tries.get_by_role("heading")).to_have_text("1 try")
    await works_by_keyboard(visit, "settings-webhook")
    await tries.get_by_role("button", name="Send again").click()
    await ear.hears(2)
    await expect(tries.get_by_role("heading")).to_have_text("2 tries")
    assert len(set(ear.ids())) == 1, "it is the same notice"


async def changed_and_removed(page: Page, url: str, secret: str) -> None:
    await page.get_by_role("button", name="New secret").click()
    await yes(page, f"A new secret for {url}?", "Make it")
    assert await token_once(page, "Secret") != secret
    await page.get_by_role("button", name="Edit").click()
    form = page.get_by_role("form", name="Change the webhook")
    await form.get_by_label("Events").fill("")
    await form.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("all events · site=north")).to_be_visible()
    await page.get_by_role("button", name="Disable").click()
    await expect(page.locator(".set-head .state")).to_have_text("disabled")
    await expect(page.get_by_role("button", name="Send a test")).to_be_disabled()
    await page.get_by_role("button", name="Remove").click()
    await yes(page, f"Remove {url}?", "Remove")


async def test_the_truth_about_a_hub_that_lacks_something(hub_process: HubProcess, rig: Rig) -> None:
    visit = await rig.visit("viewer", path="/settings")
    page = visit.page
    health = page.locator("#health")
    await expect(health).to_contain_text("It takes work.")
    await expect(page.get_by_text("none is configured")).to_be_visible()
    await expect(page.get_by_text("GiB free")).to_be_visible()
    await looks_right(visit, "settings-hub")
    await reads_well(visit, "settings")
    await works_by_keyboard(visit, "settings")

    rig.stop()
    hub_process.start(**WITH_PLUGINS, HUB_REDIS=f"redis://127.0.0.1:{free_port()}")
    await visit.go("/settings")
    await expect(health).to_contain_text("Ready, without Redis")

    rig.stop()
    await expect(page.get_by_text("The hub cannot be reached").first).to_be_visible()
    rig.complaints.forgive("503")  # how a hub that is not ready answers
    hub_process.start(**WITH_PLUGINS, HUB_FREE_BYTES_MIN=str(1 << 50))
    await visit.go("/settings")
    await expect(health).to_contain_text("Not ready: storage full")
    await expect(health).to_contain_text("hub prune")
    await expect(page.get_by_text("free: too little")).to_be_visible()
    await looks_right(visit, "settings-full")


async def test_a_viewer_sees_no_part_of_an_admins_and_can_leave(rig: Rig) -> None:
    visit = await rig.visit("viewer", path="/settings?part=tokens")
    page = visit.page
    await expect(page.get_by_text("Tokens are for an admin.")).to_be_visible()
    await expect(page.get_by_role("button", name="New token")).to_have_count(0)
    parts = page.get_by_role("navigation", name="Settings").get_by_role("link")
    await expect(parts).to_have_text(["This hub", "You"])
    await parts.last.click()
    await expect(page.get_by_text("Role")).to_be_visible()
    await page.get_by_role("radio", name="Light").check()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    await page.get_by_role("radio", name="As this machine").check()
    await looks_right(visit, "settings-you")
    await reads_well(visit, "settings-you")
    other = await visit.tab()
    await other.go("/")
    await expect(other.page.locator("#live")).to_be_visible()
    await page.get_by_role("button", name="Log out in all tabs").click()
    for tab in (page, other.page):
        await expect(tab.get_by_role("heading", name="Log in to Crewhub")).to_be_visible()
