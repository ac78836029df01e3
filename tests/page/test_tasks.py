"""The Tasks view: filters in the address, pages that stay still, rows that live, many steered at once."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from playwright.async_api import Locator, Page, expect

from tests.hub.conftest import HubProcess
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar
from tests.system.processes import connected, ended, in_state

HOSTILE: Final = "<img src=x onerror=alert(1)> \u202ereversed " + "W" * 400
PAGE: Final = 50


async def push(hub: HubProcess, *bodies: dict[str, Any]) -> list[str]:
    """Tasks for whoever can, in this order."""
    async with hub.http() as http:
        answer = await http.post("/api/tasks/batch", json={"tasks": list(bodies)})
        assert answer.is_success, answer.text
        return [item["task_id"] for item in answer.json()["items"]]


async def counts(hub: HubProcess) -> dict[str, int]:
    async with hub.http() as http:
        states: dict[str, int] = (await http.get("/api/tasks/stats")).json()["states"]
    return {state: count for state, count in states.items() if count}


def rows(page: Page) -> Locator:
    return page.locator(".task-row")


def chip(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="By state").get_by_role("link", name=name)


async def some_work(hub: HubProcess) -> list[str]:
    labels = {"site": "north", "area": "garden", "year": "2030"}
    return await push(
        hub,
        {"description": "paint the fence", "priority": "high", "labels": labels},
        {"description": "mow the lawn", "labels": {"site": "south"}, "plugin": "garden"},
        {"description": HOSTILE, "assign_to": "ada", "run_at": 4_000_000_000_000},
        {"description": "paint the door", "priority": "urgent", "needed_capabilities": ["paint"]},
    )


async def test_tasks_come_by_themselves_and_look_right(rig: Rig) -> None:
    visit = await rig.visit(path="/tasks")
    page = visit.page
    await expect(page.get_by_text("No task was pushed yet.")).to_be_visible()
    await expect(page.locator("code", has_text="hub push alice")).to_be_visible()
    await looks_right(visit, "tasks-empty")
    ids = await some_work(rig.hub)
    await expect(rows(page)).to_have_count(4)
    await expect(rows(page).first).to_contain_text("paint the door")
    await expect(rows(page).nth(1)).to_contain_text("<img src=x onerror=alert(1)> \\u202ereversed")
    async with rig.hub.http() as http:
        await http.post(f"/api/tasks/{ids[1]}/cancel")
    await expect(rows(page).nth(2).locator(".state")).to_have_text("cancelled")  # where it was
    await expect(chip(page, "queued 3")).to_be_visible()
    await looks_right(visit, "tasks")
    await reads_well(visit, "tasks")
    await works_by_keyboard(visit, "tasks")


async def test_the_filters_are_the_address_and_come_back_with_it(rig: Rig) -> None:
    await some_work(rig.hub)
    visit = await rig.visit("viewer", path="/tasks")
    page = visit.page
    await chip(page, "queued").click()
    await page.keyboard.press("/")
    await page.keyboard.type("paint ")
    await expect(rows(page)).to_have_count(2)
    await expect(page.get_by_label("Text")).to_have_value("paint ")
    await page.get_by_label("Priority").select_option("high")
    await expect(rows(page)).to_have_count(1)
    assert page.url.endswith("/tasks?state=queued&q=paint+&priority=high")
    label = page.get_by_label("Label")
    await label.fill("north")
    await label.press("Enter")
    await expect(page.get_by_text("A label is written name=value.")).to_be_visible()
    await label.fill("site=north")
    await label.press("Enter")
    await expect(page.get_by_text("A label is written name=value.")).to_have_count(0)
    await expect(rows(page)).to_have_count(1)
    await page.get_by_label("Plugin").fill("none-such")
    await page.get_by_label("Plugin").press("Enter")
    await expect(page.get_by_text("No task fits these filters.")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("No task fits these filters.")).to_be_visible()
    await expect(label).to_have_value("site=north")
    await page.go_back()
    await page.go_back()
    await expect(label).to_have_value("north")
    await page.go_back()
    await page.go_back()
    await expect(page.get_by_label("Priority")).to_have_value("")
    await expect(rows(page)).to_have_count(2)


async def test_who_may_only_look_opens_and_exports_and_steers_nothing(rig: Rig) -> None:
    ids = await some_work(rig.hub)
    visit = await rig.visit("viewer", path="/tasks?q=paint&fingerprint=0123")
    page = visit.page
    await page.get_by_role("button", name="kind of failure: 0123").click()
    await rows(page).first.get_by_role("link", name="paint the door").click()
    await expect(page).to_have_url(re.compile(f"/tasks/{ids[3]}$"))
    await page.go_back()
    await expect(rows(page)).to_have_count(2)
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Export").click()
    exported = (await (await downloading.value).path()).read_bytes().splitlines()
    assert [msgspec.json.decode(line)["task_id"] for line in exported] == [ids[3], ids[0]]
    await expect(page.get_by_role("checkbox")).to_have_count(0)
    await expect(page.get_by_role("button", name=re.compile("Cancel|Run"))).to_have_count(0)
    await page.get_by_role("button", name="Clear").click()
    await expect(rows(page)).to_have_count(4)
    rig.complaints.forgive("422")
    await visit.go("/tasks?state=nonsense")
    await expect(page.get_by_role("alert")).to_contain_text("Expected one of queued")


async def test_pages_stay_as_they_are_until_somebody_turns_them(rig: Rig) -> None:
    await push(rig.hub, *({"description": f"task {n}"} for n in range(2 * PAGE + 5)))
    visit = await rig.visit("viewer", path="/tasks")
    page = visit.page
    pages = page.get_by_role("navigation", name="Pages")
    await expect(rows(page)).to_have_count(PAGE)
    await expect(rows(page).first).to_contain_text("task 104")
    await expect(pages.get_by_role("button", name="Newest")).to_be_disabled()
    await pages.get_by_role("button", name="Older").click()
    await expect(rows(page).first).to_contain_text("task 54")
    await page.keyboard.press("]")
    await expect(rows(page)).to_have_count(5)
    await expect(rows(page).last).to_contain_text("task 0")
    await expect(pages.get_by_role("button", name="Older")).to_be_disabled()
    await pages.get_by_role("button", name="Newer").click()
    await expect(rows(page).first).to_contain_text("task 54")
    await page.go_back()
    await expect(rows(page)).to_have_count(5)
    await page.reload()
    await expect(rows(page)).to_have_count(5)
    await pages.get_by_role("button", name="Newest").click()
    await expect(rows(page).first).to_contain_text("task 104")

    await push(rig.hub, {"description": "task 105"}, {"description": "task 106"})
    fresh = page.get_by_role("button", name="2 new tasks")
    await expect(fresh).to_be_visible()
    await expect(rows(page).first).to_contain_text("task 104")  # what is read stays where it is
    await fresh.click()
    await expect(rows(page).first).to_contain_text("task 106")
    await expect(fresh).to_have_count(0)
    await expect(rows(page)).to_have_count(PAGE)


async def test_a_row_follows_its_task_and_a_filtered_page_keeps_it(rig: Rig, sidecar: StartSidecar) -> None:
    visit = await rig.visit("viewer", path="/tasks?state=queued")
    page = visit.page
    task = await rig.hub.push("ada", "three steps", queue=True, metadata={"work": {"steps": 3, "pause_s": 2}})
    row = page.locator(f"[data-task='{task['task_id']}']")
    await expect(row).to_contain_text("waits for ada")
    await sidecar("ada")
    await connected(rig.hub, "ada")
    await expect(row.locator(".state")).to_have_text("running")
    await expect(row.get_by_role("progressbar")).to_be_visible()
    await expect(row).to_contain_text(re.compile(r"step [12]"))
    await ended(rig.hub, task["task_id"])
    await expect(row.locator(".state")).to_have_text("completed")
    await expect(row.get_by_role("progressbar")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_text("No task fits these filters.")).to_be_visible()


MARCH: Final = tuple({"description": f"march {n}", "labels": {"batch": "march"}} for n in range(8))
APRIL: Final = {"description": "april", "labels": {"batch": "april"}}


async def test_a_selection_is_counted_and_cancelled_with_the_one_that_runs(
    rig: Rig, sidecar: StartSidecar
) -> None:
    await sidecar("ada")
    await connected(rig.hub, "ada")
    held = await rig.hub.push("ada", "held", metadata={"work": {"steps": 1, "pause_s": 600}})
    await in_state(rig.hub, held["task_id"], "running")
    await push(rig.hub, *MARCH, APRIL)
    visit = await rig.visit("dispatcher", path="/tasks")
    page = visit.page
    dialog = page.get_by_role("dialog")
    await expect(rows(page)).to_have_count(10)
    everything = page.get_by_role("button", name=re.compile("all that fit"))
    assert await everything.count() == 0, "all the tasks of a hub are nobody's filter"
    for name in ("Select april", "Select march 7", "Select held"):
        await page.get_by_label(name).check()
    await expect(page.get_by_text("3 tasks selected")).to_be_visible()
    cancel = page.get_by_role("button", name="Cancel 3 tasks…")
    await cancel.press("Enter")
    await expect(dialog).to_contain_text("Cancel 3 tasks?")
    await expect(dialog).to_contain_text("april")
    await looks_right(visit, "tasks-bulk")
    await reads_well(visit, "tasks-bulk")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(cancel).to_be_focused()
    assert await counts(rig.hub) == {"queued": 9, "running": 1}, "Escape does nothing"
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Cancel 3 tasks").click()
    await expect(page.get_by_text("3 tasks cancelled, or being stopped.")).to_be_visible()
    await expect(page.locator(".task-row[data-state=cancelled]")).to_have_count(3)
    await expect(page.get_by_text("Select this page")).to_be_visible()
    assert (await counts(rig.hub))["cancelled"] == 3


async def test_what_fits_a_filter_is_cancelled_and_run_again_only_in_the_number_agreed_to(rig: Rig) -> None:
    await push(rig.hub, *MARCH, APRIL)
    visit = await rig.visit("dispatcher", path="/tasks?label=batch%3Dmarch")
    page = visit.page
    dialog = page.get_by_role("dialog")
    await expect(rows(page)).to_have_count(8)
    await page.get_by_role("button", name="Cancel all that fit").click()
    await expect(dialog).to_contain_text("Cancel 8 tasks?")
    await push(rig.hub, {"description": "march late", "labels": {"batch": "march"}})
    rig.complaints.forgive("409")
    await dialog.get_by_role("button", name="Cancel 8 tasks").click()
    await expect(dialog).to_contain_text("Cancel 9 tasks?")
    assert await counts(rig.hub) == {"queued": 10}, "another number than was agreed to does nothing"
    await dialog.get_by_role("button", name="Cancel 9 tasks").click()
    await expect(page.get_by_text("9 tasks cancelled, or being stopped.")).to_be_visible()
    assert await counts(rig.hub) == {"queued": 1, "cancelled": 9}

    again = page.get_by_role("button", name="Run all that fit again")
    await again.click()
    await dialog.get_by_role("button", name="Run again 9 tasks").click()
    await expect(page.get_by_text("9 tasks queued again.")).to_be_visible()
    assert await counts(rig.hub) == {"queued": 10, "cancelled": 9}
    await again.click()
    await expect(page.get_by_text("None of these is to be run again")).to_be_visible()
