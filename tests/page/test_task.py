"""A task's own page: its steps in time, why it waits, how it ended and with what proof, what can be done."""

from __future__ import annotations

import asyncio
import json
import os

from playwright.async_api import Locator, Page, expect

from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar
from tests.system.crews import CREWS
from tests.system.processes import connected, ended, in_state
from tests.system.test_page import agent
from tests.system.test_page_story import BRIEFING, LINES, Run

UNKNOWN = r"status of 404"


def step(page: Page, text: str) -> Locator:
    return page.locator("#fall [role=treeitem]", has_text=text)


async def test_the_work_of_a_task_is_seen_in_time_while_it_goes_on(rig: Rig) -> None:
    """L103"""
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Summarise the news", attempts_max=2, metadata={"language": "en"})
    run = await Run.accepted(ada)
    await run.tell(*LINES)
    visit = await rig.visit("admin", path=f"/tasks/{pushed['task_id']}")
    page = visit.page
    await expect(page.locator("#task-title")).to_have_text("Summarise the news")
    await expect(page).to_have_title("Summarise the news · Crewhub")
    levels = {"Attempt 1 on ada": "1", "digest began": "2", "Task 1/2": "3", "Researcher began": "4"}
    for text, level in {**levels, "Researcher uses": "5", "The sea is blue": "6"}.items():
        await expect(step(page, text)).to_have_attribute("aria-level", level)
    await expect(step(page, "Researcher uses")).to_contain_text("1.5 s")
    await run.pass_by("task_progress", progress=45, message="Task 1/2: research")
    await run.pass_by("task_usage", tokens_in=120, tokens_out=30)
    await expect(page.locator("#progress")).to_have_js_property("value", 45)
    await expect(page.locator("#progress-message")).to_have_text("Task 1/2: research")
    await expect(page.locator("#task-tokens")).to_have_text("120 tokens in, 30 out")
    await looks_right(visit, "task-running")
    await reads_well(visit, "task-running")
    await works_by_keyboard(visit, "task-running")
    await run.fact("task_failed", error="no ink", retryable=True)
    second = await Run.accepted(ada)
    await second.tell(("crew", "digest began: 2 tasks", {"id": 1, "parent": None, "state": "began"}))
    await expect(step(page, "Attempt 2 on ada")).to_have_attribute("aria-expanded", "true")
    await expect(step(page, "Attempt 1 on ada")).to_have_attribute("aria-expanded", "false")
    await expect(page.locator("#history")).to_contain_text("failed · no ink · again in")
    await second.fact("task_complete", result=BRIEFING)
    await expect(page.locator("#task-state")).to_have_text("completed")
    await expect(page.locator("#result h3")).to_have_text("Sea")
    await page.get_by_role("button", name="As JSON").click()
    await expect(page.locator("#result .json")).to_contain_text("summary")


async def test_the_tree_of_steps_is_walked_by_keys_and_each_is_shown_whole(rig: Rig) -> None:
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Summarise the news")
    run = await Run.accepted(ada)
    await run.tell(*LINES)
    page = (await rig.visit("viewer", path=f"/tasks/{pushed['task_id']}")).page
    await expect(step(page, "The sea is blue")).to_be_visible()
    tree = page.locator("#fall")
    await tree.focus()
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowLeft"):
        await tree.press(key)
    await expect(step(page, "Task 1/2")).to_have_attribute("aria-expanded", "false")
    await expect(step(page, "Researcher began")).to_have_count(0)
    await tree.press("ArrowRight")
    await expect(step(page, "Researcher began")).to_be_visible()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        await tree.press(key)
    await expect(page.get_by_role("region", name="What it says")).to_contain_text("Researcher uses <img")
    chosen = await tree.get_attribute("aria-activedescendant")
    await expect(page.locator(f"#{chosen}")).to_have_attribute("aria-selected", "true")
    await tree.press("ArrowLeft")
    await tree.press("End")
    await tree.press("Enter")
    await expect(page.get_by_role("region", name="What it says")).to_contain_text("The sea is blue <img")
    await page.get_by_role("button", name="Close the step").click()
    await expect(tree).to_be_focused()


