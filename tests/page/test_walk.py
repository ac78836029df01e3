"""A stranger's way from `hub serve` in an empty folder to finished work on the page, as the screens say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

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
    stranger.write()
    await visit.close()
    assert not complaints.heard


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
