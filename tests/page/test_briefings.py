"""Runs and briefings: started from a form, read, found again by their address, and run by the clock."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.hub.askers import BRIEFING, DIGEST, failed, worked
from tests.hub.peers import V2Peer
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig

pytestmark = pytest.mark.timeout(180)

ATTACK = "<img src=x onerror=alert(1)> \u202etxt \x1b[2J " + "W" * 200
HOSTILE = {"summary": ATTACK, "sections": [{"title": ATTACK, "content": ATTACK}]}


async def agent(rig: Rig) -> V2Peer:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("ada"))
    await peer.identify("ada", plugins=[DIGEST, "elsewhere"])
    return peer


async def run_asked(rig: Rig, user_id: int, *topics: str) -> dict[str, Any]:
    async with rig.hub.http() as http:
        settings = {"topics": list(topics), "summary_length": "short"}
        answer = await http.post(
            f"/api/plugins/{DIGEST}/runs", json={"user_id": user_id, "settings": settings}
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


def card(page: Page, text: str) -> Any:
    return page.locator(".briefing-card", has_text=text)


async def test_a_run_is_started_from_the_form_followed_and_read(rig: Rig) -> None:
    peer = await agent(rig)
    visit = await rig.visit("dispatcher", path="/briefings")
    page = visit.page
    await expect(page.get_by_text("No briefing yet.")).to_be_visible()
    await looks_right(visit, "briefings-empty")
    await page.get_by_role("link", name="Start a run").click()
    await page.get_by_label("Plugin").select_option(DIGEST)
    await expect(page.get_by_label("Length")).to_have_value("1")
    await looks_right(visit, "briefings-new")
    await reads_well(visit, "briefings-new")
    await works_by_keyboard(visit, "briefings-new")
    start = page.get_by_role("button", name="Start", exact=True)
    await page.get_by_label("For user").fill("seven")
    await start.click()
    await expect(page.get_by_text("A whole number from 0 is needed.")).to_be_visible()
    await expect(page.get_by_label("For user")).to_be_focused()
    await page.get_by_label("For user").fill("7")
    await judged_by_the_hub(rig, page, '{"topics": [], "summary_length": "short", "x": 1}')
    faults = page.locator(".settings-form .field-error")
    await expect(faults.filter(has_text="topics: must have at least 1 entries")).to_be_visible()
    await expect(faults.filter(has_text="x: is not a setting")).to_be_visible()
    await page.get_by_label("Settings as JSON").fill('{"topics": ["space"], "summary_length": "short"}')
    await page.get_by_role("button", name="As JSON").click()
    await expect(page.get_by_label("Topics")).to_have_value("space")
    await start.click()
    await page.wait_for_url("**/briefings/*-*")
    await followed_to_its_end(peer, page)
    await looks_right(visit, "briefing")
    await reads_well(visit, "briefing")
    await works_by_keyboard(visit, "briefing")
    await page.get_by_role("button", name="Run again").click()
    await expect(page.get_by_text("the same within half an hour is one run")).to_be_visible()
    await page.get_by_role("link", name="Its task").click()
    await page.wait_for_url("**/tasks/task-*")


async def judged_by_the_hub(rig: Rig, page: Page, settings: str) -> None:
    """What is written as JSON the hub judges, and the form has not looked at."""
    rig.complaints.forgive(r"422 \(Unprocessable")
    await page.get_by_role("button", name="As JSON").click()
    await page.get_by_label("Settings as JSON").fill(settings)
    await page.get_by_role("button", name="Start", exact=True).click()


async def followed_to_its_end(peer: V2Peer, page: Page) -> None:
    assigned = await peer.hear("task_assign")
    assert assigned["inputs"] == {"topics": ["space"], "summary_length": "short"}
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.say({"type": "task_progress", "task_id": assigned["task_id"], "progress": 40,
                    "generation": assigned["generation"], "message": "the writer writes"})  # fmt: skip
    await expect(page.get_by_text("the writer writes")).to_be_visible()
    await expect(page.get_by_role("progressbar")).to_have_attribute("value", "40")
    await peer.say(peer.fact("task_complete", assigned, result=BRIEFING))
    article = page.get_by_role("article", name="Briefing")
    await expect(article).to_contain_text("All is well.")
    await expect(article.get_by_role("heading", name="Space")).to_be_visible()


async def test_lists_follow_what_happens_and_show_what_is_hostile_as_text(rig: Rig) -> None:
    peer = await agent(rig)
    await run_asked(rig, 1, "space")
    await worked(peer, BRIEFING)
    visit = await rig.visit("viewer", path="/briefings")
    page = visit.page
    await expect(card(page, "All is well.")).to_be_visible()
    await expect(page.get_by_role("link", name="Start a run")).to_have_count(0)
    await run_asked(rig, 2, "the sea")
    await worked(peer, HOSTILE)
    await expect(card(page, "<img src=x onerror=alert(1)>")).to_be_visible()
    await looks_right(visit, "briefings")
    await reads_well(visit, "briefings")
    await page.get_by_role("link", name="Runs", exact=True).click()
    rows = page.locator(".run-row")
    await expect(rows).to_have_count(2)
    await run_asked(rig, 3, "hills")
    await failed(peer, ATTACK)
    await run_asked(rig, 4, "ice")
    await peer.hear("task_assign")
    await run_asked(rig, 5, "fog")
    await expect(rows).to_have_count(5)
    await expect(rows.nth(2)).to_contain_text("failed")
    await looks_right(visit, "runs")
    await reads_well(visit, "runs")
    await works_by_keyboard(visit, "runs")
    await peer.hang_up()


async def test_the_filters_of_runs_come_back_by_their_address(rig: Rig) -> None:
    peer = await agent(rig)
    for user_id, result in ((1, BRIEFING), (2, HOSTILE)):
        await run_asked(rig, user_id, "space")
        await worked(peer, result)
    await run_asked(rig, 3, "hills")
    await failed(peer, ATTACK)
    visit = await rig.visit("viewer", path="/briefings?show=runs")
    page, rows = visit.page, visit.page.locator(".run-row")
    await expect(rows).to_have_count(3)
    await page.get_by_label("Status").select_option("completed")
    await expect(rows).to_have_count(2)
    await page.get_by_label("User").fill("2")
    await page.get_by_label("User").press("Enter")
    await expect(rows).to_have_count(1)
    assert page.url.endswith("/briefings?show=runs&status=completed&user=2")
    await page.reload()
    await expect(rows).to_have_count(1)
    await expect(page.get_by_label("Status")).to_have_value("completed")
    await rows.get_by_role("link").click()
    await expect(page.get_by_role("article")).to_contain_text("<img src=x onerror=alert(1)> \\u202etxt")
    await looks_right(visit, "briefing-hostile")
    await page.go_back()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Clear").click()
    await expect(rows).to_have_count(3)
    await page.get_by_label("Plugin").fill("nothing")
    await page.get_by_label("Plugin").press("Enter")
    await expect(page.get_by_text("Nothing fits the filter.")).to_be_visible()
    rig.complaints.forgive("404")
    await visit.go("/briefings/none")
    await expect(page.get_by_role("alert")).to_contain_text("There is no run with that id")


async def test_a_schedule_is_made_from_the_form_and_the_hubs_refusals_stand_at_its_fields(rig: Rig) -> None:
    await agent(rig)
    visit = await rig.visit("dispatcher", path="/briefings?show=schedules")
    page = visit.page
    await expect(page.get_by_text("Nothing runs by the clock.")).to_be_visible()
    await page.get_by_role("link", name="Schedule", exact=True).click()
    await page.get_by_label("Plugin").select_option(DIGEST)
    await page.get_by_label("Topics").fill("space")
    await page.get_by_label("For user").fill("9")
    await page.get_by_label("When").fill("99 * * * *")
    rig.complaints.forgive(r"422 \(Unprocessable")
    make = page.get_by_role("button", name="Schedule", exact=True)
    await make.click()
    await expect(page.locator("#run-cron-about .field-error")).to_contain_text("99")
    await expect(page.get_by_label("When")).to_be_focused()
    await looks_right(visit, "schedules-new")
    await reads_well(visit, "schedules-new")
    await page.get_by_role("button", name="weekdays at 7").click()
    await page.get_by_label("By the clock of").fill("Nowhere/Land")
    await make.click()
    await expect(page.locator("#run-zone-about .field-error")).to_contain_text("Nowhere/Land")
    await page.get_by_label("By the clock of").fill("Europe/Berlin")
    await make.click()
    row = page.locator(".schedule")
    await expect(row).to_contain_text("0 7 * * 1-5")
    await expect(row).to_contain_text("Europe/Berlin")
    await expect(row).to_contain_text('{"topics":["space"],"summary_length":"medium"}')


async def test_a_schedule_is_paused_resumed_run_now_and_deleted(rig: Rig) -> None:
    peer = await agent(rig)
    async with rig.hub.http() as http:
        settings = {"topics": ["space"], "summary_length": "medium"}
        body = {"user_id": 9, "settings": settings, "cron": "0 7 * * 1-5", "zone": "Europe/Berlin"}
        assert (await http.post(f"/api/plugins/{DIGEST}/schedules", json=body)).status_code == 201
    visit = await rig.visit("dispatcher", path="/briefings?show=schedules")
    page, row = visit.page, visit.page.locator(".schedule")
    await expect(row).to_contain_text("next in")
    await looks_right(visit, "schedules")
    await reads_well(visit, "schedules")
    await works_by_keyboard(visit, "schedules")
    await row.get_by_role("button", name="Pause").click()
    await expect(row.get_by_text("paused")).to_be_visible()
    await row.get_by_role("button", name="Run now").click()
    assigned = await worked(peer, BRIEFING)
    assert assigned["inputs"] == {"topics": ["space"], "summary_length": "medium"}
    await row.get_by_role("button", name="Resume").click()
    await expect(row).to_contain_text("next in")
    await row.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete this schedule?")
    await dialog.get_by_role("button", name="Back").click()
    await expect(row.get_by_role("button", name="Delete")).to_be_focused()
    await row.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("Nothing runs by the clock.")).to_be_visible()
    viewer = await rig.visit("viewer", path="/briefings?show=schedules&new=schedule")
    await expect(viewer.page.get_by_text("Nothing runs by the clock.")).to_be_visible()
    await expect(viewer.page.get_by_role("button", name="Schedule")).to_have_count(0)