async def test_a_real_crew_is_seen_nested_and_its_question_is_answered_on_its_page(
    rig: Rig, sidecar: StartSidecar
) -> None:
    await sidecar("ada", words=CREWS)
    await connected(rig.hub, "ada")
    pushed = await rig.hub.push(
        "ada", "May 1.4.0 go out?", plugin="release-check", inputs={"version": "1.4.0"}
    )
    await in_state(rig.hub, pushed["task_id"], "input_required")
    looking = (await rig.visit("viewer", path=f"/tasks/{pushed['task_id']}")).page
    await expect(looking.locator("#question")).to_contain_text("A dispatcher can answer")
    await expect(looking.get_by_role("button", name="Cancel")).to_have_count(0)
    visit = await rig.visit("dispatcher", path=f"/tasks/{pushed['task_id']}")
    page = visit.page
    await expect(page.get_by_role("radio")).to_have_count(2)
    await looks_right(visit, "task-question")
    await reads_well(visit, "task-question")
    await works_by_keyboard(visit, "task-question")
    await page.get_by_role("button", name="Answer", exact=True).click()
    await expect(page.locator("#question .field-error")).to_have_text("Choose one.")
    await page.get_by_role("radio", name="hold").check()
    await page.get_by_role("button", name="Answer", exact=True).click()
    await expect(page.locator("#task-state")).to_have_text("completed")
    await expect(page.locator("#question")).to_have_count(0)
    await expect(page.locator("#result")).to_contain_text("hold")
    depth = await page.locator("#fall [role=treeitem]").evaluate_all(
        "(all) => Math.max(...all.map((one) => Number(one.getAttribute('aria-level'))))"
    )
    assert depth >= 5, "attempt, crew, task, agent, call"
    await expect(page.locator("#history")).to_contain_text("asks a person")
    await expect(page.locator("#history")).to_contain_text("answered")
    await looks_right(visit, "task")
    await reads_well(visit, "task")


async def test_a_run_is_cancelled_and_the_proof_that_it_stopped_is_shown(
    rig: Rig, sidecar: StartSidecar
) -> None:
    await sidecar("ada")
    await connected(rig.hub, "ada")
    work = {"steps": 6000, "pause_s": 0.1}
    pushed = await rig.hub.push("ada", "Count to six thousand", metadata={"work": work})
    visit = await rig.visit("dispatcher", path=f"/tasks/{pushed['task_id']}")
    page = visit.page
    await expect(page.locator("#progress-message")).to_contain_text("step")
    await page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel this task?")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await page.get_by_role("button", name="Cancel").click()
    await dialog.get_by_role("button", name="Cancel it").click()
    await expect(page.locator("#task-state")).to_have_text("cancelled")
    proof = page.locator("#proof")
    await expect(proof).to_contain_text("It was told to terminate, and did.")
    await expect(proof).to_contain_text("Signals sentTERM")
    await expect(proof).to_contain_text("Still alivenone")
    await expect(page.locator("#history")).to_contain_text("told to stop")
    await looks_right(visit, "task-cancelled")
    await reads_well(visit, "task-cancelled")


async def test_while_the_proof_is_awaited_the_page_says_so(rig: Rig) -> None:
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Stop me")
    run = await Run.accepted(ada)
    page = (await rig.visit("dispatcher", path=f"/tasks/{pushed['task_id']}")).page
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Cancel it").click()
    await ada.hear("task_cancel")
    await expect(page.locator("#ending")).to_contain_text("ada was told to stop.")
    await expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()
    await run.fact(
        "task_stopped", how="killed", proof={"signals": ["TERM", "KILL"], "reaped": 3, "survivors": 0}
    )
    await expect(page.locator("#proof")).to_contain_text("It did not listen and was killed.")
    await expect(page.locator("#proof")).to_contain_text("TERM → KILL")
    await expect(page.locator("#proof")).to_contain_text("Processes ended3")


