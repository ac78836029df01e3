"""The whole page: every view for every role, what a viewer's cookie may not do, a restart of the hub."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from playwright.async_api import Page, Response, expect

from hub.api.routes import DOCUMENTED
from hub.auth import LEAST_ROLE
from hub.web.pages import PAGES
from tests.page.rig import Rig
from tests.page.test_stream import live, watchers
from tests.system.conftest import StartSidecar
from tests.system.processes import connected, ended

FIRST_PAINT_BYTES_MAX: Final = 100_000
ROLES: Final = ("viewer", "dispatcher", "admin")

DO: Final = """async ([method, path, headers]) => {
  const answer = await fetch(path, { method, headers, body: method === "GET" ? undefined : "{}" });
  return [answer.status, await answer.text()];
}"""
OWN_PAGE: Final = {"content-type": "application/json", "x-hub-csrf": "1"}

CARRIED: Final = """() => {
  const files = performance.getEntriesByType("resource").filter((one) => one.name.includes("/web/"));
  const all = [performance.getEntriesByType("navigation")[0], ...files];
  const sum = (what) => all.reduce((whole, one) => whole + one[what], 0);
  return { files: files.map((one) => new URL(one.name).pathname).sort(), sent: sum("encodedBodySize"),
    whole: sum("decodedBodySize"), fetched: files.filter((one) => one.transferSize > 0).length };
}"""
"""What this opening of the page needed, by the browser's own account; what it had is not fetched."""


async def addresses(rig: Rig) -> dict[str, str]:
    """Every address at which the page opens, with the id of something that is there."""
    task = await rig.hub.push("ada", "Summarise the news")
    await ended(rig.hub, task["task_id"])
    own = {"/agents/{id}": "/agents/ada", "/tasks/{id}": f"/tasks/{task['task_id']}"}
    return {path: own.get(path, path) for path in PAGES if path != "/briefings/{id}"}


async def is_open(page: Page) -> None:
    """A view stands there: one heading of the first rank, and nothing that still loads or has failed."""
    await expect(page.locator("main h1")).to_have_count(1)
    await expect(page.get_by_text("This view could not be fetched")).to_have_count(0)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)


def refusals_of(page: Page) -> list[str]:
    """What the page asks for and is refused, from now on."""
    refused: list[str] = []

    def note(answer: Response) -> None:
        if answer.status >= 400:
            refused.append(answer.url)

    page.on("response", note)
    return refused


async def test_every_view_opens_for_every_role_under_the_policy_and_complains_of_nothing(
    rig: Rig, sidecar: StartSidecar
) -> None:
    """By its address, and by the way that the navigation shows; the rig hears of every complaint."""
    await sidecar("ada")
    await connected(rig.hub, "ada")
    places = await addresses(rig)
    for role in ROLES:
        visit = await rig.visit(role)
        page = visit.page
        refused = refusals_of(page)
        for place in places.values():
            answer = await page.goto(rig.hub.address + place)
            assert answer is not None
            policy = (await answer.all_headers())["content-security-policy"]
            assert "default-src 'none'; script-src 'self'" in policy, place
            assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy, place
            if place == "/push" and role == "viewer":
                await expect(page.get_by_text("Push is for a dispatcher")).to_be_visible()
            else:
                await is_open(page)
        await page.goto(rig.hub.address)
        links = page.locator("#nav a")
        for n in range(await links.count()):
            await links.nth(n).click()
            await expect(links.nth(n)).to_have_attribute("aria-current", "page")
            await is_open(page)
        assert not refused, f"a {role}'s page asks for what it is refused: {refused}"


