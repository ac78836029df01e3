"""A task's own page: its steps in time, its log, its question, how it ended, and what can be done with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Locator, Page, expect

from tests.hub.peers import V2Peer
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar  # noqa: F401
from tests.system.processes import connected, ended
from tests.system.test_page import HOSTILE, agent
from tests.system.test_page_story import BRIEFING, LINES, Run

UNKNOWN: Final = r"status of 404"


def row(page: Page, text: str) -> Locator:
    return page.locator("#fall [role=treeitem]", has_text=text)


async def test_the_work_of_a_task_is_seen_in_time_while_it_goes_on(rig: Rig) -> None:
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Summarise the news", attempts_max=2, metadata={"language": "en"})
    run = await Run.accepted(ada)
    await run.tell(*LINES)
    visit = await rig.visit("admin", path=f"/tasks/{pushed['task_id']}")
    page = visit.page
    await expect(page.locator("#task-title")).to_have_text("Summarise the news")
    await expect(page).to_have_title("Summarise the news · Crewhub")
    for text, level in (("Attempt 1 on ada", "1"), ("digest began", "2"), ("Task 1/2", "3"), ("Researcher began", "4")):
        await expect(row(page, text)).to_have_attribute("aria-level", level)
    await expect(row(page, "search answered").or_(row(page, "Researcher uses")).first).to_contain_text("1.5 s")
    await run.pass_by("task_progress", progress=45, message="Task 1/2: research")
    await run.pass_by("task_usage", tokens_in=120, tokens_out=30)
    await expect(page.locator("#progress")).to_have_js_property("value", 45)
    await expect(page.locator("#progress-message")).to_have_text("Task 1/2: research")
    await expect(page.locator("#task-tokens")).to_have_text("120 tokens in, 30 out")
    await looks_right(visit, "task-running")
    await reads_well(visit, "task-running")
    await works_by_keyboard(visit, "task-running")
    await run.fact("task_complete", result=BRIEFING)
    await expect(page.locator("#task-state")).to_have_text("completed")
    await expect(page.locator("#result h3")).to_have_text("Sea")
    await looks_right(visit, "task")
    await reads_well(visit, "task")
