"""The Dead letters view: kinds of failure, their tasks, and running again one, all of a kind, or none."""

from __future__ import annotations

import re
from typing import Any, Final

from playwright.async_api import Locator, Page, expect

from tests.hub.conftest import HubProcess
from tests.hub.peers import V2Peer
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig

HOSTILE: Final = "<script>alert(1)</script> \u202eecho\n" + "W" * 600
ATTEMPTS: Final = 2
BODY: Final[dict[str, Any]] = {
    "assign_to": "ada",
    "plugin": "digest",
    "attempts_max": ATTEMPTS,
    "backoff": {"first_ms": 1, "max_ms": 1},
}
PAGES: Final = tuple(f"no page {n} at https://example.org/{n}" for n in range(3))


class Failing:
    """An agent that fails whatever it is given, in words of ours."""

    def __init__(self, hub: HubProcess) -> None:
        self.hub = hub
        self.ids: list[str] = []
        self.seq = 0

    async def fail(self, *errors: str) -> None:
        """A new task for each, as often as it may be tried."""
        peer = await V2Peer.dial(self.hub.ws_address, token=await self.hub.token("ada"))
        peer.seq = self.seq
        await peer.identify("ada", plugins=["digest"])
        async with self.hub.http() as http:
            for error in errors:
                body = BODY | {"description": f"read {len(self.ids)}"}
                self.ids.append((await http.post("/api/tasks", json=body)).json()["task_id"])
                for _ in range(ATTEMPTS):
                    assigned = await peer.hear("task_assign")
                    accepted = peer.fact("task_accepted", assigned)
                    await peer.say(
                        accepted, peer.fact("task_failed", assigned, error=error, retry_after_ms=1)
                    )
                await self.hub.becomes(self.ids[-1], "dead_letter")
        self.seq = peer.seq
        await peer.hang_up()


async def counts(hub: HubProcess) -> dict[str, int]:
    async with hub.http() as http:
        states: dict[str, int] = (await http.get("/api/tasks/stats")).json()["states"]
    return {state: count for state, count in states.items() if count}


def kind(page: Page, error: str) -> Locator:
    return page.locator(".kind", has_text=error)


async def test_failures_stand_by_kind_and_new_ones_do_not_move_what_is_read(rig: Rig) -> None:
    visit = await rig.visit("viewer", path="/dead")
    page = visit.page
    await expect(page.get_by_text("No dead letters.")).to_be_visible()
    await expect(page.locator("code", has_text="hub dead list --group")).to_be_visible()
    await looks_right(visit, "dead-empty")
    agent = Failing(rig.hub)
    await agent.fail(*PAGES, HOSTILE)
    kinds = page.locator(".kind")
    await expect(kinds).to_have_count(2)  # by themselves: there was nothing to move
    pages = kind(page, "no page 2")
    await expect(pages.locator(".kind-count")).to_have_text("3")
    await expect(pages).to_contain_text("attempts used up")
    await expect(pages).to_contain_text("the work itself")
    await expect(pages).to_contain_text("digest")
    await expect(page.get_by_text("4 tasks of 2 kinds")).to_be_visible()

    await pages.get_by_role("button", expanded=False).press("Enter")
    await expect(pages.locator(".letter")).to_have_count(3)
    await expect(pages.locator(".letter").first).to_contain_text("no page 2")
    await expect(pages.locator(".letter").last).to_contain_text("read 0")
    await expect(page).to_have_url(re.compile(r"/dead\?open=[0-9a-f]+$"))
    hostile = kind(page, "<script>alert(1)</script>")
    await expect(hostile).to_contain_text("\\u202eecho")
    await expect(page.get_by_role("button", name=re.compile("Run|Purge"))).to_have_count(0)
    await page.reload()
    await expect(pages.locator(".letter")).to_have_count(3)
    await hostile.get_by_role("button", expanded=False).click()
    await expect(pages.locator(".letter")).to_have_count(0)
    await page.go_back()
    await expect(pages.locator(".letter")).to_have_count(3)

    first = await kinds.first.inner_text()
    await agent.fail("no page 9 at https://example.org/9", "out of paper")
    await expect(page.get_by_role("button", name="1 new kind")).to_be_visible()
    await expect(pages.locator(".kind-count")).to_have_text("4")
    await expect(pages.locator(".letter")).to_have_count(4)
    assert (await kinds.first.inner_text())[:40] == first[:40], "what is read stays where it is"
    await page.get_by_role("button", name="1 new kind").click()
    await expect(kinds.first).to_contain_text("out of paper")


