"""Push: a plugin's schema is the form, what the hub refuses stands at its field, the commands do the same."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.hub.conftest import ROOT, HubProcess, hub_process
from tests.hub.peers import V2Peer
from tests.page.looking import looks_right, reads_well, works_by_keyboard
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar
from tests.system.crews import CREWS, DIGEST
from tests.system.processes import QUICK, connected, ended

__all__ = ["hub_process"]

PUSH = "Push"
NASTY = "it's $(touch pwned) `touch pwned` \"; touch pwned # \\ 100% \x1b]0;gone\x07 \u202etxt\nand on"
"""As a stranger may write it. A shell must see one word, and a terminal nothing that steers it."""

ODDS: dict[str, Any] = {
    "title": "Odds and ends",
    "type": "object",
    "$defs": {"name": {"type": "string", "title": "A name", "maxLength": 5}},
    "properties": {
        "name": {"$ref": "#/$defs/name"},
        "count": {"title": "Count", "type": "integer", "minimum": 2, "maximum": 9, "multipleOf": 2},
        "ratio": {"title": "Ratio", "type": "number", "exclusiveMinimum": 0},
        "mode": {"title": "Mode", "enum": ["quick", 7, None]},
        "loud": {"title": "Loud", "type": "boolean"},
        "parts": {"title": "Parts", "type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 1},
        "lines": {"title": "Lines", "type": "array", "items": {"type": "string", "maxLength": 4},
                  "uniqueItems": True},
        "slow": {"title": "Slow", "type": "string", "pattern": "^(a+)+$"},
        "shape": {"title": "Shape", "anyOf": [{"type": "string"}, {"type": "object"}]},
        "<b>bold</b>": {"type": "string", "description": "<script>alert(1)</script>"},
        "_secret": {"type": "string"},
    },
    "required": ["count", "parts"],
    "default": {"mode": 7, "lines": ["one"]},
}  # fmt: skip


@pytest.fixture
def hub(hub_process: HubProcess) -> HubProcess:
    """A hub that was given no plugins: what it shows of them, agents have told."""
    hub_process.start(**QUICK)
    return hub_process


async def telling(rig: Rig, agent_id: str, **schemas: Any) -> V2Peer:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token(agent_id))
    await peer.identify(agent_id, plugins=list(schemas), plugin_schemas=schemas, capabilities=["briefing"])
    return peer


async def pushed(rig: Rig, page: Page) -> dict[str, Any]:
    """The task whose page the form has led to."""
    await page.get_by_role("button", name=PUSH, exact=True).click()
    await page.wait_for_url("**/tasks/task-*")
    return await rig.hub.task(page.url.rsplit("/", 1)[1])


async def test_a_stranger_finds_the_form_of_a_plugin_and_lands_on_its_task(
    rig: Rig, sidecar: StartSidecar
) -> None:
    await sidecar("crew", words=CREWS)
    await connected(rig.hub, "crew")
    visit = await rig.visit("dispatcher", path="/push")
    page = visit.page
    await expect(page.get_by_text("1 agent is connected.")).to_be_visible()
    await page.get_by_label("Agent", exact=True).fill("crew")
    await expect(page.get_by_text("1 of 1 slot free")).to_be_visible()
    await page.get_by_label("Plugin").select_option(DIGEST)
    await expect(page.get_by_text("Offered by crew · version 1.0.0")).to_be_visible()
    await expect(page.get_by_label("Length")).to_have_value("1")
    assert page.url.endswith(f"/push?agent=crew&plugin={DIGEST}")
    await looks_right(visit, "push")
    await reads_well(visit, "push")
    await works_by_keyboard(visit, "push")
    await page.get_by_role("button", name=PUSH, exact=True).click()
    topics = page.get_by_label("Topics")
    await expect(topics).to_be_focused()
    await expect(page.get_by_text("At least one line is needed.")).to_be_visible()
    await looks_right(visit, "push-faults")
    await topics.fill("tides\nthe sea")
    await page.get_by_label("Length").select_option("short")
    task = await pushed(rig, page)
    assert task["inputs"] == {"topics": ["tides", "the sea"], "summary_length": "short"}
    assert (task["description"], task["assign_to"]) == ("Daily news digest", "crew")
    done = await ended(rig.hub, task["task_id"])
    assert done["state"] == "completed"
    assert done["result"]["sections"], done


async def test_every_kind_of_setting_has_its_field_and_what_is_none_is_json(rig: Rig) -> None:
    await telling(rig, "ada", odds=ODDS)
    visit = await rig.visit("dispatcher", path="/push?to=any&plugin=odds")
    page = visit.page
    settings = page.locator(".settings-form")
    button = page.get_by_role("button", name=PUSH, exact=True)
    await expect(page.get_by_label("Lines")).to_have_value("one")
    await expect(page.get_by_label("Mode")).to_have_value("1")
    await expect(settings.get_by_text("<script>alert(1)</script>")).to_be_visible()
    await expect(settings.get_by_text("_secret")).to_have_count(0)
    await button.click()
    await expect(page.get_by_label("Count")).to_be_focused()
    for label, wrong, fault in (
        ("Count", "1", "It must be at least 2."),
        ("Count", "10", "It must be at most 9."),
        ("Count", "5", "It must be a multiple of 2."),
        ("Count", "4.5", "A whole number is needed."),
        ("Ratio", "0", "It must be above 0."),
        ("A name", "abcdef", "At most 5 characters; this is 6."),
        ("Lines", "one\none", "One of them is there twice."),
        ("Lines", "one\nabcde", "abcde: At most 4 characters; this is 5."),
        ("Shape", "{", "That is not JSON"),
    ):
        await page.get_by_label(label).fill(wrong)
        await expect(settings.get_by_text(fault)).to_be_visible()
    await page.get_by_label("Slow").fill("a" * 60 + "!")
    await page.get_by_label("Count").fill("4")
    await page.get_by_label("Ratio").fill("0.5")
    await page.get_by_label("A name").fill("Ada")
    await page.get_by_label("Mode").select_option("null")
    await page.get_by_label("Loud").select_option("No")
    await page.get_by_label("b", exact=True).check()
    await page.get_by_label("Lines").fill("x\n\n  y ")
    await page.get_by_label("Shape").fill('{"round": true}')
    await expect(settings.locator(".field-error")).to_have_count(0)
    await looks_right(visit, "push-odds")
    await reads_well(visit, "push-odds")
    expected = {
        "name": "Ada", "count": 4, "ratio": 0.5, "mode": None, "loud": False, "parts": ["b"],
        "lines": ["x", "y"], "slow": "a" * 60 + "!", "shape": {"round": True},
    }  # fmt: skip
    await page.get_by_role("button", name="As JSON").click()
    assert json.loads(await page.get_by_label("Settings as JSON").input_value()) == expected
    await page.get_by_role("button", name="As JSON").click()
    await expect(page.get_by_label("Shape")).to_be_visible()
    assert (await pushed(rig, page))["inputs"] == expected


async def test_settings_without_a_schema_are_json_and_judged_as_such(rig: Rig) -> None:
    peer = await V2Peer.dial(rig.hub.ws_address, token=await rig.hub.token("old"))
    await peer.identify("old", plugins=["grep"])
    page = (await rig.visit("dispatcher", path="/push?agent=old&plugin=grep")).page
    field = page.get_by_label("Settings as JSON")
    await expect(page.get_by_text("Nobody has told this hub what its settings are")).to_be_visible()
    await page.get_by_label("Description").fill("look")
    for wrong, fault in (("{", "That is not JSON"), ("[1]", "An object is needed")):
        await field.fill(wrong)
        await expect(page.get_by_text(fault)).to_be_visible()
    await page.get_by_role("button", name=PUSH, exact=True).click()
    await expect(field).to_be_focused()
    rig.complaints.forgive(r"422 \(Unprocessable")
    await field.fill('{"_key": "sk-1"}')
    await page.get_by_role("button", name=PUSH, exact=True).click()
    await expect(page.locator(".settings-form .field-error")).to_contain_text("_key")
    await field.fill('{"words": 3}')
    assert (await pushed(rig, page))["inputs"] == {"words": 3}


async def test_what_the_hub_refuses_stands_at_its_field_and_goes_when_it_is_mended(rig: Rig) -> None:
    visit = await rig.visit("dispatcher", path="/push?to=any&description=later")
    page = visit.page
    visit.complaints.forgive(r"422 \(Unprocessable")
    await page.get_by_role("button", name="When, in what order").click()
    after = page.get_by_label("After these tasks")
    await after.fill("task-0000000000000000")
    await page.get_by_role("button", name=PUSH, exact=True).click()
    await expect(page.locator("#push-depends_on-about")).to_contain_text("There is no task")
    await expect(after).to_be_focused()
    await expect(after).to_have_attribute("aria-invalid", "true")
    await after.fill("")
    await expect(after).not_to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Time limit").fill("ten")
    await expect(page.get_by_text("Write 90s, 10m, 2h or 1d.")).to_be_visible()
    await page.get_by_label("Time limit").fill("2h")
    await page.get_by_label("At most so many at once").fill("2")
    await expect(page.get_by_text("Of what is this the limit?")).to_be_visible()
    await page.get_by_role("button", name=PUSH, exact=True).click()
    await expect(page.get_by_label("Limited by key")).to_be_focused()
    await page.get_by_label("Limited by key").fill("db")
    task = await pushed(rig, page)
    assert (task["timeout_ms"], task["concurrency_key"], task["limit"]) == (7_200_000, "db", 2)


async def test_the_copied_commands_do_the_same_and_hold_no_token(rig: Rig, tmp_path: Path) -> None:
    shell = folder_of_shell(tmp_path)
    await telling(rig, "ada", odds=ODDS)
    visit = await rig.visit("dispatcher", path="/push?plugin=odds&agent=ada")
    page = visit.page
    await page.get_by_label("Count").fill("4")
    await page.get_by_label("b", exact=True).check()
    await page.get_by_label("A name").fill("'\"$x")
    await page.get_by_label("Description").fill(NASTY)
    await page.get_by_role("button", name="When, in what order").click()
    await page.get_by_label("Labels", exact=True).fill("what=it's\nwho=$(id)")
    await page.get_by_label("Not before").fill("2031-05-06T07:08")
    await page.get_by_label("Limited by key").fill("a b")
    await page.get_by_label("At most so many at once").fill("3")
    shown = page.locator(".commands-text")
    await expect(shown).to_contain_text("--limit 'a b=3'")
    await expect(page.get_by_text("Something is still missing")).to_have_count(0)
    cli = await shown.text_content() or ""
    await page.get_by_role("button", name="curl").click()
    await expect(shown).to_contain_text("curl -fsS")
    curl = await shown.text_content() or ""
    for text in (cli, curl):
        assert "huba_" not in text
        assert "hubd_" not in text
        assert text.replace("\n", "").isprintable(), "a terminal is shown nothing that steers it"
    by_form = await pushed(rig, page)
    for text in (cli, curl):
        answer = await said_by_shell(rig, shell, text)
        task = await rig.hub.task(answer["task_id"])
        same = ("description", "inputs", "plugin", "assign_to", "priority", "attempts_max", "run_at",
                "labels", "concurrency_key", "limit")  # fmt: skip
        assert {name: task[name] for name in same} == {name: by_form[name] for name in same}
    assert by_form["description"] == NASTY
    assert not shell.joinpath("pwned").exists(), "no word of it was run"


async def test_a_description_that_a_command_would_take_for_something_else_is_said_as_text(
    rig: Rig, tmp_path: Path
) -> None:
    shell = folder_of_shell(tmp_path)
    page = (await rig.visit("dispatcher", path="/push?agent=nobody")).page
    shown = page.locator(".commands-text")
    for text in ("-", "@/etc/hostname", "--any", "=1", "plain"):
        await page.get_by_label("Description").fill(text)
        await expect(shown).to_contain_text(text if text != "-" else "nobody -")
        answer = await said_by_shell(rig, shell, await shown.text_content() or "")
        assert (await rig.hub.task(answer["task_id"]))["description"] == text


def folder_of_shell(tmp_path: Path) -> Path:
    """Where commands are pasted: `hub` is there, and nothing else."""
    folder = tmp_path / "shell"
    folder.mkdir()
    program = folder / "hub"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hub.cli "$@"\n')
    program.chmod(0o755)
    return folder


async def said_by_shell(rig: Rig, folder: Path, text: str) -> dict[str, Any]:
    """What a person gets who pastes it into a shell that knows `hub` and its token."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", text),
        env=os.environ | {
            "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_PROXY": "*",
            "HUB_URL": rig.hub.address, "HUB_TOKEN": rig.hub.admin_token,
        },
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, f"{text}\n{out.decode()}{err.decode()}"
    found: dict[str, Any] = json.loads(out)
    return found


