"""What a run asks becomes a form on its task's page, and what the hub refuses is said beside it."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page, Route, expect

from tests.hub.peers import V2Peer
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.test_page import agent
from tests.system.test_page_story import Run

REFUSED = r"status of (409|422)"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "size", "colour", "sure"],
    "properties": {
        "name": {"type": "string", "title": "Its name", "maxLength": 20, "description": "As people say it."},
        "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "colour": {"enum": [f"colour {n}" for n in range(12)]},
        "sure": {"type": "boolean", "title": "Are you sure?"},
        "notes": {"type": "string", "title": "Notes"},
        "more": {"type": "array", "items": {"type": "string"}},
    },
}


async def asking(rig: Rig, ada: V2Peer, prompt: str, schema: Any = None) -> tuple[Run, Page]:
    """A run that asks, on the page of a dispatcher."""
    pushed = await rig.hub.push("ada", "Name it")
    run = await Run.accepted(ada)
    more = {} if schema is None else {"schema": schema}
    await run.fact("input_required", request_id=f"{pushed['task_id']}-1", prompt=prompt, **more)
    visit = await rig.visit("dispatcher", path=f"/tasks/{pushed['task_id']}")
    await expect(visit.page.locator("#question")).to_contain_text(prompt)
    return run, visit.page


async def answered(ada: V2Peer, run: Run) -> Any:
    """What the run hears; it says that it has it."""
    heard = await ada.hear("task_input")
    await run.fact("input_ack", request_id=heard["request_id"])
    return heard["value"]


async def test_each_member_of_the_schema_is_a_field_and_faults_are_said_at_once(rig: Rig) -> None:
    rig.complaints.forgive(REFUSED)
    ada = await agent(rig.hub, "ada")
    run, page = await asking(rig, ada, "What shall it be?", SCHEMA)
    visit = rig.visits[-1]
    await looks_right(visit, "task-form")
    await reads_well(visit, "task-form")
    await works_by_keyboard(visit, "task-form")
    await expect(page.get_by_label("size")).to_have_value("3")
    send = page.get_by_role("button", name="Answer", exact=True)
    await page.get_by_label("more").fill("[1,")
    await send.click()
    faults = page.locator("#question .field-error")
    await expect(faults).to_have_count(3)
    await expect(faults.last).to_contain_text("That is not JSON")
    await page.get_by_label("Its name").fill("Ida")
    await page.get_by_label("size").fill("12")
    await page.get_by_label("colour").select_option("colour 7")
    await page.get_by_role("radio", name="No").check()
    await page.get_by_label("more").fill('["a"]')
    await send.click()
    await expect(page.locator("#answer-refused")).to_contain_text("value.size must be at most 9")
    await expect(page.get_by_label("Its name")).to_have_value("Ida")
    await page.get_by_label("size").fill("9")
    await send.click()
    assert await answered(ada, run) == {
        "name": "Ida", "size": 9, "colour": "colour 7", "sure": False, "more": ["a"],
    }  # fmt: skip
    await expect(page.locator("#question")).to_have_count(0)
    await expect(page.locator("#task-state")).to_have_text("running")


async def test_who_was_not_the_first_to_answer_is_told(rig: Rig) -> None:
    rig.complaints.forgive(REFUSED)
    ada = await agent(rig.hub, "ada")
    run, page = await asking(rig, ada, "Say something")

    async def overtaken(route: Route) -> None:
        async with rig.hub.http() as client:
            body = {**(route.request.post_data_json or {}), "value": "the other one"}
            assert (await client.post(route.request.url, json=body)).is_success
        await route.continue_()

    await page.route("**/input", overtaken)
    await page.get_by_label("Answer", exact=True).fill("mine")
    await page.get_by_role("button", name="Answer", exact=True).click()
    assert await answered(ada, run) == "the other one"
    await expect(page.locator("#question")).to_have_count(0)
    await expect(page.locator(".note")).to_contain_text("already")
