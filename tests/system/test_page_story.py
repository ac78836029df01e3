"""A task's story on the page, in a real Chromium: nested as it happened, live, and text stays text."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Locator, expect

from tests.hub.conftest import HubProcess
from tests.hub.peers import Said, V2Peer
from tests.system.test_page import HOSTILE, PATIENCE_MS, Visit, agent, browser, visit

__all__ = ["browser", "visit"]

LINES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("crew", "digest began: 2 tasks", {"id": 1, "parent": None, "state": "began"}),
    ("task", "Task 1/2: research", {"id": 2, "parent": 1, "state": "began"}),
    ("agent", "Researcher began", {"id": 3, "parent": 2, "state": "began"}),
    ("tool", f"Researcher uses {HOSTILE}", {"id": 4, "parent": 3, "state": "began"}),
    ("tool", "search answered", {"id": 4, "parent": 3, "state": "ended", "ms": 1500}),
    ("model", "Researcher is thinking", {"id": 5, "parent": 3, "state": "began"}),
    ("chunk", "I wonder.", {"parent": 5, "call": "c1", "agent": "Researcher", "thought": True}),
    ("chunk", "The sea ", {"parent": 5, "call": "c1", "agent": "Researcher"}),
    ("chunk", f"is blue {HOSTILE}", {"parent": 5, "call": "c1", "agent": "Researcher"}),
)
BRIEFING = {"summary": "A calm week.", "sections": [{"title": "Sea", "content": "It was blue."}]}


class Run:
    """What an agent tells of the task it has taken."""

    def __init__(self, peer: V2Peer, assigned: Said) -> None:
        self.peer = peer
        self.assigned = assigned
        self.n = 0

    @classmethod
    async def accepted(cls, peer: V2Peer) -> Run:
        assigned = await peer.hear("task_assign")
        await peer.say(peer.fact("task_accepted", assigned))
        return cls(peer, assigned)

    async def tell(self, *lines: tuple[str, str, dict[str, Any]], level: str = "info") -> None:
        own = {"task_id": self.assigned["task_id"], "generation": self.assigned["generation"], "level": level}
        for kind, text, about in lines:
            self.n += 1
            line = {"type": "task_log", "n": self.n, "kind": kind, "text": text, "data": about}
            await self.peer.say({**line, **own})

    async def pass_by(self, kind: str, **more: Any) -> None:
        own = {"task_id": self.assigned["task_id"], "generation": self.assigned["generation"]}
        await self.peer.say({"type": kind, **own, **more})

    async def fact(self, kind: str, **more: Any) -> None:
        await self.peer.say(self.peer.fact(kind, self.assigned, **more))


def steps_of(visit: Visit) -> Locator:
    return visit.page.locator("#story-steps")


async def shows(where: Locator, text: str) -> None:
    await expect(where).to_contain_text(text, timeout=PATIENCE_MS)


async def test_a_story_is_nested_as_it_happened_and_grows_while_it_goes(
    hub: HubProcess, visit: Visit
) -> None:
    visit.page.on("dialog", lambda dialog: visit.dialogs.append(dialog.message))
    await visit.log_in(hub, await hub.token(role="viewer"))
    ada = await agent(hub, "ada")
    await hub.push("ada", "Summarise the news")
    run = await Run.accepted(ada)
    await run.tell(*LINES)
    steps = steps_of(visit)
    inner = "li[data-kind=crew] > ul > li[data-kind=task] > ul > li[data-kind=agent] > ul > li"
    await shows(
        steps.locator(f"{inner}[data-kind=tool] > .words"), "Researcher uses <img src=x onerror=alert(1)>"
    )
    await shows(steps.locator(f"{inner}[data-kind=tool] > .mark"), "done in 1.5 s")
    await shows(steps.locator(f"{inner}[data-kind=model] > ul > li[data-kind=chunk]"), "The sea is blue <img")
    await expect(steps.locator(f"{inner} li[data-kind=thought]")).to_have_text(
        "I wonder.", timeout=PATIENCE_MS
    )
    await shows(visit.page.locator("#story-title"), "Summarise the news")
    await run.pass_by("task_usage", tokens_in=120, tokens_out=30)
    await run.pass_by("task_progress", progress=45, message="Task 1/2: research")
    await shows(visit.page.locator("#story-tokens"), "120 tokens in, 30 out")
    await shows(visit.page.locator("#story-message"), "Task 1/2: research")
    await expect(visit.page.locator("#story-progress")).to_have_js_property("value", 45, timeout=PATIENCE_MS)
    assert await visit.page.locator("#feed li", has_text="The sea").count() == 0, (
        "what a model says is no row"
    )
    await run.fact("task_complete", result=BRIEFING)
    await shows(visit.page.locator("#story-result h3"), "Sea")
    await shows(visit.page.locator("#story-about"), "completed · ada")
    assert await visit.page.locator("#story img").count() == 0
    assert not visit.dialogs
    assert not visit.complaints


async def test_a_question_is_shown_with_how_to_answer_it(hub: HubProcess, visit: Visit) -> None:
    await visit.log_in(hub, hub.admin_token)
    ada = await agent(hub, "ada")
    await hub.push("ada", "Release it")
    run = await Run.accepted(ada)
    await run.tell(LINES[0])
    task_id = run.assigned["task_id"]
    asked = visit.page.locator("#story-question")
    await run.fact("input_required", request_id=f"{task_id}-1", prompt=HOSTILE)
    await shows(asked, "It asks: <img src=x onerror=alert(1)>")
    await shows(asked.locator("code"), f'hub tasks answer {task_id} "…"')
    async with hub.http() as client:
        told = await client.post(
            f"/api/tasks/{task_id}/input", json={"request_id": f"{task_id}-1", "value": "yes"}
        )
        assert told.status_code == 200, told.text
    await ada.hear("task_input")
    await run.fact("input_ack", request_id=f"{task_id}-1")
    await expect(asked).to_be_hidden(timeout=PATIENCE_MS)
    assert not visit.complaints


async def test_a_story_that_began_before_anybody_looked_is_whole_and_its_gaps_are_shown(
    hub: HubProcess, visit: Visit
) -> None:
    """L62, L103"""
    ada = await agent(hub, "ada")
    pushed = await hub.push("ada", "Began long ago", attempts_max=2)
    run = await Run.accepted(ada)
    await run.tell(*LINES[:3])
    await visit.log_in(hub, hub.admin_token)
    await visit.page.goto(f"{hub.address}/?task={pushed['task_id']}")
    await visit.page.reload()
    steps = steps_of(visit)
    await run.tell(LINES[3])
    await shows(steps, "Researcher uses")
    await shows(steps.locator("li[data-kind=crew] > ul > li[data-kind=task] > ul > li"), "Researcher began")
    run.n += 4
    await run.tell(("task", "Task 2/2: write", {"id": 9, "parent": 1, "state": "began"}))
    await shows(steps, "— 4 lines are missing here —")
    await shows(steps, "Task 2/2: write")
    await run.tell(("task", "write failed: no ink", {"id": 9, "parent": 1, "state": "failed"}), level="error")
    failed = steps.locator("li[data-state=failed] > .words")
    await expect(failed).to_have_text("write failed: no ink", timeout=PATIENCE_MS)
    await run.fact("task_failed", error="no ink", retryable=True)
    again = await Run.accepted(ada)
    await again.tell(("resumed", "Resumed at task 2/2", {"id": 1, "parent": None}))
    await shows(steps, "— another attempt —")
    await shows(steps, "Resumed at task 2/2")
    await shows(visit.page.locator("#story-about"), "attempt 2 of 2")
    assert not visit.complaints


async def test_a_story_is_chosen_by_its_task_left_with_back_and_closed_for_good(
    hub: HubProcess, visit: Visit
) -> None:
    await visit.log_in(hub, hub.admin_token)
    ada = await agent(hub, "ada", slots=2)
    await hub.push("ada", "The first")
    first = await Run.accepted(ada)
    await hub.push("ada", "The second")
    second = await Run.accepted(ada)
    await first.tell(LINES[0])
    title = visit.page.locator("#story-title")
    await shows(title, "The first")
    await visit.page.locator("#feed").get_by_role("link", name="The second").first.click()
    await shows(title, "The second")
    assert visit.page.url.endswith(f"?task={second.assigned['task_id']}")
    await visit.page.locator("#feed").get_by_role("link", name="The first").first.click()
    await shows(title, "The first")
    await visit.page.go_back()
    await shows(title, "The second")
    await visit.page.get_by_role("button", name="Close").click()
    await expect(visit.page.locator("#story")).to_be_hidden(timeout=PATIENCE_MS)
    await first.tell(LINES[1])
    await shows(visit.page.locator("#feed"), "Task 1/2: research")
    await expect(visit.page.locator("#story")).to_be_hidden(timeout=PATIENCE_MS)
    width = await visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    assert not visit.complaints
