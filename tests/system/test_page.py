"""The Live page in a real Chromium: it logs in, shows what happens, and takes nobody's words for markup."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import Final

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.hub.conftest import HubProcess
from tests.hub.peers import V2Peer

NAMES: Final = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")
FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
HOSTILE: Final = "<img src=x onerror=alert(1)> \u202egnp.exe\u202c \u2066x\u2069"
PATIENCE_MS: Final = 15_000


def chromium() -> str:
    """`./dev test` brings it, or says how."""
    found = os.environ.get("HUB_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "there is no Chromium: apt-get install chromium-headless-shell, or HUB_TEST_CHROMIUM=…"
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        await browser.close()


class Visit:
    """A page, and everything that it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self.note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def note(self, message: ConsoleMessage) -> None:
        """All but the one 401 by which the page learns that nobody is logged in; the browser logs each."""
        if message.type in {"error", "warning"} and "401 (Unauthorized)" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    async def log_in(self, hub: HubProcess, token: str) -> None:
        await self.page.goto(hub.address)
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Log in").click()
        await expect(self.page.locator("#live")).to_be_visible(timeout=PATIENCE_MS)


@pytest.fixture
async def visit(browser: Browser) -> Visit:
    return Visit(await browser.new_page(color_scheme="dark"))


async def agent(hub: HubProcess, agent_id: str, **card: object) -> V2Peer:
    token = await hub.token(agent_id)
    peer = await V2Peer.dial(hub.ws_address, token=token, subprotocols=["hub.v2.json"])
    assert (await peer.identify(agent_id, **card))["type"] == "identified"
    return peer


async def test_the_page_shows_counters_fleet_and_feed(hub: HubProcess, visit: Visit) -> None:
    await visit.log_in(hub, await hub.token(role="viewer"))
    await expect(visit.page.get_by_text("No agent is connected.")).to_be_visible(timeout=PATIENCE_MS)
    ada = await agent(hub, "ada", slots=2, capabilities=["research"])
    await hub.push("ada", "Summarise the news")
    await ada.work(await ada.hear("task_assign"), {"summary": "well"})
    feed = visit.page.locator("#feed")
    for event in ("task_queued", "task_assigned", "task_accepted", "task_complete"):
        await expect(feed.get_by_text(event, exact=True)).to_have_count(1, timeout=PATIENCE_MS)
    await expect(feed.get_by_text("Summarise the news")).to_have_count(4, timeout=PATIENCE_MS)
    await expect(visit.page.locator("#fleet .name")).to_have_text("ada", timeout=PATIENCE_MS)
    await expect(visit.page.locator("#fleet .about")).to_contain_text("research", timeout=PATIENCE_MS)
    await expect(visit.page.locator("#lamp")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    for name, value in (("agents online", "1"), ("completed", "1"), ("running", "0")):
        counter = visit.page.locator("#counters div", has_text=name).locator("dd")
        await expect(counter).to_have_text(value, timeout=PATIENCE_MS)
    assert not visit.complaints
    assert all(url.startswith(hub.address) for url in visit.asked), "nothing comes from anywhere else"


async def test_what_people_and_agents_say_is_text(hub: HubProcess, visit: Visit) -> None:
    """L47"""
    visit.page.on("dialog", lambda dialog: visit.dialogs.append(dialog.message))
    await visit.log_in(hub, hub.admin_token)
    ada = await agent(hub, "ada", capabilities=[HOSTILE])
    await hub.push("ada", HOSTILE)
    assigned = await ada.hear("task_assign")
    await ada.say(ada.fact("task_accepted", assigned))
    await ada.say(ada.fact("task_failed", assigned, error=HOSTILE, retryable=False))
    failed = visit.page.locator("#feed li", has_text="task_failed")
    await expect(failed).to_contain_text("<img src=x onerror=alert(1)>", timeout=PATIENCE_MS)
    await expect(visit.page.locator("#fleet .about")).to_contain_text("<img src=x", timeout=PATIENCE_MS)
    assert await visit.page.locator("#page img").count() == 0
    shown = await visit.page.locator("#live").inner_text()
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown), (
        "they turn a line around"
    )
    assert not visit.dialogs
    assert not visit.complaints


async def test_a_wrong_token_is_said_and_none_is_kept(hub: HubProcess, visit: Visit) -> None:
    await visit.page.goto(hub.address)
    await visit.page.get_by_label("Token").fill("hubs_wrong")
    await visit.page.get_by_role("button", name="Log in").click()
    await expect(visit.page.get_by_role("alert")).to_contain_text("not valid", timeout=PATIENCE_MS)
    await visit.log_in(hub, hub.admin_token)
    storage = await visit.page.evaluate(
        "[localStorage.length, sessionStorage.length, document.cookie, location.href]"
    )
    assert storage == [0, 0, "", f"{hub.address}/"]
    await visit.page.get_by_role("button", name="Log out").click()
    await expect(visit.page.locator("#login")).to_be_visible(timeout=PATIENCE_MS)
    await visit.page.reload()
    await expect(visit.page.locator("#login")).to_be_visible(timeout=PATIENCE_MS)


async def test_the_policy_stops_a_script_that_got_in(hub: HubProcess, visit: Visit) -> None:
    answer = await visit.page.goto(hub.address)
    assert answer is not None
    assert "default-src 'none'; script-src 'self'" in (await answer.all_headers())["content-security-policy"]
    refused = "try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch { 'refused' }"
    assert await visit.page.evaluate(refused) == "refused", "trusted types are on, and there is no policy"
    added = "const s = document.createElement('script'); s.src = 'data:text/javascript,window.got=1';"
    await visit.page.evaluate(f"try {{ {added} document.head.append(s) }} catch {{}}")
    assert await visit.page.evaluate("window.got") is None


async def test_a_filter_and_a_narrow_window_keep_everything_in_view(hub: HubProcess, visit: Visit) -> None:
    await visit.page.set_viewport_size({"width": 360, "height": 740})
    await visit.log_in(hub, hub.admin_token)
    ada = await agent(hub, "an-agent-with-" + "a-rather-long-name-" * 5)
    await hub.push("an-agent-with-" + "a-rather-long-name-" * 5, "W" * 300)
    await ada.hear("task_assign")
    feed = visit.page.locator("#feed li")
    await expect(feed).not_to_have_count(0, timeout=PATIENCE_MS)
    await expect(visit.page.locator("#fleet li")).to_have_count(1, timeout=PATIENCE_MS)
    width = await visit.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360, "nothing is wider than the window"
    await visit.page.get_by_label("Filter").fill("no such thing")
    await expect(feed).to_have_count(0, timeout=PATIENCE_MS)
    await visit.page.get_by_label("Filter").fill("TASK_QUEUED")
    await expect(feed).to_have_count(1, timeout=PATIENCE_MS)