async def test_one_is_run_again_then_the_rest_of_its_kind_and_none_twice(rig: Rig) -> None:
    agent = Failing(rig.hub)
    await agent.fail(*PAGES, "out of paper")
    visit = await rig.visit("dispatcher", path="/dead")
    page = visit.page
    dialog = page.get_by_role("dialog")
    pages = kind(page, "no page")
    await pages.get_by_role("button", expanded=False).click()
    letter = page.locator(f".letter[data-task='{agent.ids[1]}']")
    await letter.get_by_role("button", name="Run again").click()
    await expect(page.get_by_text("It runs again as a new task.")).to_be_visible()
    again = letter.get_by_role("link", name="Was run again")
    new_id = (await again.get_attribute("href") or "").removeprefix("/tasks/")
    assert (await rig.hub.task(new_id))["retry_of"] == agent.ids[1]
    await expect(pages).to_contain_text("1 of 3")
    assert await counts(rig.hub) == {"dead_letter": 4, "queued": 1}

    await pages.get_by_role("button", name="Run all 2 again…").click()
    await expect(dialog).to_contain_text("Run again 2 tasks?")
    await looks_right(visit, "dead-bulk")
    await dialog.get_by_role("button", name="Run again 2 tasks").click()
    await expect(page.get_by_text("2 tasks queued again.")).to_be_visible()
    await expect(pages.get_by_role("link", name="Was run again")).to_have_count(3)
    await expect(pages.get_by_role("button", name="again…")).to_be_disabled()
    assert await counts(rig.hub) == {"dead_letter": 4, "queued": 3}

    await page.get_by_role("button", name="Run all again…").click()
    await dialog.get_by_role("button", name="Run again 1 task", exact=True).click()
    await expect(page.get_by_text("1 task queued again.")).to_be_visible()
    assert await counts(rig.hub) == {"dead_letter": 4, "queued": 4}
    await expect(page.get_by_role("button", name="Purge")).to_have_count(0)  # that is an admin's
    await pages.get_by_role("link", name="All of them on Tasks").click()
    await expect(page.locator(".task-row")).to_have_count(3)


async def test_an_admin_purges_a_kind_after_it_was_counted(rig: Rig) -> None:
    agent = Failing(rig.hub)
    await agent.fail(*PAGES, HOSTILE, "out of paper")
    await rig.hub.push("nobody", "later", queue=True)  # the newest task of all is never purged
    visit = await rig.visit("admin", path="/dead")
    page = visit.page
    dialog = page.get_by_role("dialog")
    pages = kind(page, "no page")
    await pages.get_by_role("button", expanded=False).click()
    await expect(pages.locator(".letter")).to_have_count(3)
    await looks_right(visit, "dead")
    await reads_well(visit, "dead")
    await page.reload()
    await expect(pages.locator(".letter")).to_have_count(3)
    await works_by_keyboard(visit, "dead")
    await pages.get_by_role("button", name="Purge…").click()
    await expect(dialog).to_contain_text("Purge 3 tasks?")
    await expect(dialog).to_contain_text("Nothing brings them back.")
    await page.keyboard.press("Escape")
    assert (await counts(rig.hub))["dead_letter"] == 5
    await pages.get_by_role("button", name="Purge…").click()
    await dialog.get_by_role("button", name="Purge 3 tasks").click()
    await expect(page.get_by_text("3 tasks purged.")).to_be_visible()
    await expect(page.locator(".kind")).to_have_count(2)
    assert (await counts(rig.hub))["dead_letter"] == 2
    await page.get_by_role("button", name="Purge all…").click()
    await dialog.get_by_role("button", name="Purge 2 tasks").click()
    await expect(page.get_by_text("No dead letters.")).to_be_visible()
