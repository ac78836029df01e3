"""Fleet and Agent: what agents are and do, why they idle, steering of one and of many."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.hub.peers import Peer, V2Peer
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar
from tests.system.processes import becomes, connected, ended, in_state

LONG = {"work": {"steps": 4, "pause_s": 30}}
"""A run that is under way for as long as any test looks."""
MANY = 500
DRAWN_MAX = 60
"""Rows of many agents: what a window shows, and some to spare."""


@pytest.fixture(autouse=True)
async def peers_end() -> Any:
    yield
    await Peer.end_all()


def row(page: Page, name: str) -> Locator:
    return page.locator(f'.agent-row[data-agent="{name}"]')


async def yes(page: Page, title: str, word: str) -> None:
    """Say yes to a question that must be asked in these words."""
    dialog = page.get_by_role("dialog", name=title)
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name=word).click()
    await expect(dialog).to_have_count(0)


async def crowd(rig: Rig) -> None:
    """Agents in other states, of which no sidecar is needed."""
    cards: dict[str, dict[str, Any]] = {
        "an-agent-with-a-name-that-is-rather-long-for-a-row": {"slots": 4, "slot_kinds": {"gpu": 2}},
        "resting-one": {"resting": {"reason": "quiet hours", "until": 4_102_444_800_000}},
        "plain": {"labels": {"site": "north"}, "plugins": ["digest"], "plugin_versions": {"digest": "1.2.0"}},
    }
    for name, card in cards.items():
        peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token(name))
        assert (await peer.identify(name, **card))["type"] == "identified"
    gone = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("gone"))
    await gone.identify("gone")
    await gone.hang_up()
    await becomes(rig.hub, "/api/agents/gone", lambda agent: not agent["connected"], 60)


async def test_the_fleet_is_seen_and_steered(rig: Rig, sidecar: StartSidecar) -> None:
    visit = await rig.visit(path="/agents")
    page = visit.page
    await expect(page.get_by_text("sidecar connect --agent-id alice")).to_be_visible()
    await sidecar("ada", SIDECAR_LABELS="site=south,rack=7")
    await connected(rig.hub, "ada")
    await crowd(rig)
    done = await rig.hub.push("ada", "Summarise the news")
    await ended(rig.hub, done["task_id"])
    held = await rig.hub.push("ada", "Compare three routers for a small office", metadata=LONG)
    await in_state(rig.hub, held["task_id"], "running")
    await expect(page.locator(".agent-row")).to_have_count(5)
    ada = row(page, "ada")
    await expect(ada).to_contain_text("Compare three routers")
    await expect(ada.locator(".agent-slots")).to_contain_text("1/1")
    await expect(row(page, "resting-one")).to_contain_text("quiet hours until")
    await expect(row(page, "plain")).to_contain_text("no task waits")
    await expect(row(page, "gone")).to_contain_text("offline")
    await page.reload()
    await expect(ada.locator(".agent-success")).to_contain_text("1 of 1")
    await looks_right(visit, "fleet-states")
    await reads_well(visit, "fleet")
    await works_by_keyboard(visit, "fleet")

    await page.get_by_role("button", name="Pause ada").click()  # takes nothing away: not asked
    await expect(ada.locator(".state")).to_have_text("paused")
    assert (await rig.hub.agent("ada"))["state"] == "paused"
    await page.get_by_role("button", name="Resume ada").click()
    await expect(ada.locator(".state")).to_have_text("online")

    await filtered_steering(rig, page)
    await seen_closely(rig, page, held["task_id"])


async def filtered_steering(rig: Rig, page: Page) -> None:
    """All that a filter shows are counted and named before they are steered."""
    await page.get_by_label("Filter", exact=True).fill("site=north")
    await expect(page.locator(".agent-row")).to_have_count(1)
    await page.get_by_label("Filter", exact=True).fill("")
    await page.get_by_role("button", name="online").click()
    await expect(page.locator(".agent-row")).to_have_count(3)
    assert page.url.endswith("/agents?state=online")
    steering = page.get_by_role("group", name="Steer all that the filter shows")
    await steering.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog", name="Pause 3 agents?")
    for name in ("ada", "plain"):
        await expect(dialog).to_contain_text(name)
    await page.keyboard.press("Escape")
    assert (await rig.hub.agent("plain"))["state"] == "online", "whoever says nothing has not agreed"
    await expect(steering.get_by_role("button", name="Pause")).to_be_focused()
    await steering.get_by_role("button", name="Pause").click()
    await yes(page, "Pause 3 agents?", "Pause 3")
    await expect(page.get_by_text("No agent fits the filter.")).to_be_visible()
    await page.go_back()
    await expect(row(page, "plain").locator(".state")).to_have_text("paused")
    await page.get_by_role("group", name="Steer the whole fleet").get_by_role("button", name="Resume").click()
    await yes(page, "Resume 3 agents?", "Resume 3")
    await expect(row(page, "plain").locator(".state")).to_have_text("online")
    assert (await rig.hub.agent("ada"))["state"] == "online"


async def seen_closely(rig: Rig, page: Page, held: str) -> None:
    """An agent's own page, and its end there."""
    await row(page, "plain").get_by_role("link", name="plain").click()
    await expect(page.get_by_role("heading", name="plain")).to_be_visible()
    await expect(page.get_by_text("digest 1.2.0")).to_be_visible()
    await expect(page.get_by_text("site=north")).to_be_visible()
    async with rig.hub.http() as http:
        await http.post("/api/tasks", json={"description": "fly away", "needed_capabilities": ["fly"]})
    idle = page.locator("#agent-idle")
    await expect(idle).to_contain_text("What waits needs a capability that it lacks")
    await expect(idle.get_by_role("link", name="fly away")).to_be_visible()
    await page.go_back()
    await row(page, "ada").get_by_role("link", name="ada").click()
    await expect(page.locator("#agent-held")).to_contain_text("Compare three routers")
    await expect(page.locator("#agent-success")).to_contain_text("1 of 1")
    await expect(idle).to_contain_text("It is not idle")
    await expect(page.locator("#agent-visits tbody tr")).to_have_count(1)