async def test_what_failed_runs_again_as_a_new_task_that_names_the_first(rig: Rig) -> None:
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Try it", metadata={"n": 1})
    run = await Run.accepted(ada)
    await run.fact("task_failed", error="no ink\nin the pen", retryable=False)
    await ended(rig.hub, pushed["task_id"])
    page = (await rig.visit("dispatcher", path=f"/tasks/{pushed['task_id']}")).page
    await expect(page.locator("#ending")).to_contain_text("no ink\nin the pen")
    await expect(page.get_by_role("link", name="Clone")).to_have_attribute(
        "href", f"/push?clone={pushed['task_id']}"
    )
    await page.get_by_role("button", name="Run again").click()
    earlier = page.get_by_role("link", name="an earlier one")
    await expect(earlier).to_have_attribute("href", f"/tasks/{pushed['task_id']}")
    again = page.url.rsplit("/", 1)[1]
    assert again != pushed["task_id"]
    assert (await rig.hub.task(again))["retry_of"] == pushed["task_id"]
    await earlier.click()
    await expect(page.locator("#ending")).to_contain_text("no ink")
    await page.go_back()
    await expect(earlier).to_be_visible()


async def test_the_command_that_is_copied_pushes_the_same_once_more_and_holds_no_token(rig: Rig) -> None:
    text = """it's "quoted" $HOME `id` \u202e\\"""
    first = await rig.hub.push("nobody", text, queue=True, metadata={"o'clock": [1, "$(id)"]})
    visit = await rig.visit("viewer", path=f"/tasks/{first['task_id']}")
    await visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit.page.get_by_role("button", name="Copy").click()
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.get_by_role("button", name="Copy")).to_be_focused()
    await visit.page.keyboard.press("ArrowDown")
    await visit.page.get_by_role("button", name="curl that pushes").click()
    await expect(visit.page.locator(".note")).to_contain_text("Copied")
    command = await visit.page.evaluate("navigator.clipboard.readText()")
    assert rig.hub.admin_token not in command
    assert "\u202e" not in command, "no sign turns the line around in the terminal it is pasted into"
    run = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        env={**os.environ, "HUB_TOKEN": rig.hub.admin_token},
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await run.communicate()
    again = await rig.hub.task(json.loads(answer)["task_id"])
    assert (again["description"], again["assign_to"]) == (text, "nobody")
    assert again["metadata"] == {"o'clock": [1, "$(id)"]}


async def test_why_it_does_not_run_is_asked_again_by_itself(rig: Rig) -> None:
    async with rig.hub.http() as client:
        answer = await client.post(
            "/api/tasks", json={"description": "Paint it", "needed_capabilities": ["paint"]}
        )
        task_id = answer.json()["task_id"]
    visit = await rig.visit("viewer", path=f"/tasks/{task_id}")
    why = visit.page.locator("#why")
    await expect(why).to_contain_text("sidecar connect --agent-id")
    await looks_right(visit, "task-waiting")
    await reads_well(visit, "task-waiting")
    await agent(rig.hub, "ada")
    await expect(why).to_contain_text("lacks a capability that is needed: ada")
    bob = await agent(rig.hub, "bob", capabilities=["paint"])
    await Run.accepted(bob)
    await expect(why).to_have_count(0)
    await expect(visit.page.locator("#task-state")).to_have_text("running")


async def test_an_id_that_no_task_has_is_said_and_leads_on(rig: Rig) -> None:
    rig.complaints.forgive(UNKNOWN)
    visit = await rig.visit("viewer", path="/tasks/task-0000000000000000")
    await expect(visit.page.get_by_role("heading", name="There is no such task")).to_be_visible()
    await looks_right(visit, "task-unknown")
    await reads_well(visit, "task-unknown")
    await visit.page.get_by_role("link", name="All tasks").click()
    await expect(visit.page).to_have_url(f"{rig.hub.address}/tasks")
