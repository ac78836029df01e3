"""Every view of a fleet at work: laid out, named, reached by keyboard; dark and light, desktop and phone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from hub.web.pages import PAGES
from tests.hub.conftest import HubProcess
from tests.hub.peers import Peer
from tests.page.browsing import Visit
from tests.page.looking import WRITES_IMAGES, looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.page.staging import Stage, staged
from tests.page.test_stream import live

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
async def rig(hub_process: HubProcess, browser: Browser) -> AsyncIterator[Rig]:
    """A hub that may call webhooks of this machine, and that is patient with agents who hold still."""
    patience = {"HUB_V2_SILENCE_MS": "600000", "HUB_LEASE_MS": "600000"}
    hub_process.start(HUB_HOOKS_ALLOW_PRIVATE="true", HUB_PLUGINS="shipped", **patience)
    rig = Rig(hub_process, browser)
    yield rig
    await Peer.end_all()
    await rig.close()


def views_of(stage: Stage) -> dict[str, tuple[str, str]]:
    """Pictures by name: where, and a text without which there is nothing to see."""
    return {
        "live": ("/", "News of the sea for the morning"),
        "fleet": ("/agents", "katherine"),
        "agent": ("/agents/katherine", "Find the shortest way round eleven harbours"),
        "tasks": ("/tasks", "Paint the fence of the office in Lyon"),
        "task": (f"/tasks/{stage.running}", "Task 2/3: write a section a topic"),
        "question": (f"/tasks/{stage.asking}", "two notes of the release are missing"),
        "result": (f"/tasks/{stage.done}", "All eleven are open."),
        "dead": ("/dead", "no such file: lines-north.csv"),
        "push": ("/push?agent=ada&plugin=daily-news-digest", "Offered by ada"),
        "briefings": ("/briefings", "A calm week"),
        "briefing": (f"/briefings/{stage.run}", "The harbours"),
        "settings": ("/settings", "It takes work."),
        "webhooks": ("/settings?part=webhooks", "127.0.0.1"),
    }


async def test_every_view_of_a_fleet_at_work_looks_right_reads_well_and_is_reached_by_keyboard(
    rig: Rig,
) -> None:
    visit = await rig.visit()  # before anything happens: its feed tells of all
    await live(visit)
    async with staged(rig.hub, pace=1 if os.environ.get(WRITES_IMAGES) else 0) as stage:
        await expect(visit.page.locator('.lane [data-state="paused"]')).to_be_visible()
        faults = await faults_of(visit, views_of(stage))
    assert not faults, "\n".join(faults)


async def faults_of(visit: Visit, views: dict[str, tuple[str, str]]) -> list[str]:
    assert len(views) > len(PAGES)
    faults = []
    for name, (path, text) in views.items():
        page = visit.page if name == "live" else await visit.go(path)
        await expect(page.locator("main").get_by_text(text).first).to_be_visible()
        await live(visit)
        for sees in (looks_right, reads_well, works_by_keyboard):
            try:
                await sees(visit, name)
            except AssertionError as error:
                faults.append(str(error))
    return faults
