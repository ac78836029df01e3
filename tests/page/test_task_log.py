"""A task's log on its page: it follows and waits, filters, downloads, stays light whatever is said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.page.looking import looks_right, reads_well
from tests.page.rig import Rig
from tests.system.test_page import HOSTILE, agent
from tests.system.test_page_story import Run

SHOWN_MAX = 80
"""Rows on the page at once: what is seen, and some to spare."""


def lines(first: int, last: int, kind: str = "output") -> list[tuple[str, str, dict[str, Any]]]:
    return [(kind, f"line {n}", {}) for n in range(first, last + 1)]


def row(page: Page, text: str) -> Locator:
    return page.locator("#log [role=option]", has_text=text)


async def saved(page: Page, item: str) -> str:
    """What the browser gets as a file."""
    await page.get_by_role("button", name="Download").click()
    async with page.expect_download() as begun:
        await page.get_by_role("button", name=item).click()
    place = await (await begun.value).path()
    return await asyncio.to_thread(Path(place).read_text)


async def test_the_log_follows_and_waits_for_whoever_reads(rig: Rig) -> None:
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Say a lot")
    run = await Run.accepted(ada)
    await run.tell(*lines(1, 60))
    page = (await rig.visit("viewer", path=f"/tasks/{pushed['task_id']}")).page
    log = page.locator("#log")
    await log.scroll_into_view_if_needed()
    await expect(row(page, "line 60")).to_be_in_viewport()
    await run.tell(*lines(61, 70))
    await expect(row(page, "line 70")).to_be_in_viewport()
    await log.evaluate("(box) => { box.scrollTop = 100; }")
    follow = page.locator("#log-follow")
    await expect(follow).to_have_text("Follow")
    await expect(row(page, "line 10")).to_be_visible()
    top = await log.evaluate("(box) => box.scrollTop")
    await run.tell(*lines(71, 75))
    await expect(follow).to_have_text("5 new")
    assert await log.evaluate("(box) => box.scrollTop") == top, "what is being read stays where it is"
    await follow.click()
    await expect(row(page, "line 75")).to_be_in_viewport()
    await expect(follow).to_have_count(0)
    await log.press("Home")
    await log.press("ArrowDown")
    await log.press("Enter")
    await expect(page.get_by_role("region", name="Text of the line")).to_have_text("line 2")
    await expect(follow).to_have_text("Follow")


async def test_the_log_is_filtered_in_the_address_and_saved_as_a_file(rig: Rig) -> None:
    ada = await agent(rig.hub, "ada")
    pushed = await rig.hub.push("ada", "Say a lot")
    run = await Run.accepted(ada)
    await run.tell(*lines(1, 75))
    await run.tell(("tool", "it burns", {"id": 7, "hot": True}), level="error")
    await run.tell(("chunk", "word ", {"call": "c"}), ("chunk", "by word", {"call": "c"}))
    visit = await rig.visit("viewer", path=f"/tasks/{pushed['task_id']}")
    page, counted = visit.page, visit.page.locator("#log-count")
    await expect(row(page, "word by word")).to_have_count(1)
    await page.get_by_label("Level").select_option("error")
    await expect(counted).to_have_text("1 of 77 lines")
    assert page.url.endswith("?level=error")
    only = await saved(page, "What is shown, as JSON lines")
    assert [json.loads(one)["data"] for one in only.splitlines()] == [{"id": 7, "hot": True}]
    await row(page, "it burns").click()
    await expect(page.get_by_role("group", name="Data of the line")).to_contain_text("hottrue")
    await page.get_by_label("Level").select_option("")
    await page.get_by_label("Text in the log").fill("LINE 7")
    await expect(counted).to_have_text("7 of 77 lines")
    await page.get_by_label("Kind of line").select_option("tool")
    await expect(page.get_by_text("No line fits the filter.")).to_be_visible()
    await page.go_back()
    await expect(counted).to_have_text("7 of 77 lines")
    await page.reload()
    await expect(counted).to_have_text("7 of 77 lines")
    await page.get_by_label("Text in the log").fill("")
    await looks_right(visit, "task-log")
    whole = (await saved(page, "Everything, as text")).splitlines()
    assert len(whole) == 77
    assert whole[0].endswith(" info output: line 1")
    assert whole[-1].endswith("said: word by word")
    told = [json.loads(one) for one in (await saved(page, "Everything, as JSON lines")).splitlines()]
    assert [one["n"] for one in told] == list(range(1, 79))


async def test_a_task_whose_text_is_an_attack_is_text(rig: Rig) -> None:
    """L47"""
    attack = f"<script>alert(1)</script>{HOSTILE}<iframe src=javascript:alert(1)>"
    name = "ada"
    ada = await agent(rig.hub, name)
    many = {f"<b>{n}</b>": {"deep": [attack, n]} for n in range(400)}
    deep: Any = attack
    for _ in range(60):
        deep = {"deep": deep}
    pushed = await rig.hub.push(
        name, f"{attack} {'W' * 4_000}", metadata={"x": many, "y": deep, "__proto__": {"z": 1}}
    )
    run = await Run.accepted(ada)
    await run.tell(
        ("crew", attack, {"id": 1, "parent": None, "state": "began", "arguments": attack}),
        (attack[:40], "W" * 65_000, {"parent": 1}),
        ("tool", f"{attack}\n" * 50, {"id": 2, "parent": 1, "state": "began", "t": 1e300}),
        ("tool", "x", {"id": 2, "parent": 2, "state": attack, "t": -1e300, "ms": -5}),
        ("log", "\u202eturned around \u0007", {"id": attack, "parent": {"odd": 1}, "state": 7, "ms": "soon"}),
    )
    await run.pass_by("task_progress", progress=33, message=attack)
    visit = await rig.visit("admin", path=f"/tasks/{pushed['task_id']}")
    page = visit.page
    await expect(page.locator("#progress-message")).to_contain_text("<script>alert(1)</script>")
    await expect(page.locator("#fall")).to_contain_text("<iframe")
    await row(page, "WWWW").click()
    opened = page.get_by_role("region", name="Text of the line")
    await expect(opened).to_contain_text("W" * 1_000)
    await expect(row(page, "\\u202eturned around \\u0007")).to_have_count(1)
    await looks_right(visit, "task-attack-running")
    schema = {
        "type": "object",
        "required": [attack],
        "properties": {attack: {"type": "string", "title": attack, "description": attack, "enum": [attack]}},
    }
    await run.fact("input_required", request_id=f"{pushed['task_id']}-1", prompt=attack, schema=schema)
    await expect(page.locator("#question")).to_contain_text("<script>alert(1)</script>")
    await looks_right(visit, "task-attack-asking")
    await run.fact(
        "task_complete",
        result={"summary": attack, "sections": [{"title": attack, "content": attack * 500}, 7, None]},
    )
    await expect(page.locator("#result")).to_contain_text("<script>alert(1)</script>")
    await looks_right(visit, "task-attack")
    await reads_well(visit, "task-attack")
    await page.get_by_role("button", name="As JSON").click()
    await page.locator("#result").get_by_role("button", name="0 2 members").click()
    await page.locator("#result").get_by_role("button", name="more characters").click()
    await looks_right(visit, "task-attack-json")
    assert await page.locator("#page :is(img, script, iframe, b b)").count() == 0
    shown = await page.locator("#page").inner_text()
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u0007") & set(shown)


MANY = """async () => {
  const main = document.querySelector("script[type=module]").getAttribute("src");
  const load = (name) => import(main.replace("main.js", name));
  const { keepLines, ROWS_MAX, CHARS_MAX } = await load("views/task/lines.js");
  const { Log } = await load("views/task/log.js");
  const { mount } = await load("lib/render.js");
  const frame = () => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  const box = document.createElement("div");
  document.body.append(box);
  const lines = keepLines();
  mount(box, Log, { lines, taskId: "t", isOver: false });
  const drawn = () => [...box.querySelectorAll("[role=option]")].map((one) => one.textContent);
  let n = 0, most = 0;
  function say(count, size = 0) {
    for (let i = 0; i < count; i += 1) {
      n += 1;
      const line = { n, generation: 1, timestamp: 1e12 + n, level: "info", kind: "output", data: null };
      lines.add({ ...line, text: `line ${n}${"x".repeat(size)}` });
    }
  }
  for (let round = 0; round < 100; round += 1) {
    say(500);
    await frame();
    most = Math.max(most, drawn().length);
  }
  const log = box.querySelector("#log");
  const end = drawn().at(-1);
  const short = log.scrollHeight - log.scrollTop - log.clientHeight;
  log.scrollTop = 600_000;
  await frame();
  await frame();
  const read = drawn()[10];
  say(10_000);
  await frame();
  await frame();
  const stays = drawn().includes(read);
  const kept = lines.rows.length, first = lines.rows[0].text;
  say(40, 1_000_000);
  const chars = lines.rows.reduce((all, one) => all + one.text.length, 0);
  box.remove();
  return { most, end, short, read, stays, kept, first, chars, ROWS_MAX, CHARS_MAX };
}"""


async def test_fifty_thousand_lines_are_a_few_rows_on_the_page(rig: Rig) -> None:
    visit = await rig.visit("viewer", path="/tasks")
    await expect(visit.page.locator("#main")).to_be_visible()
    found = await visit.page.evaluate(MANY)
    assert found["end"].endswith("line 50000")
    assert found["short"] <= 1, "it follows"
    assert found["most"] <= SHOWN_MAX
    assert found["stays"], "what is read stays in sight while the oldest lines leave"
    assert found["kept"] <= found["ROWS_MAX"] + 5_000
    assert found["first"] != "line 1", "the oldest go"
    assert found["chars"] <= found["CHARS_MAX"] + 1_000_100