async def test_an_agent_is_drained_and_shut_out_on_its_own_page(rig: Rig) -> None:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("ada"))
    card = {"labels": {"site": "south", "host": "build-7"}, "plugins": ["digest", "briefing"], "slots": 2}
    await peer.identify("ada", plugin_versions={"digest": "1.2.0"}, capabilities=["web", "shell"], **card)
    for text in ("Summarise the news", "W" * 300):
        await rig.hub.push("ada", text)
    visit = await rig.visit(path="/agents/ada")
    page = visit.page
    await expect(page.locator("#agent-held li")).to_have_count(2)
    await looks_right(visit, "agent-busy")
    await reads_well(visit, "agent")
    await works_by_keyboard(visit, "agent")
    await page.get_by_role("button", name="Drain").click()
    await yes(page, "Drain ada?", "Drain")
    await expect(page.locator(".page-head .state")).to_have_text("draining")
    await expect(page.get_by_role("note")).to_contain_text("it finishes what it has")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator(".page-head .state")).to_have_text("online")
    await page.get_by_role("button", name="Revoke tokens").click()
    await yes(page, "Revoke the tokens of ada?", "Revoke")
    code, _ = await peer.closed()
    assert code == 4401
    await expect(page.locator(".page-head .state")).to_have_text("offline")
    visits = page.locator("#agent-visits tbody tr")
    await expect(visits).to_have_count(1)
    await expect(visits).to_contain_text("4401")
    await expect(page.get_by_role("button", name="Disconnect")).to_have_count(0)
    rig.complaints.forgive(r"404 \(Not Found\)")  # the browser logs what the page asked for
    await visit.go("/agents/nobody%20here")
    await expect(page.get_by_text("No agent of that name has ever connected.")).to_be_visible()


async def test_who_may_not_steer_sees_the_fleet_without_the_means(rig: Rig) -> None:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("ada"))
    await peer.identify("ada")
    for role in ("viewer", "dispatcher"):
        visit = await rig.visit(role, path="/agents")
        await expect(row(visit.page, "ada")).to_contain_text("online")
        await expect(visit.page.get_by_role("button", name="Pause")).to_have_count(0)
        await row(visit.page, "ada").get_by_role("link").click()
        await expect(visit.page.get_by_role("heading", name="Connections")).to_be_visible()
        for word in ("Pause", "Drain", "Disconnect", "Revoke tokens"):
            await expect(visit.page.get_by_role("button", name=word)).to_have_count(0)


async def test_of_hundreds_of_agents_only_those_in_sight_are_drawn(rig: Rig) -> None:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("agent-000"))
    await peer.identify("agent-000")
    one = await rig.hub.agent("agent-000")
    many = [one | {"agent_id": f"agent-{n:03}"} for n in range(MANY)]

    async def crowded(route: Route) -> None:
        await route.fulfill(
            status=200, content_type="application/json", body=json.dumps({"agents": many, "count": MANY})
        )

    visit = await rig.visit("viewer")
    await visit.page.route("**/api/agents", crowded)
    await visit.go("/agents")
    rows = visit.page.locator(".agent-row")
    await expect(visit.page.get_by_role("button", name=f"all {MANY}")).to_be_visible()
    await expect(rows.first).to_be_visible()
    assert await rows.count() <= DRAWN_MAX
    await visit.page.get_by_role("group", name="Agents", exact=True).focus()
    await visit.page.keyboard.press("End")
    await expect(row(visit.page, f"agent-{MANY - 1}")).to_be_visible()
    assert await rows.count() <= DRAWN_MAX
    await visit.page.get_by_label("Filter", exact=True).fill("agent-25")
    await expect(rows).to_have_count(10)
