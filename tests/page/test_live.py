"""The Live view: lanes in time, a feed that waits for whoever reads it, nothing a critical person finds."""

from __future__ import annotations

from playwright.async_api import expect

from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar
from tests.system.processes import connected, ended


async def test_a_fresh_page_says_what_to_do_next_and_looks_right(rig: Rig) -> None:
    visit = await rig.visit()
    await expect(visit.page.get_by_text("sidecar connect --agent-id")).to_be_visible()
    await expect(visit.page.get_by_text("hub push alice")).to_be_visible()
    await looks_right(visit, "live-empty")
    await reads_well(visit, "live-empty")
    await works_by_keyboard(visit, "live-empty")


async def test_a_page_that_is_opened_late_shows_what_has_just_happened(rig: Rig) -> None:
    """Once each, in its place before all that comes after."""
    for n in range(3):
        await rig.hub.push("nobody", f"early {n}", queue=True)
    visit = await rig.visit("viewer")
    rows = visit.page.locator("#feed li").filter(has_text="task_queued")
    await expect(rows).to_have_count(3)
    await rig.hub.push("nobody", "late", queue=True)
    await expect(rows).to_have_count(4)
    await expect(rows.first).to_contain_text("late")
    await expect(rows.last).to_contain_text("early 0")


async def test_work_is_seen_in_lanes_and_feed_and_looks_right(rig: Rig, sidecar: StartSidecar) -> None:
    visit = await rig.visit("viewer")
    for name in ("ada", "an-agent-with-a-name-that-is-rather-long-for-a-lane"):
        await sidecar(name)
        await connected(rig.hub, name)
        for text in ("Summarise the news", "W" * 300, "Compare three routers for a small office"):
            task = await rig.hub.push(name, text)
            await ended(rig.hub, task["task_id"])
    lanes = visit.page.locator("#fleet .lane")
    await expect(lanes).to_have_count(2)
    await expect(lanes.first.locator(".bar-in-time[data-state=completed]")).to_have_count(3)
    newest = visit.page.locator("#feed li").first
    await expect(newest).to_contain_text("task_complete")
    await expect(newest).to_contain_text("Compare three routers")
    await looks_right(visit, "live")
    await reads_well(visit, "live")
    await works_by_keyboard(visit, "live")


async def test_the_feed_waits_while_somebody_reads_and_says_how_much_is_new(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    for n in range(40):
        await rig.hub.push("nobody", f"task {n}", queue=True)
    feed = visit.page.locator(".feed")
    rows = visit.page.locator("#feed li")
    await expect(rows.first).to_contain_text("task 39")
    await feed.evaluate("(box) => { box.scrollTop = 400; }")
    await expect(visit.page.locator("#resume")).to_have_text("Newest")
    seen = await rows.nth(10).inner_text()
    for n in range(40, 43):
        await rig.hub.push("nobody", f"task {n}", queue=True)
    await expect(visit.page.locator("#resume")).to_have_text("3 new")
    assert await rows.nth(10).inner_text() == seen, "what is being read stays where it is"
    await visit.page.locator("#resume").click()
    await expect(rows.first).to_contain_text("task 42")
    await expect(visit.page.locator("#resume")).to_have_count(0)


async def test_the_feeds_filters_are_in_the_address_and_come_back_with_it(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    page = visit.page
    await rig.hub.push("nobody", "about the sea", queue=True)
    await rig.hub.push("nobody", "about the hills", queue=True)
    rows = page.locator("#feed li")
    await expect(rows).to_have_count(2)
    await page.get_by_label("Filter").fill("sea")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Kind of event").select_option("agents")
    await expect(page.get_by_text("Nothing fits the filter.")).to_be_visible()
    assert page.url.endswith("/?q=sea&kind=agents")
    await page.go_back()
    await expect(rows).to_have_count(1)
    await expect(page.get_by_label("Kind of event")).to_have_value("")
    await page.reload()
    await expect(page.get_by_label("Filter")).to_have_value("sea")
    await rig.hub.push("nobody", "about the sea again", queue=True)
    await rig.hub.push("nobody", "about the hills again", queue=True)
    await expect(rows).to_have_count(1)


async def test_the_keys_lead_everywhere_and_are_listed(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    page = visit.page
    await expect(page.locator("#live")).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Filter")).to_be_focused()
    await page.keyboard.press("Escape")
    for key, path in (("t", "/tasks"), ("f", "/agents"), ("l", "/")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page.locator("nav [aria-current=page]")).to_have_attribute("href", path)
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_contain_text("Go to Tasks")
    await expect(dialog).not_to_contain_text("Go to Push")  # a viewer cannot
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


async def test_a_theme_that_was_chosen_stays_and_outdoes_the_machines(rig: Rig) -> None:
    visit = await rig.visit("viewer", theme="dark")
    page = visit.page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    button = page.get_by_role("button", name="Theme")
    await button.click()
    await button.click()
    await expect(button).to_have_attribute("aria-label", "Theme: light")
    light = await page.evaluate(ground)
    assert light != dark
    await page.reload()
    await expect(button).to_have_attribute("aria-label", "Theme: light")
    assert await page.evaluate(ground) == light
    await button.click()
    await expect(button).to_have_attribute("aria-label", "Theme: auto")
    assert await page.evaluate(ground) == dark


async def test_who_may_only_look_is_not_shown_how_to_act(rig: Rig) -> None:
    visit = await rig.visit("viewer", path="/push")
    await expect(visit.page.get_by_text("Push is for a dispatcher")).to_be_visible()
    await expect(visit.page.get_by_role("navigation").get_by_text("Push")).to_have_count(0)


async def test_an_address_of_no_view_and_the_login_look_right(rig: Rig) -> None:
    rig.complaints.forgive(r"404 \(Not Found\)")  # of the task that nobody has
    visit = await rig.stranger()
    await visit.go("/tasks/none?x=1")
    await expect(visit.page.get_by_role("heading", name="Log in to Crewhub")).to_be_visible()
    await looks_right(visit, "login")
    await reads_well(visit, "login")
    await visit.page.get_by_label("Token").fill(rig.hub.admin_token)
    await visit.page.get_by_role("button", name="Log in").click()
    await expect(visit.page.locator("#main")).to_be_visible()
    assert visit.page.url.endswith("/tasks/none?x=1"), "one is where one wanted to go"