async def test_a_viewers_cookie_does_nothing_that_a_viewer_may_not_and_no_cookie_acts_for_another_site(
    rig: Rig,
) -> None:
    """By direct calls from the page, around everything that it does not show."""
    visit = await rig.visit("viewer")
    await live(visit)
    rig.complaints.forgive(r"status of 403")
    beyond = [row for row in DOCUMENTED if row.needs and LEAST_ROLE[row.needs] != "viewer"]
    writing = [row for row in beyond if row.method != "GET"]
    assert len(writing) > 25
    for row in beyond:
        path = re.sub(r"\{[^}]+\}", "ada", row.path)
        status, body = await visit.page.evaluate(DO, [row.method, path, OWN_PAGE])
        assert status == 403, (row.method, path, status)
        assert json.loads(body)["detail"], "it says what is missing"
    admin = await rig.visit("admin")
    for headers in ({"content-type": "application/json"}, {"content-type": "text/plain", "x-hub-csrf": "1"}):
        for row in writing:
            path = re.sub(r"\{[^}]+\}", "ada", row.path)
            status, _ = await admin.page.evaluate(DO, [row.method, path, headers])
            assert status == 403, (row.method, path, headers, status)
    async with rig.hub.http() as http:
        assert (await http.get("/api/tasks")).json()["count"] == 0


async def test_the_first_paint_is_small_and_nothing_comes_twice(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    await live(visit)
    first: dict[str, Any] = await visit.page.evaluate(CARRIED)
    assert first["sent"] < FIRST_PAINT_BYTES_MAX, first
    assert first["whole"] > 2 * first["sent"], "it comes compressed"
    await visit.go("/")
    await live(visit)
    second: dict[str, Any] = await visit.page.evaluate(CARRIED)
    assert (second["files"], second["fetched"]) == (first["files"], 0), "files of a version are kept"
    known = await visit.page.evaluate(
        "async (tag) => (await fetch('/', {cache: 'no-store', headers: {'if-none-match': tag}})).status",
        await visit.page.evaluate("async () => (await fetch('/')).headers.get('etag')"),
    )
    assert known == 304


async def test_a_restart_under_open_views_costs_no_row_and_one_tab_reads_for_all(
    rig: Rig, sidecar: StartSidecar
) -> None:
    """Live, Tasks, Task and Fleet, a tab each: all go on where they were, also when the reader leaves."""
    await sidecar("ada")
    await connected(rig.hub, "ada")
    first = await rig.hub.push("ada", "before the restart")
    await ended(rig.hub, first["task_id"])
    queued = await rig.hub.push("bob", "waits for bob", queue=True)
    tabs = [await rig.visit("dispatcher")]
    await live(tabs[0])
    for path in ("/tasks?q=the+restart", f"/tasks/{queued['task_id']}", "/agents"):
        tabs.append(await tabs[0].tab())
        await tabs[-1].go(path)
        await live(tabs[-1])
    feed, tasks, task, fleet = (tab.page for tab in tabs)
    assert await watchers(rig) == 1
    await expect(tasks.locator(".task-row")).to_have_count(1)
    await expect(fleet.locator(".agent-row")).to_have_count(1)

    rig.stop(is_killed=True)
    for tab in tabs:
        await expect(tab.page.locator("#lamp")).to_have_attribute("data-state", "off")
    rig.start()
    for tab in tabs:
        await live(tab)
    await connected(rig.hub, "ada")
    await rig.hub.push("nobody", "after the restart", queue=True)
    await sidecar("bob")
    await ended(rig.hub, queued["task_id"])
    await expect(feed.locator("#feed li", has_text="after the restart")).to_have_count(1)
    ends = feed.locator("#feed li").filter(has_text="task_complete")
    await expect(ends.filter(has_text="waits for bob")).to_have_count(1)
    await expect(task.locator("#task-state")).to_have_text("completed")
    await expect(fleet.locator(".agent-row")).to_have_count(2)
    newer = tasks.get_by_role("button", name=re.compile("new task"))
    await expect(newer.or_(tasks.locator(".task-row").nth(1))).to_be_visible()
    assert await watchers(rig) == 1

    await feed.close()
    last = await rig.hub.push("ada", "read by another tab")
    await ended(rig.hub, last["task_id"])
    await expect(fleet.locator('[data-agent="ada"]')).to_contain_text("ada")
    await live(tabs[3])
    await tasks.get_by_label("Text").fill("read by another tab")
    await expect(tasks.locator(".task-row .state")).to_have_text("completed")
    assert await watchers(rig) == 1