async def test_a_link_fills_the_form_and_a_task_can_be_pushed_once_more(rig: Rig) -> None:
    await telling(rig, "ada", odds=ODDS)
    async with rig.hub.http() as http:
        body = {
            "description": "the first", "plugin": "odds", "inputs": {"count": 2, "parts": ["c"]},
            "needed_capabilities": ["briefing"], "priority": "high", "attempts_max": 5,
            "labels": {"project": "north"}, "timeout_ms": 90_000, "backoff": {"first_ms": 1_000},
        }  # fmt: skip
        first = (await http.post("/api/tasks", json=body)).json()["task_id"]
    visit = await rig.visit("dispatcher", path=f"/push?clone={first}")
    page = visit.page
    await expect(page.get_by_label("Description")).to_have_value("the first")
    await expect(page.get_by_label("Capabilities")).to_have_value("briefing")
    await expect(page.get_by_text("1 agent can: ada")).to_be_visible()
    await expect(page.get_by_label("Count")).to_have_value("2")
    await expect(page.get_by_text("Kept from that task: backoff")).to_be_visible()
    await page.get_by_label("Description").fill("the second")
    second = await pushed(rig, page)
    told = await rig.hub.task(first)
    for name in (
        "plugin",
        "inputs",
        "needed_capabilities",
        "priority",
        "attempts_max",
        "labels",
        "timeout_ms",
        "backoff",
    ):
        assert second[name] == told[name], name
    assert second["description"] == "the second"
    await page.go_back()
    await expect(page.get_by_label("Description")).to_have_value("the first")
    await visit.go(
        "/push?agent=ada&description=say+hello&plugin=odds&inputs=%7B%22count%22%3A8%7D&label=a%3Db"
    )
    await expect(page.get_by_label("Count")).to_have_value("8")
    await expect(page.get_by_label("Labels", exact=True)).to_have_value("a=b")
    await page.get_by_label("Agent", exact=True).fill("nobody-yet")
    await expect(page.get_by_text("the task waits until one connects")).to_be_visible()
    await page.get_by_role("radio", name="Anybody").check()
    await expect(page.get_by_text("Whoever offers the plugin and is free.")).to_be_visible()
    await visit.go("/push?clone=task-0000000000000000")
    visit.complaints.forgive("404")
    await expect(page.get_by_role("alert")).to_contain_text("There is no task with that id")
