"""A stranger's way from `hub serve` in an empty folder to finished work on the page, as the screens say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.hub.conftest import free_port
from tests.page.browsing import Complaints, Visit
from tests.page.walking import Lost, Stranger

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[Stranger]:
    stranger = Stranger(tmp_path)
    yield stranger
    await stranger.leave()


async def test_a_stranger_gets_from_an_empty_folder_to_finished_work_on_the_page(
    stranger: Stranger, browser: Browser
) -> None:
    serving = await stranger.begin(f"hub serve --port {free_port()}")
    address = await stranger.read(serving, r"The page\s+(http://\S+)")
    token = await stranger.read(serving, r"\b(huba_\w+)\b")

    complaints = Complaints(address.rstrip("/"))
    visit = await Visit.begin(browser, complaints)
    page = await visit.go()
    stranger.does(f"open {address}")
    await stranger.sees(page.get_by_role("heading", name="Log in"), "it asks who is there")
    stranger.does("paste the token, press Log in")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await stranger.sees(page.get_by_text("No agent is connected."), "Live, with nobody at work")

    joining = await stranger.command_on(page, "sidecar connect")
    sidecar = await stranger.type(joining)
    name = await stranger.read(sidecar, r"sidecar `(\S+)` works")
    await stranger.sees(page.locator("#fleet").get_by_text(name, exact=True), "the agent on Live")

    pushing = await stranger.read(serving, r"(hub push .*)")
    pushed = await stranger.type(pushing.strip())
    assert await pushed.ended() == 0, stranger.transcript
    stranger.look(pushed)
    finished = page.locator("#feed li", has_text="task_complete")
    await stranger.sees(finished, "the end of the task in the feed")
    await expect(finished).to_contain_text("say hello")

    crewing = await stranger.read(serving, r"(sidecar connect .*--plugins.*)")
    crew = await stranger.type(crewing.strip())
    name = await stranger.read(crew, r"sidecar `(\S+)` works")
    await stranger.sees(page.locator("#fleet").get_by_text(name, exact=True), "the crew's agent on Live")
    await has_a_crew_brief(stranger, page, name)
    stranger.write()
    await visit.close()
    assert not complaints.heard


async def has_a_crew_brief(stranger: Stranger, page: Page, agent: str) -> None:
    """By the form that the navigation leads to; what must be filled in, the form itself says."""
    stranger.does("press Push in the navigation")
    await page.get_by_role("navigation", name="Views").get_by_role("link", name="Push").click()
    await page.get_by_label("Agent", exact=True).fill(agent)
    plugins = page.get_by_label("Plugin")
    await expect(plugins).to_contain_text("digest")
    await stranger.sees(plugins, "plugins to choose from")
    (digest,) = [one for one in await plugins.locator("option").all_inner_texts() if "digest" in one]
    stranger.does(f"choose {agent} and {digest}, press Push")
    await plugins.select_option(label=digest)
    push = page.get_by_role("main").get_by_role("button", name="Push", exact=True)
    await push.click()
    await stranger.sees(page.get_by_text("At least one line is needed."), "what is missing")
    stranger.does("write a topic into the field that has the cursor, press Push")
    await expect(page.get_by_label("Topics")).to_be_focused()
    await page.keyboard.type("tides")
    await push.click()
    await expect(page.locator("#task-state")).to_have_text("completed")
    await stranger.sees(page.locator("#task-state"), "the state of the task")
    await stranger.sees(page.locator("#fall [role=treeitem]"), "the first step of the timeline")
    await stranger.sees(page.locator("#result"), "the briefing that the crew has made")


async def test_a_stranger_types_nothing_that_no_screen_has_shown(stranger: Stranger) -> None:
    serving = await stranger.begin(f"hub serve --port {free_port()}")
    await stranger.read(serving, r"The page")
    with pytest.raises(Lost, match="no screen has shown the command 'hub doctor'"):
        await stranger.type("hub doctor")


async def test_the_transcript_keeps_no_secret_and_names_no_folder(stranger: Stranger) -> None:
    serving = await stranger.begin(f"hub serve --port {free_port()}")
    token = await stranger.read(serving, r"\b(huba_\w+)\b")
    await stranger.read(serving, r"The same over HTTP")
    assert "huba_…" in stranger.transcript
    assert token not in stranger.transcript
    assert str(stranger.home) not in stranger.transcript
    assert "~/.config/crewhub/local-hub.json" in stranger.transcript
